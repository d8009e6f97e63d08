"""A batch divided among processes that know nothing of each other, as the jobs of an array."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_smse.errors import RequestError
from napari_smse.metrics.estimate import counted
from napari_smse.workflows.batch.slide_job import SlideJob

_PART: Final = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class BatchShard:
    """One of several parts of a batch.

    Slides are sorted by path, and every `count`-th is taken, from the `number`-th on: whatever
    order they are listed in, each is of one part, and parts differ by one slide at most.

    Attributes
    ----------
    number
        Which part, from 1.
    count
        How many parts there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> BatchShard:
        """Read a part from text such as ``2/8``, the second of eight.

        Raises
        ------
        RequestError
            It is none.
        """
        parts = _PART.fullmatch(text.strip())
        number, count = (0, 0) if parts is None else (int(parts[1]), int(parts[2]))
        if not 1 <= number <= count:
            raise RequestError(
                f"{text!r} is no part of a batch: give --shard a number from 1 and the number of "
                "parts, such as 1/8 to 8/8."
            )
        return cls(number, count)

    def part(self, paths: Sequence[Path]) -> list[Path]:
        """Return the slides of this part, sorted by path.

        Parameters
        ----------
        paths
            All slides of the batch, as every other process lists them.
        """
        by_path = sorted(paths, key=lambda path: os.path.normcase(path.absolute()))
        return by_path[self.number - 1 :: self.count]

    def jobs(self, jobs: Sequence[SlideJob]) -> list[SlideJob]:
        """Return the jobs of this part, in their order.

        Parameters
        ----------
        jobs
            All of the batch: named together, no two of them share a folder of results.
        """
        mine = set(self.part([job.path for job in jobs]))
        return [job for job in jobs if job.path in mine]

    def describe(self, slides: int, batch: int) -> str:
        """Say what of a batch is in this part.

        Parameters
        ----------
        slides, batch
            How many slides the part and the batch have.
        """
        return f"Part {self.number} of {self.count}: {slides} of {counted(batch, 'slides')}."
