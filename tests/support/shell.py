"""The command line as a user meets it: words in; status, stdout and stderr out."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from napari_smse.cli.app import main
from napari_smse.models import Model
from support.models import hide_bundled_reference, redness_model
from support.slides import Image, write_pyramid_tiff

GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (230, 90, 150)


class Answer(NamedTuple):
    status: int
    out: str
    err: str


def assert_one_error(answer: Answer, *phrases: str) -> None:
    """One line on stderr, with these words in this order, and status 1."""
    lines = answer.err.splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("error: ")
    place = 0
    for phrase in phrases:
        assert phrase in lines[0][place:], lines[0]
        place = lines[0].index(phrase, place) + len(phrase)
    assert answer.status == 1


class Shell:
    """Calls `napari-smse` in this process, with a model whose answers are known."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: Model
    ) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.model = model
        hide_bundled_reference(monkeypatch)
        monkeypatch.setattr("napari_smse.models.load_model", lambda _name: model)
        for command in ("score", "estimate"):
            monkeypatch.setattr(f"napari_smse.cli.{command}.read_card", lambda _name: model.card)

    def __call__(self, *words: str | Path) -> Answer:
        self._monkeypatch.setattr(sys, "argv", ["napari-smse", *map(str, words)])
        self._capsys.readouterr()
        logs = [logging.getLogger(name) for name in ("napari_smse", "napari_smse.internal")]
        before = [(log.handlers, log.level, log.propagate) for log in logs]
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            for log, (handlers, level, propagate) in zip(logs, before, strict=True):
                log.handlers, log.propagate = handlers, propagate
                log.setLevel(level)
            logging.getLogger("napari_smse.slides").setLevel(logging.NOTSET)
        printed = self._capsys.readouterr()
        return Answer(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], maps_not_drawn: None
) -> Shell:
    return Shell(monkeypatch, capsys, redness_model())


def section(width: int = 700, height: int = 520) -> Image:
    """Pink tissue with a red square at x 256-320, y 128-192, glass on the right."""
    rgb = np.full((height, width, 3), GLASS, np.uint8)
    rgb[:, : width * 3 // 4] = PINK
    rgb[128:192, 256:320] = RED
    return rgb


def write_section(path: Path, mpp: float | None = 0.5, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_pyramid_tiff(path, section(**size), mpp=mpp)
