"""Whom work on many slides reports to: a shell shows bars and lines, a test may keep them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from napari_smse.progress import Progress


class BatchReporter(Protocol):
    """Takes the progress of a batch; a slide that fails stops no other."""

    failed: int
    """How many slides have failed so far."""

    def report(self, text: str) -> None:
        """Report a fact about the whole batch."""

    def warn(self, warnings: Iterable[str]) -> None:
        """Report what a reader of the results must know."""

    def tiles(self, what: str, progress: Progress) -> None:
        """Report how far the tiles are."""

    def done(self, line: str) -> None:
        """Count a slide as done, with a line about it."""

    def fail(self, error: Exception, slide: str) -> None:
        """Count a slide as failed, with the reason."""
