"""How much is drawn of each class, counted in the background and shown beside the classes."""

from __future__ import annotations

from collections import Counter
from functools import partial

from qtpy.QtCore import QObject, Signal

from napari_smse.annotations import AnnotationSet
from napari_smse.metrics.estimate import counted
from napari_smse.slides import Slide
from napari_smse.tiles import TissueMask
from napari_smse.widgets.annotate.class_table import ClassTable
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.annotation_counts import AnnotationCounts, count_tiles


class AnnotationCountsLabel(QObject):
    """Counts shapes, tiles and mm² of what is drawn, and remembers each slide's tissue.

    Parameters
    ----------
    table
        Where the numbers are shown.
    """

    described = Signal(str)
    """What the counts come to, or why they cannot be told."""

    def __init__(self, table: ClassTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Without a parent: see the score dock.
        self.task = Worker()
        self._table = table
        self._masks: dict[str, TissueMask] = {}
        self._requested: tuple[Slide, AnnotationSet, int] | None = None
        self.task.returned.connect(self._show_counts)
        self.task.errored.connect(self.described)

    def count(self, slide: Slide, drawn: AnnotationSet, left_out: int) -> None:
        """Show what is known at once, and count the tiles in the background.

        Parameters
        ----------
        slide, drawn
            What is drawn on what.
        left_out
            How many shapes do not count.
        """
        self._requested = slide, drawn, left_out
        self._show(slide, drawn, None)
        mask = self._masks.get(slide.quick_hash)
        self.task.start(partial(count_tiles, slide, drawn.regions(), mask, drawn.corrections))

    def stop(self) -> None:
        """Count nothing any more, and say nothing of what was counted."""
        self._requested = None
        self.task.cancel()
        self._table.show_counts({}, {}, {})
        self.described.emit("")

    def _show(self, slide: Slide, drawn: AnnotationSet, tiles: dict[str, int] | None) -> None:
        shapes = Counter(one.class_name for one in drawn.annotations)
        mm2 = (slide.mpp / 1000) ** 2
        drawn_areas = {**drawn.regions(), **drawn.ignored()}
        areas = {name: area.area * mm2 for name, area in drawn_areas.items()}
        self._table.show_counts(shapes, areas, tiles)

    def _show_counts(self, counts: AnnotationCounts) -> None:
        if self._requested is None:
            return
        slide, drawn, left_out = self._requested
        self._masks[slide.quick_hash] = counts.mask
        self._show(slide, drawn, counts.tiles)
        self.described.emit(" ".join(_notes(counts, left_out)))


def _notes(counts: AnnotationCounts, left_out: int) -> list[str]:
    notes = [f"{counted(sum(counts.tiles.values()), 'tiles')} of 112 µm (20x) with a class."]
    if counts.conflicts:
        notes.append(f"{counts.conflicts:,} lie in two classes and are not used.")
    for name in counts.on_glass:
        notes.append(f"Regions of {name} hold hardly any tissue, and no tile takes their class.")
    if left_out:
        notes.append(f"{counted(left_out, 'shapes')} left out: lines, or beside the slide.")
    return notes
