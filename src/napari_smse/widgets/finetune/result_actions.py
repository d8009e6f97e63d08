"""What can be done with a fine-tuned model: keep it, score with it, correct the tiles it shows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import napari
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_smse.annotations.tile_notes import TileCorrection
from napari_smse.widgets.dock import SCORE, open_dock
from napari_smse.widgets.finetune.result_panel import ResultPanel
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import layer_with
from napari_smse.widgets.tile_notes import notes_in, notes_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.fine_tune import FineTuneOutcome


class ResultActions(QObject):
    """Carries out what the panel with the result asks for.

    Parameters
    ----------
    viewer
        Where the slides are.
    panel
        Shows the result.
    """

    described = Signal(str)
    """What was done."""

    problem = Signal(str)
    """It cannot be done; the text says why."""

    corrected = Signal()
    """There are other corrections of tiles than before."""

    def __init__(self, viewer: napari.Viewer, panel: ResultPanel, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._panel, self._parent = viewer, panel, parent
        # Without a parent, as a worker may still speak while its dock is being destroyed.
        self.task = Worker(doing="A model is being saved")
        self.task.returned.connect(self._show_saved)
        self.task.errored.connect(self.problem)
        panel.keep_wanted.connect(self._ask_where_to_save)
        panel.triplets.correction_made.connect(self._correct)
        panel.triplets.forget_wanted.connect(self._forget_corrections)

    def save(self, path: Path) -> None:
        """Write the tuned model: weights, card and exemplars; does nothing without one."""
        if self._panel.result is not None:
            self.task.start(partial(_save, self._panel.result, path))

    def score_with(self, path: Path) -> None:
        """Choose a model in the Score dock."""
        open_dock(self._viewer, SCORE)
        session_of(self._viewer).model_wanted.emit(str(path))
        self.described.emit(f"{path.stem} is the model in SMSE: Score slide now.")

    def _ask_where_to_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self._parent, "Keep as a model", "my_model.safetensors"
        )
        if chosen:
            self.save(Path(chosen))

    def _show_saved(self, path: Path) -> None:
        self._panel.name_model(path)
        self.described.emit(f"Kept as {path}. Open it as the model in SMSE: Score slide.")
        show_info(f"Model saved to {path}.")

    def _correct(self, correction: TileCorrection) -> None:
        layer = layer_with(self._viewer, correction.place.slide)
        if layer is not None:
            notes_of(layer).add_correction(correction)
            self.corrected.emit()

    def _forget_corrections(self) -> None:
        for notes in notes_in(self._viewer):
            notes.forget_corrections()
        self.corrected.emit()


def _save(outcome: FineTuneOutcome, path: Path) -> Path:
    # Only now, as it needs torch.
    from napari_smse.finetuning.saving import save_fine_tuned

    return save_fine_tuned(outcome.tuning, outcome.tuned, path, colours=outcome.colours)
