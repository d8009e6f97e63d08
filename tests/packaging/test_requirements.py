"""Without a viewer is installed what pyproject.toml asks for, less the packages of the viewer."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from support import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
VIEWER = {"magicgui", "napari", "psygnal", "pyqtgraph", "qtpy", "superqt"}


def printed(*words: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "requirements.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower()


def test_the_file_is_what_pyproject_asks_for_less_the_viewer() -> None:
    text = (ROOT / "packaging" / "requirements-cluster.txt").read_text("utf-8")
    assert text == printed()
    wanted = {one for one in PROJECT["project"]["dependencies"] if name_of(one) not in VIEWER}
    assert lines(text) == sorted(wanted)
    left_out = {name_of(one) for one in PROJECT["project"]["dependencies"]} - set(
        map(name_of, lines(text))
    )
    assert left_out == VIEWER == set(printed("--viewer").split())


def test_what_is_left_out_is_imported_on_the_napari_side_only() -> None:
    """By grep: a contract of import-linter says the same of most of them."""
    package = ROOT / "src" / "napari_smse"
    pattern = re.compile(rf"^\s*(?:import|from) ({'|'.join(VIEWER | {'vispy'})})\b", re.MULTILINE)
    side = [package / "widgets", package / "reader.py", package / "samples.py"]
    for path in package.rglob("*.py"):
        if not any(path.is_relative_to(place) for place in side):
            assert not pattern.search(path.read_text("utf-8")), path


def test_extras_can_be_added() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    added = set(lines(printed("--extra", "cluster", "--extra", "remote"))) - set(lines(printed()))
    assert added == set(extras["cluster"]) | set(extras["remote"])
    assert not {"napari"} & set(map(name_of, lines(printed("--extra", "all"))))


def test_an_extra_that_is_not_there_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        printed("--extra", "nope")
    assert failed.value.stderr.startswith("There is no extra nope: choose of all, ")


def test_a_plain_install_brings_the_viewer() -> None:
    assert set(map(name_of, PROJECT["project"]["dependencies"])) >= VIEWER
