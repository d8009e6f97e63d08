"""The manifest is valid, and everything it names exists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "src" / "napari_smse" / "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_the_installed_manifest_is_valid() -> None:
    command = [sys.executable, "-m", "npe2", "validate", "napari-smse"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_manifest_at_the_top_is_the_one_in_the_package() -> None:
    assert (ROOT / "napari.yaml").read_text() == MANIFEST.read_text()


def test_every_command_exists(manifest: PluginManifest) -> None:
    commands = manifest.contributions.commands or []
    assert len(commands) >= 4
    for command in commands:
        assert callable(import_python_name(command.python_name)), command.id


def test_the_dock_is_in_a_menu_napari_shows(manifest: PluginManifest) -> None:
    from napari._app_model.constants import MenuId

    menus = manifest.contributions.menus or {}
    assert set(menus) <= {str(menu) for menu in MenuId.contributables()}
    widgets = {widget.command for widget in manifest.contributions.widgets or []}
    assert {item.command for items in menus.values() for item in items} == widgets


def test_the_reader_is_asked_about_every_slide_format(manifest: PluginManifest) -> None:
    from napari_smse.slides import SLIDE_SUFFIXES

    readers = {one.command: one for one in manifest.contributions.readers or []}
    reader, scores = (readers[f"napari-smse.get_{name}"] for name in ("reader", "score_reader"))
    patterns = set(reader.filename_patterns)
    assert reader.accepts_directories
    plain_pictures = {".png", ".jpg", ".jpeg"}  # napari reads those itself
    assert {f"*{suffix}" for suffix in SLIDE_SUFFIXES - plain_pictures} <= patterns
    assert patterns.isdisjoint(scores.filename_patterns)
