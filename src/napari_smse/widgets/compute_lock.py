"""Scoring and training take turns: both at once would share one device, by accident."""

from __future__ import annotations

import weakref


class ComputeLock:
    """A claim to the computer for long work; one is held at a time in the whole program.

    Parameters
    ----------
    doing
        What is being done, as in "A slide is being scored".
    """

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def take(self) -> str:
        """Take the turn; return why not, or nothing."""
        for other in _held:
            if other is not self:
                return f"{other.doing}: wait until that is done, or cancel it, and try again."
        _held.add(self)
        return ""

    def give_back(self) -> None:
        """Let others work; does nothing if the turn is not held."""
        _held.discard(self)


# Weak, so that a dock that died with its turn blocks nobody.
_held: weakref.WeakSet[ComputeLock] = weakref.WeakSet()
