"""The results of a slide as they lie in a folder; neither the model nor the slide is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet

from napari_smse.errors import OutputError
from napari_smse.results.folder import RECORD_NAME, STORE_NAME, folder_name
from napari_smse.results.run_record import RunRecord, read_record
from napari_smse.results.tables import tile_columns
from napari_smse.scoring import ScaleScores, ScoreStore
from napari_smse.slides.identity import slide_name, text_path

_TABLE_NAME: Final = "tiles.parquet"


@dataclass(frozen=True)
class ResultFolder:
    """The results of a slide that was scored to its end.

    Attributes
    ----------
    folder
        Where they lie.
    record, store
        What was done, and the scores.
    """

    folder: Path
    record: RunRecord
    store: ScoreStore

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open results as ``napari-smse score``, or *Save results* in the viewer, wrote them.

        Parameters
        ----------
        folder
            Of the one slide.

        Raises
        ------
        OutputError
            There are none, they are not whole, or they are damaged.
        """
        if not any((folder / name).exists() for name in (RECORD_NAME, STORE_NAME)):
            raise OutputError(
                f"{folder} holds no results of a slide: give the folder that napari-smse score, or "
                f"Save results in the viewer, wrote; it has a {RECORD_NAME}."
            )
        record, store = read_record(folder), ScoreStore.open(folder / STORE_NAME)
        if not store.finished:
            raise OutputError(
                f"The scores in {folder} are not complete: score the slide to the end, with the "
                "same command, before they are exported."
            )
        return cls(folder, record, store)

    @property
    def stem(self) -> str:
        """Name of the slide, as files are called after it."""
        return folder_name(slide_name(text_path(self.record.slide.path)))

    @property
    def scales(self) -> tuple[ScaleScores, ...]:
        """All scores, fine to coarse; raises `OutputError` if they are damaged."""
        return tuple(self.store.scale(number) for number in range(self.store.scale_count))

    @cached_property
    def table(self) -> pa.Table:
        """The tiles of all `scales`, a row each, with what is called of them.

        Raises
        ------
        OutputError
            The table is not there, cannot be read, or is not of these scores.
        """
        path = self.folder / _TABLE_NAME
        try:
            # pyarrow itself takes no path that is not UTF-8.
            with path.open("rb") as stream:
                table = pa.parquet.read_table(stream)
        except (OSError, pa.ArrowException) as error:
            raise self._not_of_these_scores(path) from error
        tiles = sum(scale.tiles for scale in self.record.scales)
        later = {"ood", "call", "focus", "model"}  # than version 0.1, or than 0.2
        columns = set(tile_columns(self.store.classes)) - later
        if table.num_rows != tiles or not columns <= set(table.column_names):
            raise self._not_of_these_scores(path)
        return table

    def _not_of_these_scores(self, path: Path) -> OutputError:
        return OutputError(
            f"{path} is not there, cannot be read, or is not of these scores: score the slide "
            "again, with the same command; what was scored is kept."
        )
