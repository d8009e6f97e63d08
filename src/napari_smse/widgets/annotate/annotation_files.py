"""Files of annotations: imported, saved for QuPath, autosaved, and recovered after a crash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QWidget
from shapely import box

from napari_smse.annotations import AnnotationSet, read_annotations, write_annotations
from napari_smse.annotations.geojson import NO_LABELS, count_detections
from napari_smse.annotations.geojson_geometries import count_without_area
from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.slides import Slide
from napari_smse.slides.remote_path import RemotePath
from napari_smse.widgets.annotate.class_presets import ClassPresets
from napari_smse.widgets.annotate.class_table import ClassTable
from napari_smse.widgets.annotate.toolbar import QuestionBar
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer

NO_SLIDE: Final = "Open a slide first: File > Open."
"""What to say while there is no slide to annotate."""

_FILTER: Final = "GeoJSON (*.geojson *.json)"
_SOON_MS: Final = 400


@dataclass(frozen=True)
class _AnnotatedSlide:
    slide: Slide
    drawing: AnnotationLayer
    autosave: Autosave


class AnnotationFiles(QObject):
    """Reads and writes what is drawn on one slide, so that none of it is lost.

    Changes are autosaved soon after they are made, until the user saves them to a file.

    Parameters
    ----------
    table
        The classes, which those of a file join.
    presets
        Shows the classes of what is recovered.
    recovery
        Asks whether to recover what an earlier session left.
    parent
        The dock, over which files are asked for.
    """

    problem = Signal(str)
    """A file cannot be read or written; the text says why."""

    decided = Signal()
    """The user took back what an earlier session left, or does not want it."""

    def __init__(
        self, table: ClassTable, presets: ClassPresets, recovery: QuestionBar, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._table, self._presets, self._recovery = table, presets, recovery
        self._parent = parent
        self._current: _AnnotatedSlide | None = None
        self._dirty = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._soon.timeout.connect(self.save_now)
        recovery.wanted.connect(self._recover)
        recovery.unwanted.connect(self._decide)

    # -- slide -----------------------------------------------------------------------

    def follow_slide(self, slide: Slide, drawing: AnnotationLayer, autosave: Autosave) -> None:
        """Read and write for this slide from now on, and ask whether to recover what was left.

        Parameters
        ----------
        slide, drawing
            The slide, and what is drawn on it.
        autosave
            Where its unsaved annotations lie.
        """
        self._current = _AnnotatedSlide(slide, drawing, autosave)
        if autosave.is_drawn(drawing.annotations()):
            # Chosen again, the slide has on it what was saved for it a moment ago.
            self._decide()
        self._recovery.ask(autosave.question)

    def leave_slide(self) -> None:
        """Save what is not saved yet; there is nothing to read or write for from now on."""
        self.save_now()
        self._current = None
        self._dirty = False
        self._recovery.hide()

    # -- autosave --------------------------------------------------------------------

    def save_soon(self) -> None:
        """Autosave in a moment, as something has changed."""
        self._dirty = True
        self._soon.start()

    def save_now(self) -> None:
        """Autosave what has changed, so that a crash loses nothing."""
        self._soon.stop()
        current = self._current
        if current is None or not self._dirty:
            return
        try:
            current.autosave.save(current.drawing.annotations())
        except SmseError as error:
            self.problem.emit(str(error))

    def _recover(self) -> None:
        current = self._current
        left = None if current is None else current.autosave.left_behind
        if current is not None and left is not None:
            current.drawing.deselect()
            used = [one.class_name for one in current.drawing.annotations().annotations]
            self._presets.go_on_with(left.colours, used)
            self.add(left)
        self._decide()

    def _decide(self) -> None:
        current = self._current
        if current is None:
            return
        try:
            current.autosave.decided(current.drawing.annotations())
        except SmseError as error:
            self.problem.emit(str(error))
        self.decided.emit()

    # -- import ----------------------------------------------------------------------

    def ask_what_to_import(self) -> None:
        """Ask for a file, and add the annotations in it to what is drawn."""
        chosen, _ = QFileDialog.getOpenFileName(self._parent, "Import annotations", "", _FILTER)
        if chosen:
            self.import_from(Path(chosen))

    def import_from(self, path: Path) -> None:
        """Add the annotations in a file to what is drawn."""
        current = self._current
        if current is None:
            self.problem.emit(NO_SLIDE)
            return
        try:
            bounds = current.slide.bounds
            found = read_annotations(path, bounds_origin=(bounds.x, bounds.y))
            left_out = _describe_left_out(path)
        except SmseError as error:
            self.problem.emit(str(error))
            return
        self.add(found)
        imported = f"{counted(len(found.annotations), 'regions')} imported from {path.name}."
        outside = _describe_outside(found, current.slide)
        tell = show_warning if outside or left_out else show_info
        tell(" ".join(filter(None, (imported, outside, left_out))))

    def add(self, found: AnnotationSet) -> None:
        """Add annotations and their classes to what is drawn; without a slide, do nothing."""
        if self._current is None:
            return
        drawing = self._current.drawing
        drawing.deselect()
        for name in found.classes:
            self._table.add_class(name, found.colours.get(name))
        for row, name in enumerate(self._table.colours):
            if name in found.colours:
                self._table.set_colour(row, found.colours[name])
        drawing.set_colours(self._table.colours)
        drawing.add(found)
        self._table.choose(0)

    # -- save ------------------------------------------------------------------------

    def ask_where_to_save(self) -> None:
        """Ask for a file, beside the slide unless told otherwise, and write what is drawn to it."""
        if self._current is None:
            self.problem.emit(NO_SLIDE)
            return
        path = self._current.slide.path
        beside = Path.home() / path.file_name if isinstance(path, RemotePath) else path
        usual = str(beside.with_suffix(".geojson"))
        chosen, _ = QFileDialog.getSaveFileName(self._parent, "Save annotations", usual, _FILTER)
        if chosen:
            self.save_to(Path(chosen))

    def save_to(self, path: Path) -> None:
        """Write what is drawn as QuPath reads it; without a slide, do nothing."""
        current = self._current
        if current is None:
            return
        bounds = current.slide.bounds
        try:
            write_annotations(
                path, current.drawing.annotations(), bounds_origin=(bounds.x, bounds.y)
            )
            self._dirty = False
            if current.autosave.left_behind is None:
                current.autosave.forget(self._table.colours)
        except SmseError as error:
            self.problem.emit(str(error))
            return
        show_info(f"Saved to {path}.")


def _describe_left_out(path: Path) -> str:
    """Say what of a file is no drawn region; raises what reading raises."""
    left_out = {NO_LABELS: count_detections(path), "points or lines": count_without_area(path)}
    counts = [f"{number:,} that are {what}" for what, number in left_out.items() if number]
    return f"Left out: {'; '.join(counts)}." if counts else ""


def _describe_outside(found: AnnotationSet, slide: Slide) -> str:
    """Say how many regions of a file lie beside the slide; nothing if none does."""
    whole = box(0, 0, slide.width, slide.height)
    number = sum(not whole.intersects(one.geometry) for one in found.annotations)
    lie = "1 lies" if number == 1 else f"{number:,} lie"
    return f"{lie} outside the slide: is the file of another one?" if number else ""
