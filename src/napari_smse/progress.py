"""Expected time to the end of work, by its speed since it last began or was resumed."""

from __future__ import annotations

import time


class Eta:
    """Estimates the time of arrival of one piece of work."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def begin(self) -> None:
        """Begin anew, also after a pause."""
        self._since = None

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return the seconds left; None until it is known."""
        now = time.monotonic()
        if self._since is None or done < self._since[1]:
            self._since = now, done
            return None
        then, done_then = self._since
        if done == done_then:
            return None
        return (now - then) / (done - done_then) * (total - done)
