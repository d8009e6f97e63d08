"""The class list used last in a viewer, for the next slide and the next dock."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

from napari.components import ViewerModel

from napari_smse.exchange.colours import Colour

# By identity, as comparing viewers compares all that is in them.
_last: dict[int, dict[str, Colour]] = {}


def remember_classes(viewer: ViewerModel, colours: Mapping[str, Colour]) -> None:
    """Remember the classes and their colours for as long as the viewer lives."""
    if id(viewer) not in _last:
        weakref.finalize(viewer, _last.pop, id(viewer), None)
    _last[id(viewer)] = dict(colours)


def last_classes(viewer: ViewerModel) -> dict[str, Colour]:
    """Return the classes used last, in order; none if nothing was annotated yet."""
    return dict(_last.get(id(viewer), {}))
