"""Asks which file annotations come from, or go to."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_smse.slides import Slide

_FILES = "GeoJSON (*.geojson *.json)"


def ask_what_to_import(parent: QWidget) -> Path | None:
    """Return the file that the user chose, if any."""
    chosen, _ = QFileDialog.getOpenFileName(parent, "Import annotations", "", _FILES)
    return Path(chosen) if chosen else None


def ask_where_to_save(parent: QWidget, slide: Slide) -> Path | None:
    """Return the file that the user chose, if any; beside the slide unless told otherwise."""
    usual = str(slide.path.with_suffix(".geojson"))
    chosen, _ = QFileDialog.getSaveFileName(parent, "Save annotations", usual, _FILES)
    return Path(chosen) if chosen else None
