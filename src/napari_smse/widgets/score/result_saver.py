"""Writes what the slide in view shows into a folder, or for another program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_smse.errors import SmseError
from napari_smse.results import RECORD_NAME, result_folder_names
from napari_smse.results.exchange import TARGETS, export_results
from napari_smse.slides import Slide
from napari_smse.widgets.controls.copy_as import CopyAsButton
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.score.export_dialog import ExportDialog
from napari_smse.widgets.session import Session
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.replay.script import Script
from napari_smse.workflows.score_slide import save_shown_results

_State = tuple[str, object, int]
"""A finished run and what counts as known: what was saved as it is need not be saved again."""


_BUSY: Final = "Results are still being written: wait until that is done, and save again."


class ResultSaver(QObject):
    """Saves the scores of a slide as its maps show them, off the GUI thread.

    Parameters
    ----------
    session
        Says which run and which maps are in force.
    """

    described = Signal(str)
    """What is being saved, or where it lies now; empty if that failed."""

    problem = Signal(str)
    """It cannot be saved; the text says why."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._parent = session, parent
        self._saved: dict[Path, _State | None] = {}
        # Without a parent, as a worker may still speak while its dock is being destroyed.
        self.task = Worker(doing="Results are being saved")
        self.task.returned.connect(self._show_written)
        self.task.errored.connect(self._fail)

    def ask(self, layer: Image | None) -> None:
        """Ask for a folder, and save what a slide's layer shows there."""
        chosen = QFileDialog.getExistingDirectory(self._parent, "Save results in")
        if chosen and self._may_write(layer, Path(chosen)):
            self.save(layer, Path(chosen))

    def _may_write(self, layer: Image | None, folder: Path) -> bool:
        """Ask before results that lie there are replaced."""
        try:
            target = None if layer is None else _target(folder, slide_of(layer))
        except SmseError:  # saving says what is wrong
            return True
        if target is None or not (target / RECORD_NAME).exists():
            return True
        question = f"{target} holds results already. Replace them?"
        answer = QMessageBox.question(self._parent, "Save results", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def save(self, layer: Image | None, folder: Path) -> None:
        """Write what a slide shows into a folder of its name.

        Report, picture, tables, QuPath tiles, store, and a record that names the model.

        Parameters
        ----------
        layer
            The slide's; with none, or one without scores, nothing is done.
        folder
            Where to make the slide's folder.
        """
        work, state = self._saving(layer, folder), self._state(layer)
        if work is not None:
            self.described.emit(f"Saving to {folder} …")
            self.task.start(lambda: _Written(work(), state))

    def ask_export(self, layer: Image | None) -> None:
        """Ask for a program and a folder, and write what a slide's layer shows for it."""
        dialog = ExportDialog(self._parent)
        if not dialog.exec() or dialog.folder is None:
            return
        if self._is_saved(layer, dialog.folder) or self._may_write(layer, dialog.folder):
            self.export(layer, dialog.target, dialog.folder, overwrite=dialog.overwrite)

    def export(
        self, layer: Image | None, target: str, folder: Path, *, overwrite: bool = False
    ) -> None:
        """Write what a slide shows for another program, into a folder of the program's name.

        The results are saved beside it first, unless they lie there.

        Parameters
        ----------
        layer
            The slide's; with none, or one without scores, nothing is done.
        target
            One of `napari_smse.results.exchange.TARGETS`.
        folder
            Where to make both folders.
        overwrite
            An export of this slide that lies there may be replaced.
        """
        work, state = self._saving(layer, folder), self._state(layer)
        if work is None:
            return
        lies_there = self._is_saved(layer, folder)

        def export() -> _Written:
            results = work.keywords["folder"] if lies_there else work()
            paths = export_results(results, target, folder / target, overwrite=overwrite)
            return _Written(results, state, target, paths)

        self.described.emit(f"Exporting to {folder} …")
        self.task.start(export)

    def _state(self, layer: Image | None) -> _State | None:
        """Return what a slide shows by the class head; None if it is by anything else."""
        run, maps = self._session.run_of(layer), self._session.maps_of(layer)
        if run is None or maps is None or maps.classifier:
            return None
        ood = self._session.ood_of(layer)
        return (
            str(run.store.path),
            run.store.facts.get("finished"),
            id(ood and ood.scores.reference),
        )

    def _is_saved(self, layer: Image | None, folder: Path) -> bool:
        """Tell whether what a slide shows was saved into a folder before, and lies there."""
        state = self._state(layer)
        try:
            target = None if layer is None else _target(folder, slide_of(layer))
        except SmseError:  # saving says what is wrong
            return False
        if target is None or state is None:
            return False
        return self._saved.get(target) == state and (target / RECORD_NAME).exists()

    def _saving(self, layer: Image | None, folder: Path) -> partial[Path] | None:
        """Return what saves what a slide shows; None if nothing can be saved, after saying why."""
        if layer is None:
            return None
        if self.task.is_running:
            self.problem.emit(_BUSY)
            return None
        run, maps = self._session.run_of(layer), self._session.maps_of(layer)
        if run is None or maps is None:
            return None
        if maps.unsaved:
            self.problem.emit(maps.unsaved)
            return None
        try:
            slide = slide_of(layer)
        except SmseError as error:
            self.problem.emit(str(error))
            return None
        ood = self._session.ood_of(layer)
        return partial(
            save_shown_results,
            folder=_target(folder, slide),
            slide=slide,
            run=run,
            maps=maps.maps,
            by=maps.classifier,
            reference=None if ood is None else ood.scores.reference,
        )

    def _fail(self, text: str) -> None:
        self.described.emit("")
        self.problem.emit(text)

    def _show_written(self, written: _Written) -> None:
        self._saved[written.folder] = written.state
        self.described.emit(f"Saved to {written.folder}.")
        if written.target:
            places = ", ".join(map(str, written.paths))
            self.described.emit(f"Exported to {places}; results saved to {written.folder}.")
            show_info(f"Exported for {TARGETS[written.target].opens_in}: {places}.")
        else:
            show_info(f"Results saved to {written.folder}.")


@dataclass(frozen=True)
class _Written:
    """The folder of the results, and what was exported of them, if anything."""

    folder: Path
    state: _State | None
    target: str = ""
    paths: tuple[Path, ...] = ()


class ResultButtons(QWidget):
    """Save and Export, off until there is something to write, and what copies the run as a script.

    Parameters
    ----------
    script
        As for `CopyAsButton`.
    """

    def __init__(self, script: Callable[[], Script], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.save = push_button(
            "Save results …", "Write report, tables, picture, QuPath tiles and scores as shown."
        )
        self.export = push_button(
            "Export …", "Write the tiles for another program, and save the results beside them."
        )
        self.copy = CopyAsButton(script)
        layout = hbox(self.save, self.export, self.copy)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        self.allow(False)

    def allow(self, writable: bool) -> None:
        """Say whether there is something to write."""
        for button in (self.save, self.export):
            button.setEnabled(writable)


def _target(folder: Path, slide: Slide) -> Path:
    (name,) = result_folder_names([slide.path])
    return folder / name
