"""Slides opened in the viewer, listed from a folder, and closed with all that lies on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import napari
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.reader import get_reader
from napari_smse.slides import Slide
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import mark_of
from napari_smse.widgets.slides.entries import SlideEntries, SlideEntry
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.batch.discovery import find_slides


class SlideFiles(QObject):
    """Opens and closes the slides of a list.

    Parameters
    ----------
    viewer
        Where they are opened.
    entries
        The list.
    parent
        The dock, over which files are asked for.
    """

    problem = Signal(str)
    described = Signal(str)

    def __init__(self, viewer: napari.Viewer, entries: SlideEntries, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._entries, self._parent = viewer, entries, parent
        # Without a parent: the worker may still speak while the dock is being destroyed.
        self.task = Worker()
        self.task.returned.connect(self._add)
        self.task.errored.connect(self.problem)

    def ask_for_slides(self) -> None:
        """Ask for slides, and open them."""
        chosen, _ = QFileDialog.getOpenFileNames(self._parent, "Open slides")
        self.open_slides([Path(path) for path in chosen])

    def open_slides(self, paths: Sequence[Path]) -> None:
        """Open slides; one that cannot be opened is told, and the others are opened."""
        problems = []
        for path in paths:
            ours = get_reader(str(path)) is not None
            try:
                self._viewer.open(path, plugin="napari-smse" if ours else None)
            except (SmseError, OSError, ValueError) as error:
                problems.append(str(error) if isinstance(error, SmseError) else f"{path}: {error}")
        if problems:
            self.problem.emit("\n".join(problems))

    def ask_for_folder(self) -> None:
        """Ask for a folder, and list its slides."""
        chosen = QFileDialog.getExistingDirectory(self._parent, "Add a folder of slides")
        if chosen:
            self.add_folder(Path(chosen))

    def add_folder(self, folder: Path) -> None:
        """List the slides in a folder and below, without opening them."""
        self.described.emit(f"Looking for slides in {folder} …")
        self.task.start(partial(find_slides, [str(folder)]))

    def close_slide(self, entry: SlideEntry) -> None:
        """Close a slide; one that is only listed is taken off the list."""
        if entry.layer is None:
            self._entries.drop(entry)
            return
        layer, slide = entry.layer, entry.slide
        if slide is not None:
            self._keep_drawing(entry, slide)
        self._viewer.layers.remove(layer)
        if slide is not None and not any(_shows(one, slide) for one in self._entries):
            for other in list(self._viewer.layers):
                mark = mark_of(other)
                if mark is not None and mark.slide == slide.quick_hash:
                    self._viewer.layers.remove(other)

    def _keep_drawing(self, entry: SlideEntry, slide: Slide) -> None:
        """Keep what is drawn for the next time, which the Annotate dock does while it is open."""
        if session_of(self._viewer).annotator is None:
            drawn = drawn_on(self._viewer, entry.layer, slide)
            if drawn.annotations:
                try:
                    Autosave(slide).save(drawn)
                except SmseError as error:
                    self.problem.emit(str(error))

    def _add(self, paths: list[Path]) -> None:
        before = len(list(self._entries))
        self._entries.add_files(paths)
        new = len(list(self._entries)) - before
        number = counted(len(paths), "slides")
        self.described.emit(f"{number} found, {new} of them new on the list.")


def _shows(entry: SlideEntry, slide: Slide) -> bool:
    return entry.slide is not None and entry.slide.quick_hash == slide.quick_hash
