"""The tests' own surroundings, and what importing the package may not bring along."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest

import napari_smse
from napari_smse.scoring import choose_device, select_runtime
from napari_smse.scoring.runtimes import speed_memory
from support.models import redness_model

HEAVY = ("torch", "torchvision", "timm", "napari", "qtpy")


def test_no_test_reaches_the_users_home() -> None:
    assert "napari-smse-home-" in str(Path.home())
    assert "napari-smse-home-" in platformdirs.user_cache_dir("napari-smse")


def test_no_test_inherits_how_another_ran_its_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an earlier test measured must decide nothing, as the order is another every time."""
    monkeypatch.setattr(speed_memory.platformdirs, "user_cache_path", lambda _name: tmp_path)
    model, device = redness_model(), choose_device("cpu")
    other = replace(model, card=model.card.model_copy(update={"weights_sha256": "b" * 64}))
    assert select_runtime(device, model) == select_runtime(device, other) == device
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "module",
    [
        "napari_smse",
        "napari_smse.slides",
        "napari_smse.tiles",
        "napari_smse.models",
        "napari_smse.results",
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
