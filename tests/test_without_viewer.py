"""A node of a cluster has neither napari nor Qt: shell and Python work without them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support import ROOT

PROGRAM = """
import json, sys

missing = json.loads(sys.argv[1])
for name in missing:
    sys.modules[name] = None  # as if it were not installed: neither imported nor found

import napari_smse
from napari_smse.cli import app
from napari_smse.scoring.runtimes import selection

for name in napari_smse.__all__:
    getattr(napari_smse, name)
selection.selected_speed = lambda device, *_: selection.Speed("torch", device.precision, 1.0, 0.0)
for words in json.loads(sys.argv[2]):
    sys.argv = ["napari-smse", *words]
    try:
        app.main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    sys.stdout.flush()
    print("status", words[0], status, flush=True)
assert [name for name in missing if sys.modules.get(name) is not None] == []
"""


def viewer_packages() -> list[str]:
    """Modules of the packages that only the viewer needs."""
    listed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "requirements.py", "--viewer"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    # And what comes with them.
    bindings = ("PyQt6", "PySide6", "PyQt5")
    return [*listed, "vispy", "npe2", "app_model", *bindings]


def statuses(*commands: tuple[str | Path, ...]) -> tuple[dict[str, int], str]:
    """Return the exit status of each command where no viewer is installed, and all they print."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(viewer_packages()), words],
        capture_output=True,
        text=True,
        timeout=280,
    )
    printed = result.stdout + result.stderr
    assert result.returncode == 0, printed
    lines = [line.split() for line in result.stdout.splitlines() if line.startswith("status ")]
    return {command: int(status) for _, command, status in lines}, printed


def write_images(folder: Path) -> Path:
    """A table of noise in two colours, of six cases."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    rows = [["path", "label", "case", "um_per_px"]]
    for case in range(6):
        for number in range(2):
            colour = (200, 120 + 60 * (case % 2), 180)
            pixels = np.clip(draw.normal(colour, 20, (224, 224, 3)), 0, 255).astype(np.uint8)
            name = f"{case}_{number}.png"
            Image.fromarray(pixels).save(folder / name)
            rows.append([name, ("malignant", "benign")[case % 2], f"case{case}", "0.5"])
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return folder


@pytest.mark.slow
def test_every_command_of_a_cluster_runs(
    tmp_path: Path, sample_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    results, index = tmp_path / "results", tmp_path / "index"
    query = ("--slide", sample_slide, "--x", 1500, "--y", 1500, "--width", 900, "--height", 900)
    scale = ("--mpp", "1.0")
    told, printed = statuses(
        ("info", sample_slide),
        ("doctor",),
        ("score", sample_slide, "--out", results, *scale, "--shard", "1/1"),
        ("report", results),
        ("cohort", results, "--out", tmp_path / "cohort.html", "--parquet", tmp_path / "t.parquet"),
        ("index", sample_slide, "--out", index, *scale, "--results", results),
        ("search", index, *query, *scale),
        ("finetune", "bundled", write_images(tmp_path / "images"), "--out", tmp_path / "tuned",
         "--trainable", "head", "--steps", "3"),
        ("view", sample_slide),
    )  # fmt: skip
    assert len(told) == 9
    assert told.pop("view") == 1
    assert 'napari or Qt is not installed: run pip install "napari-smse[all]".' in printed
    assert told == dict.fromkeys(told, 0), printed
    assert "Qt binding: none" in printed
    assert (tmp_path / "tuned.safetensors").exists()
    assert (results / "sample_slide" / "report.pdf").exists()
