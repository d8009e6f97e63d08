"""The model that is chosen, its card, and opening others without losing it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_smse.errors import SmseError
from napari_smse.models import ModelCard
from napari_smse.widgets.background import BackgroundTask
from napari_smse.widgets.model_field import ModelField
from napari_smse.workflows.check_model import FoundModel, check_model


class ModelChoice(QObject):
    """Which model to score with; one that cannot be used never takes the place of one that can.

    Parameters
    ----------
    field
        Where the user chooses.
    read
        Reads the card of a model; may raise `SmseError`.
    """

    changed = Signal(object, bool)
    """The card to go by now, and whether the user chose a model, or a file changed by itself."""

    problem = Signal(str)
    said = Signal(str)
    """What is being done, or came of it."""

    def __init__(
        self, field: ModelField, read: Callable[[str], ModelCard], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.name = field.name
        self.card: ModelCard | None = None
        # Without a parent: see the score dock.
        self.task = BackgroundTask()
        self._field, self._read = field, read
        field.chosen.connect(self.choose)
        field.picked.connect(self.open)
        self.task.told.connect(self._take)
        self.task.failed.connect(self._fail)

    def choose(self, name: str) -> None:
        """Choose a model of the list."""
        try:
            card = self._read(name)
        except SmseError as error:
            self._refuse(str(error))
            return
        self.name, self.card = name, card
        self._field.show_chosen(name)
        self.changed.emit(card, True)

    def open(self, path: str) -> None:
        """Look at a file in the background, and choose it if it is a model for slides."""
        self.said.emit(f"Looking at {Path(path).name} …")
        self.task.start(partial(check_model, path))

    def read_again(self) -> None:
        """Take in that the model was saved anew under its path; a run tells if it is damaged."""
        try:
            card = self._read(self.name)
        except SmseError:
            return
        if card != self.card:
            self.card = card
            self.changed.emit(card, False)

    def _take(self, found: FoundModel) -> None:
        self._field.offer(found.path)
        self.said.emit(f"{self._field.label} is chosen: {', '.join(found.card.classes)}.")

    def _fail(self, text: str) -> None:
        self.said.emit("")
        self._refuse(text)

    def _refuse(self, text: str) -> None:
        self._field.show_chosen(self.name)
        stays = f" {self._field.label} stays chosen." if self.card is not None else ""
        self.problem.emit(text + stays)
