"""What was said of a slide and its tiles: its case, links between tiles, and corrections."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace

from napari.components import ViewerModel
from napari.layers import Layer
from psygnal import Signal

from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection


class SlideTileNotes:
    """The case, links and corrections of one slide; all docks share them."""

    changed = Signal()

    def __init__(self) -> None:
        self.links: tuple[PairConstraint, ...] = ()
        self.corrections: tuple[TileCorrection, ...] = ()
        self.case = ""

    def state_case(self, case: str) -> None:
        """Say of which case the slide is; an empty text takes that back."""
        if case != self.case:
            self.case = case
            self.changed.emit()

    def add_link(self, link: PairConstraint) -> None:
        """Add a link; one between the same tiles is replaced."""
        ends = {link.first, link.second}
        kept = [one for one in self.links if {one.first, one.second} != ends]
        self.links = (*kept, link)
        self.changed.emit()

    def remove_link(self, link: PairConstraint) -> None:
        """Remove a link."""
        self.links = tuple(one for one in self.links if one.id != link.id)
        self.changed.emit()

    def add_correction(self, correction: TileCorrection) -> None:
        """Add a correction; an earlier one about the same is replaced."""
        kept = [one for one in self.corrections if one.about != correction.about]
        self.corrections = (*kept, correction)
        self.changed.emit()

    def rename_class(self, old: str, new: str) -> None:
        """Give all corrections of a class another name."""
        if any(one.class_name == old for one in self.corrections):
            self.corrections = tuple(
                replace(one, class_name=new) if one.class_name == old else one
                for one in self.corrections
            )
            self.changed.emit()

    def forget_corrections(self) -> None:
        """Remove all corrections."""
        self.corrections = ()
        self.changed.emit()

    def take_in(
        self,
        links: Sequence[PairConstraint],
        corrections: Sequence[TileCorrection],
        case: str = "",
    ) -> None:
        """Add these; one of the same identity, or about the same, is replaced."""
        if not links and not corrections and case in ("", self.case):
            return
        self.case = case or self.case
        ids, about = {one.id for one in links}, {one.about for one in corrections}
        self.links = (*(one for one in self.links if one.id not in ids), *links)
        self.corrections = (
            *(one for one in self.corrections if one.about not in about),
            *corrections,
        )
        self.changed.emit()


def notes_of(slide_layer: Layer) -> SlideTileNotes:
    """Return the notes of a slide's layer, made when first asked for."""
    notes = _notes.get(slide_layer)
    if notes is None:
        notes = _notes[slide_layer] = SlideTileNotes()
    return notes


def notes_in(viewer: ViewerModel) -> list[SlideTileNotes]:
    """Return the notes of all slides that have any."""
    return [_notes[layer] for layer in viewer.layers if layer in _notes]


_notes: weakref.WeakKeyDictionary[Layer, SlideTileNotes] = weakref.WeakKeyDictionary()
