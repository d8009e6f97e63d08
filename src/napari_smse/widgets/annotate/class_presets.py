"""Which classes to annotate with: a slide's own, those used last, or the usual ones."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping

from napari.components import ViewerModel

from napari_smse.palette import USUAL_CLASSES, Colour, annotation_colours, with_ignore
from napari_smse.slides import Slide
from napari_smse.widgets.annotate.class_table import ClassTable
from napari_smse.widgets.autosave import Autosave

# By identity, as comparing viewers compares all that is in them.
_last: dict[int, dict[str, Colour]] = {}


class ClassPresets:
    """Fills the table of the classes, and remembers it for the next dock in the viewer.

    Parameters
    ----------
    table
        What it fills.
    viewer
        How long a list is remembered.
    """

    def __init__(self, table: ClassTable, viewer: ViewerModel) -> None:
        self._table, self._viewer = table, viewer
        self._met: set[str] = set()
        usual = with_ignore(annotation_colours(USUAL_CLASSES))
        table.show_classes(_last.get(id(viewer), usual))

    def remember(self) -> None:
        """Remember the classes for as long as the viewer lives."""
        if id(self._viewer) not in _last:
            weakref.finalize(self._viewer, _last.pop, id(self._viewer), None)
        _last[id(self._viewer)] = self._table.colours

    def bring(self, slide: Slide, saved: Autosave) -> None:
        """Bring back the classes that the slide was annotated with, also those without a region."""
        met = slide.quick_hash in self._met
        self._met.add(slide.quick_hash)
        # Later on, a class that is missing was removed. What a crash left is asked for first.
        if not met and saved.left_behind is None:
            self.go_on_with(saved.classes)

    def go_on_with(self, colours: Mapping[str, Colour], used: Iterable[str] = ()) -> None:
        """Show classes in place of the usual ones, or beside those that somebody made.

        Parameters
        ----------
        colours
            The classes, in order.
        used
            Further ones, such as those of regions that are drawn already.
        """
        usual = with_ignore(annotation_colours(USUAL_CLASSES))
        if colours and list(self._table.colours) == list(usual):
            self._table.show_classes(colours)
        for name in dict.fromkeys([*colours, *used]):
            if name:
                self._table.add_class(name, colours.get(name))
