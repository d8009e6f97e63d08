"""Scored slides on their way into their indexes, one after the other and in the background."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from qtpy.QtCore import QObject, Signal

from napari_smse.widgets.event_loop import CallWhenIdle
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.index_slides import (
    NotAdded,
    SlideAdded,
    SlideToAdd,
    WouldReplace,
    add_all,
    add_scored,
)

REPLACE: Final = "Replace what is there"
AGAIN: Final = "Try again"


@dataclass(frozen=True)
class RejectedSlide:
    """A slide that did not go into its index, why, and what may help.

    Attributes
    ----------
    wanted
        The slide.
    text
        Why.
    remedy
        `REPLACE` or `AGAIN`; empty if neither helps.
    """

    wanted: SlideToAdd
    text: str
    remedy: str = ""


class IndexQueue(QObject):
    """Adds scored slides, and keeps those that could not be added until they are.

    Attributes
    ----------
    rejected
        By slide, the newest last.
    """

    added = Signal(object)
    """The `SlideAdded` of a slide."""

    changed = Signal()
    """There is something else to say."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Without a parent, as the worker may still speak while the dock is being destroyed.
        self.task = Worker()
        self.rejected: dict[str, RejectedSlide] = {}
        self._waiting: deque[SlideToAdd] = deque()
        self._now: SlideToAdd | None = None
        self._is_left = False
        self.task.returned.connect(self._take)
        self.task.errored.connect(self._fail)
        self.task.finished.connect(self._end)

    @property
    def adding(self) -> SlideToAdd | None:
        """What is being added, or will be next."""
        return self._now or next(iter(self._waiting), None)

    def add(self, wanted: SlideToAdd) -> None:
        """Add a slide as soon as the viewer has drawn what it must, and others were added."""
        self.rejected.pop(wanted.key, None)
        self._waiting.append(wanted)
        CallWhenIdle(self._begin, self)
        self.changed.emit()

    def help(self, left: RejectedSlide) -> None:
        """Replace what is there of a slide; or try again with all that this may help."""
        if left.remedy == REPLACE:
            self.add(replace(left.wanted, replace=True))
            return
        for one in [one for one in self.rejected.values() if one.remedy == AGAIN]:
            self.add(one.wanted)

    def forget_the_hopeless(self) -> None:
        """Let go of what could not be added and nothing helps, once it was read."""
        self.rejected = {key: one for key, one in self.rejected.items() if one.remedy}

    def give_up(self) -> None:
        """Let go of what waits; what is being added is still written."""
        self._waiting.clear()

    def release(self) -> None:
        """Say no more; what waits still goes into its index, as the user was told."""
        self._is_left = True
        waiting = tuple(self._waiting)
        self._waiting.clear()
        if waiting:
            self.task.start(lambda: add_all(waiting))

    def _begin(self) -> None:
        if self._now is None and self._waiting and not self._is_left:
            self._now = wanted = self._waiting.popleft()
            self.task.start(lambda: add_scored(wanted))
            self.changed.emit()

    def _take(self, outcome: SlideAdded | WouldReplace | NotAdded) -> None:
        if self._is_left or self._now is None:
            return
        wanted = self._now
        if isinstance(outcome, SlideAdded):
            self.added.emit(outcome)
            return
        remedy = REPLACE if isinstance(outcome, WouldReplace) else AGAIN if outcome.again else ""
        self.rejected.pop(wanted.key, None)
        self.rejected[wanted.key] = RejectedSlide(wanted, outcome.text, remedy)

    def _fail(self, reason: str) -> None:
        self._take(NotAdded(reason))

    def _end(self) -> None:
        self._now = None
        if not self._is_left:
            self._begin()
            self.changed.emit()
