"""Annotations in a file beside a slide: offered once, and loaded only if they are wanted."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_smse.annotations import AnnotationSet, read_annotations
from napari_smse.datasets.readers.annotated_slides import find_annotation
from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.slides import Slide
from napari_smse.widgets.annotate.toolbar import QuestionBar
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
from napari_smse.widgets.worker import Worker

logger = logging.getLogger(__name__)

_answered: set[tuple[Path, int]] = set()
"""Files, each as it was at a time (ns), whose annotations were loaded or not wanted."""


@dataclass(frozen=True)
class _Found:
    path: Path
    written_at: int
    annotations: AnnotationSet


class AnnotationsBeside(QObject):
    """Looks in the background for annotations beside the slide that is chosen, and offers them.

    Nothing is offered that is drawn already, and no file again once the user has decided, unless
    it is written anew.

    Parameters
    ----------
    bar
        Asks.
    """

    wanted = Signal(object)
    """The `AnnotationSet` that is to be added to what is drawn."""

    def __init__(self, bar: QuestionBar, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Without a parent, as a worker may still speak while the dock is being destroyed.
        self.reading = Worker()
        self._bar = bar
        self._drawing: AnnotationLayer | None = None
        self._found: _Found | None = None
        self._waits = False
        self.reading.returned.connect(self._take)
        bar.wanted.connect(self._load)
        bar.unwanted.connect(self._leave)

    def look(self, drawing: AnnotationLayer, *, waits: bool) -> None:
        """Look beside the slide that is drawn on.

        Parameters
        ----------
        drawing
            What is drawn on it.
        waits
            Whether to ask only after `go_on`, as another question comes first.
        """
        self.stop()
        self._drawing, self._waits = drawing, waits
        self.reading.start(partial(_read_beside, drawing.slide))

    def go_on(self) -> None:
        """Ask, if there is anything to ask; ask no more, if all was drawn meanwhile."""
        self._waits = False
        new = self._new()
        if self._found is None or new is None:
            self._bar.hide()
        elif not self._bar.is_asking:
            number = len(new.annotations)
            what = counted(number, "regions")
            self._bar.ask(f"{self._found.path.name} lies beside the slide, with {what}.")

    def follow_drawing(self) -> None:
        """Ask no more, if all that is offered is drawn by now."""
        if self._bar.is_asking:
            self.go_on()

    def stop(self) -> None:
        """Look and ask no more."""
        self.reading.cancel()
        self._drawing = self._found = None
        self._bar.hide()

    def _take(self, found: _Found | None) -> None:
        self._found = found
        if not self._waits:
            self.go_on()

    def _new(self) -> AnnotationSet | None:
        """Return what is beside the slide and not drawn on it; None if that is nothing."""
        found, drawing = self._found, self._drawing
        if found is None or drawing is None or (found.path, found.written_at) in _answered:
            return None
        drawn = drawing.annotations()
        known = {one.id for one in drawn.annotations}
        new = tuple(one for one in found.annotations.annotations if one.id not in known)
        return replace(found.annotations, annotations=new) if new else None

    def _load(self) -> None:
        new = self._new()
        self._leave()
        if new is not None:
            self.wanted.emit(new)

    def _leave(self) -> None:
        if self._found is not None:
            _answered.add((self._found.path, self._found.written_at))


def _read_beside(slide: Slide) -> _Found | None:
    """Return the annotations beside a slide; None if there are none that can be read."""
    try:
        path = find_annotation(slide.path)
        if path is None:
            return None
        bounds = slide.bounds
        written_at = path.stat().st_mtime_ns
        found = read_annotations(path, bounds_origin=(bounds.x, bounds.y))
    except (SmseError, OSError) as error:
        logger.info("%s: nothing beside it is offered (%s)", slide.path, error)
        return None
    return _Found(path, written_at, found)
