"""Slides opened in the viewer, listed from a folder, and closed with all that lies on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import napari
from napari.layers import Layer
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QInputDialog, QWidget

from napari_smse.address import is_url, without_credentials
from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.progress import Progress, Task
from napari_smse.reader import get_reader, read_slides
from napari_smse.slides import Slide
from napari_smse.slides.remote_path import RemotePath
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.controls.layout import push_button
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
        # Without a parent: workers may still speak while the dock is being destroyed.
        self.task, self.opening = Worker(), Worker()
        self.tasks = (self.task, self.opening)
        self.task.returned.connect(self._add)
        self.opening.progressed.connect(self._show_opened)
        self.opening.returned.connect(self._tell_problems)
        self._addresses: list[str] = []
        for task in self.tasks:
            task.errored.connect(self.problem)
        self.address = push_button(
            "Open address …",
            "Open an SVS, a TIFF, an OME-Zarr or a DICOMweb series where it lies: https://, s3://, "
            "gs:// and more.",
        )
        self.address.clicked.connect(self.ask_for_address)

    def ask_for_slides(self) -> None:
        """Ask for slides, and open them."""
        chosen, _ = QFileDialog.getOpenFileNames(self._parent, "Open slides")
        self.open_slides([Path(path) for path in chosen])

    def open_slides(self, paths: Sequence[Path]) -> None:
        """Open slides; one that cannot be opened is told, and the others are opened."""
        problems = []
        self.open_addresses([path.url for path in paths if isinstance(path, RemotePath)])
        for path in (path for path in paths if not isinstance(path, RemotePath)):
            ours = get_reader(str(path)) is not None
            try:
                self._viewer.open(path, plugin="napari-smse" if ours else None)
            except (SmseError, OSError, ValueError) as error:
                problems.append(str(error) if isinstance(error, SmseError) else f"{path}: {error}")
        if problems:
            self.problem.emit("\n".join(problems))

    def ask_for_address(self) -> None:
        """Ask for the address of a slide, and open it; of a folder, and list its slides."""
        asked = "Address of a slide; or of a folder of slides, with / at its end:"
        chosen, confirmed = QInputDialog.getText(self._parent, "Open by address", asked)
        word = chosen.strip()
        if not confirmed or not word:
            return
        if not is_url(word):
            self.problem.emit(f"{word} is no address: it begins with https://, s3:// or the like.")
        elif word.endswith("/"):
            self.add_folder(word)
        else:
            self.open_addresses([word])

    def open_addresses(self, urls: Sequence[str]) -> None:
        """Open slides where they lie, in a thread: a server may take its time."""
        self._addresses += urls
        if self._addresses and not self.opening.is_running:
            now, self._addresses = self._addresses, []
            named = ", ".join(map(without_credentials, now))
            self.described.emit(f"Opening {named} …")
            self.opening.start(partial(_opened, now))

    def _show_opened(self, progress: Progress) -> None:
        for data, arguments, kind in progress.detail:
            self._viewer.add_layer(Layer.create(data, arguments, kind))

    def _tell_problems(self, problems: str) -> None:
        self.described.emit("")
        if problems:
            self.problem.emit(problems)
        self.open_addresses([])  # those asked for meanwhile

    def ask_for_folder(self) -> None:
        """Ask for a folder, and list its slides."""
        chosen = QFileDialog.getExistingDirectory(self._parent, "Add a folder of slides")
        if chosen:
            self.add_folder(chosen)

    def add_folder(self, folder: str | Path) -> None:
        """List the slides in a folder and below, without opening them."""
        self.described.emit(f"Looking for slides in {without_credentials(str(folder))} …")
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


def _opened(urls: Sequence[str]) -> Task[str]:
    """Open slides one after the other; the result is what went wrong."""
    problems = []
    for number, url in enumerate(urls, start=1):
        try:
            yield Progress(number, len(urls), detail=read_slides(url))
        except SmseError as error:
            problems.append(str(error))
    return "\n".join(problems)


def _shows(entry: SlideEntry, slide: Slide) -> bool:
    return entry.slide is not None and entry.slide.quick_hash == slide.quick_hash
