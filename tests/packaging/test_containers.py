"""The two container recipes: alike, and in step with pyproject.toml."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest

from support import ROOT

PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DOCKERFILE = (PACKAGING / "Dockerfile").read_text("utf-8")
APPTAINER = (PACKAGING / "apptainer.def").read_text("utf-8")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each on one line."""
    lines = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def sections() -> dict[str, list[str]]:
    """The sections of the Apptainer recipe, and its head under an empty name."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in APPTAINER.splitlines():
        if line.startswith("%"):
            name = line[1:]
            found[name] = []
        elif line.strip() and not line.startswith("#"):
            found[name].append(line.strip())
    return found


def arguments() -> dict[str, str]:
    pairs = (line.partition("=") for line in sections()["arguments"])
    return {name: value for name, _, value in pairs}


def test_both_have_the_same_arguments() -> None:
    docker = dict(rest.partition("=")[::2] for word, rest in instructions() if word == "ARG")
    assert {name: value.strip('"') for name, value in docker.items()} == arguments()
    assert f"Programming Language :: Python :: {arguments()['PYTHON']}" in PROJECT["classifiers"]
    assert set(arguments()["EXTRAS"].split()) <= PROJECT["optional-dependencies"].keys()


def test_both_start_from_the_same_python() -> None:
    words = dict(instructions())
    assert words["FROM"] == "python:${PYTHON}-slim"
    assert "From: python:{{ PYTHON }}-slim" in sections()[""]


def test_both_install_by_the_same_script_and_check_what_they_made() -> None:
    installed = " ".join(rest for word, rest in instructions() if word == "RUN")
    for text in (installed, " ".join(sections()["post"])):
        assert "/opt/napari-smse/packaging/install.sh" in text
        assert text.count("TORCH_INDEX=") == text.count("EXTRAS=") == 1
    assert instructions()[-4] == ("RUN", "napari-smse doctor")
    assert sections()["test"] == ["napari-smse doctor"]
    assert not re.search(r"(?i)pyqt|pyside|xvfb|napari\[", DOCKERFILE + APPTAINER)


def test_it_runs_as_no_root_and_writes_where_any_user_may() -> None:
    words = [word for word, _ in instructions()]
    assert dict(instructions())["USER"] not in ("root", "0")
    assert words.index("USER") < words.index("ENTRYPOINT")
    places = dict(part.split("=") for part in dict(instructions())["ENV"].split())
    assert {"XDG_CACHE_HOME", "XDG_STATE_HOME", "MPLCONFIGDIR"} == places.keys()
    assert all(place.startswith("/tmp/") for place in places.values())


def test_both_are_made_of_the_same_files() -> None:
    ignore = (PACKAGING / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    copied = dict(line.split() for line in sections()["files"])
    assert copied == {name: f"/opt/napari-smse/{name}" for name in sent}
    for name in sent:
        assert (ROOT / name).exists(), name


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")
@pytest.mark.parametrize("index", ["", "https://example.org/cpu"])
def test_the_script_installs_what_is_asked_for(tmp_path, index: str) -> None:
    """With a stand-in for Python that prints how it is called."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@" >&2\n')
    program.chmod(0o755)
    result = subprocess.run(
        ["sh", PACKAGING / "install.sh"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "EXTRAS": "cluster remote", "TORCH_INDEX": index},
        capture_output=True,
        text=True,
        check=True,
    )
    first, *installs = result.stderr.splitlines()
    assert first == "scripts/requirements.py --extra cluster --extra remote"
    assert all("--constraint .ci/constraints.txt" in line for line in installs)
    assert [line.endswith(f"--index-url {index} torch torchvision") for line in installs[:-2]] == [
        True
    ] * bool(index)
    assert "--requirement" in installs[-2]
    assert installs[-1].endswith("--no-deps .")
