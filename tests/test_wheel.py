"""What a user installs holds everything that the package looks for at run time."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "napari_smse"


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_all_of_the_package_is_in_the_wheel(wheel_names: set[str]) -> None:
    expected = {f"napari_smse/{name}" for name in files(PACKAGE)}
    assert "napari_smse/napari.yaml" in expected
    assert "napari_smse/py.typed" in expected
    assert expected <= wheel_names


def test_the_bundled_weights_are_in_the_wheel(wheel_names: set[str]) -> None:
    bundled = [name for name in wheel_names if name.startswith("napari_smse/models/bundled/")]
    assert sorted(name.rsplit("/", 1)[1] for name in bundled) == [
        "smse_v0.exemplars.safetensors",
        "smse_v0.json",
        "smse_v0.looks.json",
        "smse_v0.safetensors",
        "smse_v1.exemplars.safetensors",
        "smse_v1.json",
        "smse_v1.looks.json",
        "smse_v1.safetensors",
    ]


def test_the_sample_slide_is_in_the_wheel(wheel_names: set[str]) -> None:
    expected = {f"napari_smse/sample_data/{name}" for name in files(ROOT / "sample_data")}
    assert "napari_smse/sample_data/sample_slide.tif" in expected
    assert expected <= wheel_names


def test_nothing_else_is_in_the_wheel(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"napari_smse"}
