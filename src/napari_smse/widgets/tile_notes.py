"""What was said of single tiles of a slide: links between them, and remarks."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace

from napari.components import ViewerModel
from napari.layers import Layer
from psygnal import Signal

from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection


class SlideTileNotes:
    """The links and remarks of one slide; all docks share them."""

    changed = Signal()

    def __init__(self) -> None:
        self.links: tuple[PairConstraint, ...] = ()
        self.remarks: tuple[TileCorrection, ...] = ()

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

    def add_remark(self, remark: TileCorrection) -> None:
        """Add a remark; an earlier one about the same is replaced."""
        kept = [one for one in self.remarks if one.about != remark.about]
        self.remarks = (*kept, remark)
        self.changed.emit()

    def rename_class(self, old: str, new: str) -> None:
        """Give all remarks of a class another name."""
        if any(one.class_name == old for one in self.remarks):
            self.remarks = tuple(
                replace(one, class_name=new) if one.class_name == old else one
                for one in self.remarks
            )
            self.changed.emit()

    def forget_remarks(self) -> None:
        """Remove all remarks."""
        self.remarks = ()
        self.changed.emit()

    def take_in(self, links: Sequence[PairConstraint], remarks: Sequence[TileCorrection]) -> None:
        """Add these; one of the same identity, or about the same, is replaced."""
        if not links and not remarks:
            return
        ids, about = {one.id for one in links}, {one.about for one in remarks}
        self.links = (*(one for one in self.links if one.id not in ids), *links)
        self.remarks = (*(one for one in self.remarks if one.about not in about), *remarks)
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
