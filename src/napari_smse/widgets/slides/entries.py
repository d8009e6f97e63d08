"""The slides on the list: those that are open, and those of folders that may be opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_smse.annotations.case_id import guess_case, tidy_case
from napari_smse.errors import SmseError
from napari_smse.models import ModelCard
from napari_smse.reader import SLIDE_KEY
from napari_smse.slides import Slide
from napari_smse.slides.identity import slide_name
from napari_smse.widgets.autosave import remember_case, remembered_case
from napari_smse.widgets.case_ids import CaseId, case_of_layer, state_case
from napari_smse.widgets.slide_layers import slide_layers
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.slide_list import (
    ListedSlide,
    SlideToList,
    copies_among,
    list_slides,
)


@dataclass(eq=False)
class SlideEntry:
    """A slide on the list.

    Attributes
    ----------
    key
        What the list knows it by.
    path
        Its file.
    layer
        In the viewer; None if it is not open.
    facts
        What was found out about it; None if it was not looked at yet.
    is_file
        Whether it was put on the list as a file, and stays there when it is closed.
    stated
        The case that was stated of it when it was looked at; of an open slide its notes say more.
    queued
        What the queue does with it, or why that went wrong; empty if nothing.
    failed
        Whether that is a problem.
    """

    key: str
    path: Path
    layer: Image | None = None
    facts: ListedSlide | None = None
    is_file: bool = False
    stated: str = ""
    queued: str = ""
    failed: bool = False

    @property
    def name(self) -> str:
        """What the slide is called, in the viewer if it is open."""
        if self.layer is not None:
            return str(self.layer.name)
        return slide_name(self.path) if self.facts is None else self.facts.name

    @property
    def slide(self) -> Slide | None:
        """The slide, if it is open."""
        slide = None if self.layer is None else self.layer.metadata.get(SLIDE_KEY)
        return slide if isinstance(slide, Slide) else None

    @property
    def case(self) -> CaseId:
        """Its case, as stated or guessed."""
        if self.layer is not None:
            try:
                return case_of_layer(self.layer)
            except SmseError:
                return CaseId(guess_case(self.name), False)
        return CaseId(self.stated or guess_case(self.name), bool(self.stated))

    def state_case(self, text: str) -> None:
        """Say of which case it is; raises `SmseError` if that cannot be kept."""
        if self.layer is not None:
            state_case(self.layer, text)
        elif self.facts is not None and self.facts.quick_hash:
            self.stated = tidy_case(text)
            remember_case(self.facts, self.stated)

    def learn(self, facts: ListedSlide) -> None:
        """Take in what was found out about it."""
        self.facts = facts
        self.stated = remembered_case(facts) if facts.quick_hash else ""


class SlideEntries(QObject):
    """Keeps the list in step with the viewer, and finds out about its slides in the background.

    Parameters
    ----------
    viewer
        Whose slides are on the list.

    Attributes
    ----------
    copies
        Pairs of slides that show the same.
    """

    changed = Signal()
    """Other slides are on it, or more is known of one."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._entries: dict[str, SlideEntry] = {}
        self.copies: list[tuple[SlideEntry, SlideEntry]] = []
        self._card: ModelCard | None = None
        # Without a parent: the worker may still speak while the dock is being destroyed.
        self.task = Worker()
        self.task.progressed.connect(self._learn)
        self.task.finished.connect(self._look)
        viewer.layers.events.inserted.connect(self.follow)
        viewer.layers.events.removed.connect(self.follow)
        self.follow()

    def __iter__(self) -> Iterator[SlideEntry]:
        """Open slides first, in the order of the viewer."""
        return iter(self._entries.values())

    def get(self, key: str) -> SlideEntry | None:
        """Return the slide that is known by this; None if there is none."""
        return self._entries.get(key)

    def of_layer(self, layer: object) -> SlideEntry | None:
        """Return the slide of this layer; None if it has none."""
        return next((one for one in self if layer is not None and one.layer is layer), None)

    def with_content(self, quick_hash: str) -> list[SlideEntry]:
        """Return the slides of this content."""
        return [one for one in self if one.facts and one.facts.quick_hash == quick_hash]

    def add_files(self, paths: Sequence[Path]) -> None:
        """Put slides on the list without opening them."""
        for path in paths:
            key = _file_key(path)
            if not any(_file_key(one.path) == key for one in self):
                self._entries[key] = SlideEntry(key, path, is_file=True)
        self._tell()

    def drop(self, entry: SlideEntry) -> None:
        """Take a slide that is not open off the list."""
        self._entries.pop(entry.key, None)
        self._tell()

    def look_for_runs_of(self, card: ModelCard | None) -> None:
        """Look for earlier runs by this model."""
        if card is not None and card != self._card:
            self._card = card
            self.look_again()

    def look_again(self, entry: SlideEntry | None = None) -> None:
        """Find out about a slide anew, or about all."""
        self.task.cancel()
        for one in [entry] if entry is not None else list(self):
            one.facts = None
        self._look()

    def _compare(self) -> None:
        """Find out which slides show the same."""
        known = [one for one in self if one.facts is not None]
        pairs = copies_among([one.facts for one in known if one.facts is not None])
        self.copies = [(known[first], known[other]) for first, other in pairs]
        self.changed.emit()

    def release(self) -> None:
        """Let go of the viewer."""
        self.task.cancel()
        self._viewer.layers.events.inserted.disconnect(self.follow)
        self._viewer.layers.events.removed.disconnect(self.follow)

    def follow(self, _event: object = None) -> None:
        """Take in which slides are open."""
        before = list(self)
        layers = list(slide_layers(self._viewer))
        for one in before:
            if one.layer is not None and one.layer not in layers:
                one.layer = None
        known = {one.layer: one for one in before if one.layer is not None}
        files = {_file_key(one.path): one for one in before if one.layer is None and one.is_file}
        shown = []
        for layer in layers:
            path = _path_of(layer)
            entry = known.get(layer) or files.pop(_file_key(path), None)
            shown.append(entry or SlideEntry(str(layer.unique_id), path))
            shown[-1].layer = layer
        self._entries = {one.key: one for one in (*shown, *files.values())}
        self._tell()

    def _tell(self) -> None:
        there = list(self)
        self.copies = [pair for pair in self.copies if pair[0] in there and pair[1] in there]
        self.changed.emit()
        self._look()

    def _look(self) -> None:
        """Find out about slides of which nothing is known yet."""
        unknown = [SlideToList(one.key, one.path, one.slide) for one in self if one.facts is None]
        if not unknown:
            self._compare()
        elif not self.task.is_running:
            self.task.start(partial(list_slides, unknown, self._card))

    def _learn(self, progress: object) -> None:
        key, facts = progress.detail
        entry = self.get(key)
        if entry is not None:
            entry.learn(facts)
            self.changed.emit()


def _path_of(layer: Image) -> Path:
    slide = layer.metadata.get(SLIDE_KEY)
    if isinstance(slide, Slide):
        return slide.path
    return Path(layer.source.path or layer.name)


def _file_key(path: Path) -> str:
    return os.path.normcase(path.absolute())
