"""How long work will still take, by how fast it went since it last began or went on."""

from __future__ import annotations

import time


class Eta:
    """Watches one piece of work."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def begin(self) -> None:
        """Begin anew, also after a pause."""
        self._since = None

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return the seconds left; None until that can be told."""
        now = time.monotonic()
        if self._since is None or done < self._since[1]:
            self._since = now, done
            return None
        then, first = self._since
        if done == first:
            return None
        return (now - then) / (done - first) * (total - done)
