"""The tests' own surroundings, and what importing the package may not bring along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

import napari_smse

HEAVY = ("torch", "torchvision", "timm", "napari", "qtpy")


def test_no_test_reaches_the_users_home() -> None:
    assert "napari-smse-home-" in str(Path.home())
    assert "napari-smse-home-" in platformdirs.user_cache_dir("napari-smse")


@pytest.mark.parametrize(
    "module",
    [
        "napari_smse",
        "napari_smse.slides",
        "napari_smse.tiles",
        "napari_smse.network",
        "napari_smse.exchange",
    ],
)
def test_importing_stays_light(module: str) -> None:
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert napari_smse.__version__ == version("napari-smse")
