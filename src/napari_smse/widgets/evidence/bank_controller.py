"""Keeps the banks of reference tiles, one a model, and changes them as the bank panel asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_smse.similarity.bank_file import load_bank, save_bank
from napari_smse.widgets.evidence.bank_panel import BankPanel
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.evidence import NamedBank, ScoredTiles, describe_bank, with_annotated

_FILTER = "Reference tiles (*.safetensors)"
_Result = tuple[NamedBank | None, str]
"""A bank to take, if there is a new one, and what to say."""


class BankController(QObject):
    """The bank that the chosen slide is compared with.

    Slides scored by one model share one bank.

    Parameters
    ----------
    viewer
        Where regions are drawn.
    panel
        What asks.
    """

    changed = Signal(object)
    """The `NamedBank` to compare with from now on."""

    problem = Signal(str)

    def __init__(
        self, viewer: ViewerModel, panel: BankPanel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._panel = viewer, panel
        self._layer: Image | None = None
        self._read: ScoredTiles | None = None
        self._banks: dict[str, NamedBank] = {}
        self._chosen: int | None = None
        self.task = Worker()
        self.task.returned.connect(self._take_result)
        self.task.errored.connect(self.problem)
        panel.add_wanted.connect(self.add_annotated)
        panel.remove_wanted.connect(self.remove_chosen)
        panel.save_wanted.connect(self._ask_where_to_save)
        panel.load_wanted.connect(self._ask_what_to_load)
        panel.reset_wanted.connect(self.take_own)

    @property
    def known(self) -> NamedBank | None:
        """The bank, if a slide was read."""
        return None if self._read is None else self._banks.get(self._read.model)

    def follow(self, layer: Image | None, read: ScoredTiles | None) -> None:
        """Keep the bank of the model that scored this slide."""
        self._layer, self._read = layer, read
        self._panel.show_message("" if read is None else read.note)
        if read is None:
            self._panel.show_bank(None)
        else:
            self._take(self._banks.get(read.model, read.own_bank))

    def choose(self, row: int | None) -> None:
        """Choose the exemplar that could be removed."""
        self._chosen = row
        self._panel.allow_removing(row is not None)

    def add_annotated(self) -> None:
        """Take the tiles in regions drawn on the slide into the bank."""
        read, known, layer = self._read, self.known, self._layer
        if read is None or known is None or layer is None:
            return
        drawn = drawn_on(self._viewer, layer, read.slide)
        pictures = self._panel.keep_pictures.isChecked()

        def work() -> _Result:
            bank, new = with_annotated(
                known.bank, read, drawn.regions(), pictures, drawn.corrections, drawn.case
            )
            return known.changed(bank), f"Added {describe_bank(new)}."

        self._start(work)

    def remove_chosen(self) -> None:
        """Take the chosen exemplar out of the bank."""
        known, row = self.known, self._chosen
        if known is None or row is None or self.task.is_running:
            return
        name = known.bank.class_name(row)
        self._take(known.changed(known.bank.without([row])))
        self._panel.show_message(
            f"Removed one {name} tile. “Reset to model's exemplars” undoes all changes."
        )

    def take_own(self) -> None:
        """Take the exemplars that came with the model again."""
        if self._read is not None and not self.task.is_running:
            self._take(self._read.own_bank)
            self._panel.show_message(self._read.note)

    def save_to(self, path: Path) -> None:
        """Write the bank as one file."""
        known = self.known
        if known is None:
            return

        def work() -> _Result:
            save_bank(known.bank, path)
            return None, f"Saved {len(known.bank):,} reference tiles to {path}."

        self._start(work)

    def load_from(self, path: Path) -> None:
        """Take another bank, of the model that scored the slide."""
        read = self._read
        if read is None:
            return

        def work() -> _Result:
            bank = load_bank(path)
            bank.require_model(read.model, read.run.card.name)
            return NamedBank(bank, path.stem, False, bank), f"Loaded {path}."

        self._start(work)

    def release(self) -> None:
        """Stop what is under way."""
        self.task.cancel()

    def _start(self, work: Callable[[], _Result]) -> None:
        if not self.task.is_running:
            self._panel.show_message("")
            self.task.start(work)

    def _take_result(self, result: _Result) -> None:
        known, text = result
        if known is not None:
            self._take(known)
        self._panel.show_message(text)

    def _take(self, known: NamedBank) -> None:
        self._banks[known.bank.model] = known
        # Another slide, scored by another model, may have been chosen meanwhile.
        if known is self.known:
            self._panel.show_bank(known)
            self.changed.emit(known)

    def _ask_where_to_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self._panel, "Save reference tiles", "reference_tiles.safetensors", _FILTER
        )
        if chosen:
            self.save_to(Path(chosen))

    def _ask_what_to_load(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self._panel, "Load reference tiles", "", _FILTER)
        if chosen:
            self.load_from(Path(chosen))
