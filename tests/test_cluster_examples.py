"""Examples for clusters: every command in them is one that the shell takes."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main

from napari_smse.cli.app import app
from support import ROOT

FOLDER = ROOT / "examples" / "cluster"
SCRIPTS = ["Snakefile", "main.nf", "slurm_array.sh"]
PAGES = [
    "docs/user/many_slides.md",
    "packaging/Dockerfile",
    "packaging/apptainer.def",
    *(f"examples/cluster/{name}" for name in SCRIPTS),
]
COMMANDS = typer.main.get_command(app).commands
CALL = re.compile(rf"napari-smse(?:\.sif)? ((?:{'|'.join(COMMANDS)}) +[^ `#\n][^`#\n]*)")
STANDS_FOR = (  # what a script fills in, and what it could be
    (re.compile(r"\{output\.\w+:q\}|\{(?:input|RESULTS):q\}"), "FOLDER"),
    (re.compile(r"\{OPTIONS\}|\$\{params\.options\}"), "--mpp 0.5"),
    (
        re.compile(r"(?:\{wildcards\.part\}|\$\{part\}|\$SLURM_ARRAY_TASK_ID)/"
                   r"(?:\{PARTS\}|\$\{params\.parts\}|\$SLURM_ARRAY_TASK_COUNT)"),
        "2/8",
    ),
    (re.compile(r"\$\{?\w+\}?"), "FOLDER"),
)  # fmt: skip


def commands_in(text: str) -> Iterator[str]:
    """Command lines, with what is filled in filled in."""
    for command in CALL.findall(text):
        for pattern, value in STANDS_FOR:
            command = pattern.sub(value, command)
        # The quote that ends the script's own text.
        yield command.rstrip('" ') if command.count('"') % 2 else command.rstrip()


def parse(words: list[str]) -> None:
    """Have the shell's parser read a command, and run nothing."""
    name, *rest = words
    COMMANDS[name].make_context(name, rest)


def calls(page: str) -> list[str]:
    return list(commands_in((ROOT / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_that_the_shell_takes(page: str) -> None:
    assert calls(page)
    for command in calls(page):
        parse(shlex.split(command))


def test_commands_are_seen_and_wrong_ones_refused() -> None:
    part = "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
    text = f'exec napari-smse score "$a" --out b --shard "{part}"  # more\n"napari-smse card x"\n'
    assert list(commands_in(text)) == ['score "FOLDER" --out b --shard "2/8"', "card x"]
    assert list(commands_in("pip install napari-smse and use it; `napari-smse score` scores")) == []
    for wrong in ("score a --out b --shards 1/2", "score a", "score a --out b --shard 0/2"):
        with pytest.raises(Exception, match=r"No such option|Missing parameter|is no part"):
            parse(shlex.split(wrong))


def test_each_divides_the_work_and_ends_in_one_page() -> None:
    for name in SCRIPTS:
        words = [command.split() for command in calls(f"examples/cluster/{name}")]
        score = next(word for word in words if word[0] == "score")
        cohort = next(word for word in words if word[0] == "cohort")
        assert "--shard" in score
        assert {"--out", "--parquet"} <= set(cohort)


class Queue:
    """Stands in for a cluster of dask-jobqueue."""

    scheduler_address = "tcp://10.0.0.5:8786"

    def __init__(self, **options: object) -> None:
        assert options["cores"] == options["processes"] == 1

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def scale(self, jobs: int) -> None:
        assert jobs > 1


def test_the_dask_example_scores_by_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=Queue))
    monkeypatch.setattr(sys, "argv", ["dask_workers.py", "/slides", "/results"])
    called: list[list[str]] = []

    def run(command: list[str]) -> SimpleNamespace:
        called.append(command)
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / "dask_workers.py"), run_name="__main__")
    assert ended.value.code == 3
    ((program, *command),) = called
    assert program == "napari-smse"
    assert command[-2:] == ["--scheduler", Queue.scheduler_address]
    parse(command)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_array_runs_its_part(tmp_path: Path) -> None:
    """Slurm's variables and a stand-in for the program."""
    program = tmp_path / "napari-smse"
    program.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    program.chmod(0o755)
    slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}
    result = subprocess.run(
        ["bash", FOLDER / "slurm_array.sh", "/my slides", "/results"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **slurm},
        capture_output=True,
        text=True,
        check=True,
    )
    words = result.stdout.splitlines()
    assert words[:4] == ["score", "/my slides", "--out", "/results"]
    assert words[-2:] == ["--shard", "3/8"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="snakemake is not installed")
def test_the_workflow_of_snakemake_runs(tmp_path: Path, sample_slide: Path) -> None:
    slides = tmp_path / "my slides"
    slides.mkdir()
    shutil.copy(sample_slide, slides)
    results = tmp_path / "results"
    settings = [f"slides={slides}", f"results={results}", "parts=2", "options=--mpp 2 --float32"]
    done = subprocess.run(
        ["snakemake", "-s", FOLDER / "Snakefile", "--cores", "2", "--config", *settings],
        cwd=tmp_path,
        env=os.environ
        | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert (results / "cohort.html").exists()
    assert (results / "tiles.parquet").exists()
    assert (results / "sample_slide" / "run.json").exists()
