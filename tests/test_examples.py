"""The examples do what they say, on the sample slide."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def test_there_is_one_for_each_thing_that_people_do():
    assert SCRIPTS == ["fine_tune.py", "score.py", "search_slides.py", "train.py"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("score.py", "sample_slide/tiles.geojson", "map of"),
        ("fine_tune.py", "my_model.safetensors", "AUC"),
        ("search_slides.py", "index/index.json", "right_half added"),
        ("train.py", "model.safetensors", "step 4 of 4"),
    ],
)
def test_an_example_runs(name, written, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    assert (tmp_path / written).is_file()
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_uses_the_public_names_only(name):
    text = (ROOT / "examples" / name).read_text(encoding="utf-8")
    assert "import napari_smse as smse\n" in text
    assert "napari_smse." not in text
