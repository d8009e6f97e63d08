"""Writes what the slide in view shows into a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_smse.errors import SmseError
from napari_smse.results import RECORD_NAME, result_folder_names
from napari_smse.slides import Slide
from napari_smse.widgets.session import Session
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.score_slide import save_shown_results


class ResultSaver(QObject):
    """Saves the scores of a slide as its maps show them, off the GUI thread.

    Parameters
    ----------
    session
        Says which run and which maps are in force.
    """

    described = Signal(str)
    """What is being saved, or where it lies now."""

    problem = Signal(str)
    """It cannot be saved; the text says why."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._parent = session, parent
        # Without a parent, as a worker may still speak while its dock is being destroyed.
        self.task = Worker(doing="Results are being saved")
        self.task.returned.connect(self._show_saved)
        self.task.errored.connect(self.problem)

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
        if layer is None:
            return
        run, maps = self._session.run_of(layer), self._session.maps_of(layer)
        if run is None or maps is None:
            return
        if maps.unsaved:
            self.problem.emit(maps.unsaved)
            return
        try:
            slide = slide_of(layer)
        except SmseError as error:
            self.problem.emit(str(error))
            return
        target = _target(folder, slide)
        self.described.emit(f"Saving to {target} …")
        ood = self._session.ood_of(layer)
        save = partial(save_shown_results, target, slide, run, maps.maps, maps.classifier)
        self.task.start(partial(save, reference=None if ood is None else ood.scores.reference))

    def _show_saved(self, folder: Path) -> None:
        self.described.emit(f"Saved to {folder}.")
        show_info(f"Results saved to {folder}.")


def _target(folder: Path, slide: Slide) -> Path:
    (name,) = result_folder_names([slide.path])
    return folder / name
