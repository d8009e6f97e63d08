"""Keeps the banks of reference tiles, one a model, and changes them as the bank panel asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_smse.progress import Progress
from napari_smse.similarity.bank_file import load_bank, save_bank
from napari_smse.widgets.evidence.bank_panel import BankPanel
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.session import session_of
from napari_smse.widgets.worker import ComputeLock, Worker
from napari_smse.workflows.evidence import NamedBank, ScoredTiles, describe_bank, with_annotated
from napari_smse.workflows.reference_pictures import (
    FoundPictures,
    PictureSearch,
    with_cached_pictures,
)

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
        self._session = session_of(viewer)
        self._layer: Image | None = None
        self._read: ScoredTiles | None = None
        self._banks: dict[str, NamedBank] = {}
        self._chosen: int | None = None
        self.task = Worker()
        self.task.returned.connect(self._take_result)
        self.task.errored.connect(self.problem)
        self._turn = ComputeLock("Pictures of reference tiles are being looked for")
        self.searching = Worker(turn=self._turn)
        self._search: PictureSearch | None = None
        self.searching.progressed.connect(self._show_search)
        self.searching.returned.connect(self._take_pictures)
        self.searching.errored.connect(self.problem)
        self.searching.finished.connect(self._end_search)
        panel.pictures_wanted.connect(self._ask_where_pictures_are)
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
            known = self._banks.get(read.model)
            file = self._session.bank_files.get(read.model)
            self._take(known or read.own_bank)
            if known is None and file is not None:
                self.load_from(file)

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
        if known is None or row is None or self.is_busy:
            return
        name = known.bank.class_name(row)
        self._take(known.changed(known.bank.without([row])))
        self._panel.show_message(
            f"Removed one {name} tile. “Reset to model's exemplars” undoes all changes."
        )

    def take_own(self) -> None:
        """Take the exemplars that came with the model again."""
        if self._read is not None and not self.is_busy:
            own = self._read.own_bank
            self._take(replace(own, bank=with_cached_pictures(own.bank)))
            self._panel.show_message(self._read.note)

    def save_to(self, path: Path) -> None:
        """Write the bank as one file."""
        known = self.known
        if known is None:
            return

        def work() -> _Result:
            save_bank(known.bank, path)
            text = f"Saved {len(known.bank):,} reference tiles to {path}."
            return replace(known, file=path), text

        self._start(work)

    def load_from(self, path: Path) -> None:
        """Take another bank, of the model that scored the slide."""
        read = self._read
        if read is None:
            return

        def work() -> _Result:
            bank = load_bank(path)
            bank.require_model(read.model, read.run.card.name)
            return NamedBank(bank, path.stem, False, bank, path), f"Loaded {path}."

        self._start(work)

    def find_pictures_in(self, folder: Path) -> None:
        """Look below a folder for the pictures of reference tiles that came with the model."""
        read, known = self._read, self.known
        if read is None or known is None or self.is_busy:
            return
        reason = self._turn.take()
        if reason:
            self._panel.show_message(reason)
            return
        self._panel.show_message("")
        self._panel.show_searching("0 %")
        run = read.run
        self._search = search = PictureSearch(known.bank, run.model, folder, run.device)
        self.searching.start(search.run)

    def stop_search(self) -> None:
        """Look for no more pictures; what was found stays."""
        if self._search is not None:
            self._search.stop()

    @property
    def is_busy(self) -> bool:
        """Whether the bank is being changed, or pictures of it are looked for."""
        return self.task.is_running or self.searching.is_running

    def release(self) -> None:
        """Stop what is under way."""
        self.task.cancel()
        self.stop_search()
        self.searching.cancel()
        self._turn.give_back()

    def _show_search(self, progress: Progress) -> None:
        share = progress.done / max(1, progress.total)
        self._panel.show_searching(f"{share:.0%}".replace("%", " %"))

    def _take_pictures(self, found: FoundPictures) -> None:
        known = self._banks.get(found.bank.model)
        if known is not None:
            self._take(replace(known, bank=found.bank))
        self._panel.show_message(found.sentence)

    def _end_search(self) -> None:
        self._search = None
        self._turn.give_back()
        self._panel.show_searching("")

    def _start(self, work: Callable[[], _Result]) -> None:
        if not self.is_busy:
            self._panel.show_message("")
            self.task.start(work)

    def _take_result(self, result: _Result) -> None:
        known, text = result
        if known is not None:
            self._take(known)
        self._panel.show_message(text)

    def _take(self, known: NamedBank) -> None:
        self._banks[known.bank.model] = known
        files = self._session.bank_files
        files.pop(known.bank.model, None)
        if known.file is not None:
            files[known.bank.model] = known.file
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

    def _ask_where_pictures_are(self) -> None:
        if self.searching.is_running:
            self.stop_search()
            return
        chosen = QFileDialog.getExistingDirectory(
            self._panel, "Folder with BreakHis, EBHI-Seg or the oral set"
        )
        if chosen:
            self.find_pictures_in(Path(chosen))

    def _ask_what_to_load(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self._panel, "Load reference tiles", "", _FILTER)
        if chosen:
            self.load_from(Path(chosen))
