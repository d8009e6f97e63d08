"""Regions grown, erased and cut: each is one step of an annotation layer that can be taken back."""

from __future__ import annotations

from collections.abc import Collection

import shapely
from qtpy.QtCore import QObject, Signal
from shapely.geometry.base import BaseGeometry

from napari_smse.annotations.region_editing import add_area, subtract_area
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer


class AnnotationEditor(QObject):
    """Adds areas to the regions of the chosen class, and takes areas away from regions.

    Parameters
    ----------
    drawing
        Where the regions are drawn.

    Attributes
    ----------
    every_class
        Whether areas are taken away from regions of every class, rather than of the chosen one.
    """

    was_cut = Signal(bool)
    """A shape was drawn to be cut out, and whether it met anything to cut it out of."""

    def __init__(self, drawing: AnnotationLayer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._drawing = drawing
        self.every_class = False

    def paint(self, area: BaseGeometry) -> bool:
        """Add an area, level-0 px, to the regions of the chosen class; False if nothing changed."""
        drawn = self._drawing.annotations().annotations
        slide = self._drawing.slide
        seen = area.intersection(shapely.box(0, 0, slide.width, slide.height))
        return self._drawing.edit(drawn, add_area(drawn, seen, self._drawing.class_name))

    def erase(self, area: BaseGeometry) -> bool:
        """Take an area, level-0 px, away from regions; False if it met none."""
        drawn = self._drawing.annotations().annotations
        return self._drawing.edit(drawn, subtract_area(drawn, area, self._erased_class))

    def cut_next(self, cuts: bool) -> None:
        """Have the next shape that is drawn cut out of the regions, or become one itself."""
        self._drawing.hand_over_next(self._cut if cuts else None)

    def _cut(self, new: Collection[str]) -> None:
        drawn = self._drawing.annotations().annotations
        kept = [one for one in drawn if one.id not in new]
        area = shapely.union_all([one.geometry for one in drawn if one.id in new])
        left = subtract_area(kept, area, self._erased_class)
        self.was_cut.emit(self._drawing.edit(kept, left, also_gone=new))

    @property
    def _erased_class(self) -> str | None:
        return None if self.every_class else self._drawing.class_name
