"""A rectangle on a slide, in level-0 pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A rectangle in level-0 pixels.

    Parameters
    ----------
    x, y : int
        Top-left corner, level-0 px; may lie outside the slide.
    width, height : int
        Size, level-0 px.
    """

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First level-0 column to the right of the region."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First level-0 row below the region."""
        return self.y + self.height

    def intersection(self, other: Region) -> Region:
        """Return the part shared with ``other``; width or height 0 when there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        width = max(0, min(self.right, other.right) - x)
        height = max(0, min(self.bottom, other.bottom) - y)
        return Region(x, y, width, height)
