"""The tiles of many scored slides in one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as parquet

from napari_smse.annotations.case_id import guess_case
from napari_smse.atomic_write import atomic_path
from napari_smse.errors import OutputError, SmseError, named_error
from napari_smse.metrics.estimate import counted
from napari_smse.progress import Progress, Task
from napari_smse.results import RunRecord
from napari_smse.results.folder import TABLE_NAME
from napari_smse.results.run_record import CLASS_HEAD, read_record
from napari_smse.results.tables import tile_schema
from napari_smse.slides.identity import path_text, slide_name, text_path
from napari_smse.workflows.report.labels import CohortLabels, read_labels

_SLIDE_TYPES: Final = {
    "slide": pa.string(),
    "case": pa.string(),
    "label": pa.string(),
    "results": pa.string(),
}
_MODEL_TYPES: Final = {"classifier": pa.string(), "weights_sha256": pa.string()}
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class CohortTiles:
    """What went into one table of many slides' tiles.

    Attributes
    ----------
    path
        The table.
    tiles
        How many rows it has.
    slides
        How many slides they are of.
    models
        Name, version, classifier and hash of each model that gave probabilities.
    problems
        Why a slide is not in it, by the folder of its results.
    """

    path: Path
    tiles: int
    slides: int
    models: tuple[str, ...]
    problems: dict[Path, SmseError]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, one line each."""
        if len(self.models) < 2:
            return ()
        return (
            f"{self.path.name} has tiles by {len(self.models)} models ({', '.join(self.models)}), "
            "whose probabilities do not compare: keep them apart by weights_sha256 and classifier.",
        )


def write_cohort_tiles(
    folders: Sequence[Path], out: Path, labels: Path | None = None
) -> Task[CohortTiles]:
    """Put the tiles of many scored slides under each other; one that fails stops no other.

    One slide at a time is in memory.

    Parameters
    ----------
    folders
        Of results, as `find_results` gives them.
    out
        The table to write, Parquet.
    labels
        CSV file with labels by case or by slide; None for none.

    Returns
    -------
    CohortTiles
        What is in it.

    Raises
    ------
    DataError
        The labels cannot be read, or contradict each other.
    OutputError
        No results can be read, or the table cannot be written.
    """
    known = None if labels is None else read_labels(labels)
    problems: dict[Path, SmseError] = {}
    sources = []
    for folder in folders:
        try:
            sources.append(_Source.open(folder))
        except Exception as error:
            problems[folder] = named_error(error, folder.name)
    schema = _schema(sources)
    written: dict[_Source, int] = {}
    with atomic_path(out) as part, part.open("wb") as stream:
        with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
            for number, source in enumerate(sources):
                yield Progress(number, len(sources), f"Reading {source.name} …")
                try:
                    rows = source.rows(schema, known)
                except Exception as error:
                    problems[source.folder] = named_error(error, source.name)
                    continue
                writer.write_table(rows)
                written[source] = len(rows)
        if not written:
            raise _nothing_to_write(problems)
    yield Progress(len(sources), len(sources))
    models = {source.model_key: f"{source.model} ({source.model_key[0][:8]})" for source in written}
    return CohortTiles(out, sum(written.values()), len(written), tuple(models.values()), problems)


@dataclass(frozen=True, eq=False)
class _Source:
    """The table of one slide, and what its rows get besides.

    Attributes
    ----------
    folder
        Of its results.
    record
        What was done.
    classes
        Whose probabilities the table has.
    """

    folder: Path
    record: RunRecord
    classes: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> _Source:
        """Read what tells its rows from others; raises `OutputError` if it is not whole."""
        record = read_record(folder)
        known = tile_schema(()).names
        others = [name for name in _read(folder, parquet.read_schema).names if name not in known]
        return cls(folder, record, tuple(name.removeprefix("p_") for name in others))

    @property
    def name(self) -> str:
        return path_text(slide_name(text_path(self.record.slide.path)))

    @property
    def model(self) -> str:
        record = self.record
        by = "" if record.classifier == CLASS_HEAD else f", by {record.classifier}"
        return f"{record.model.name} {record.model.version}{by}"

    @property
    def model_key(self) -> tuple[str, str]:
        return self.record.model.weights_sha256, self.record.classifier

    def rows(self, schema: pa.Schema, labels: CohortLabels | None) -> pa.Table:
        """Return its tiles, with a null where it has not what others have."""
        table = _read(self.folder, parquet.read_table)
        values = self._values(labels)
        columns = []
        for field in schema:
            if field.name in table.column_names:
                columns.append(table[field.name].cast(field.type))
            else:
                value = pa.scalar(values.get(field.name), field.type)
                columns.append(pa.repeat(value, len(table)))
        return pa.table(columns, schema=schema)

    def _values(self, labels: CohortLabels | None) -> dict[str, str | None]:
        """Return what all its tiles have in common."""
        case = guess_case(self.name)
        if labels is not None:
            case = labels.case_of(self.name, case)
        return {
            "slide": self.name,
            "case": case,
            "label": None if labels is None else labels.by_case.get(case),
            "results": path_text(self.folder),
            "model": self.model,
            "classifier": self.record.classifier,
            "weights_sha256": self.record.model.weights_sha256,
        }


def _read(folder: Path, read: Callable[[BinaryIO], _Read]) -> _Read:
    """Read the tile table in a folder; raises `OutputError` if that fails."""
    path = folder / TABLE_NAME
    try:
        with path.open("rb") as stream:  # pyarrow itself takes no path that is not UTF-8
            return read(stream)
    except (OSError, pa.ArrowException) as error:
        raise OutputError(
            f"{path} is not there or damaged: score the slide again, with the same command; what "
            "was scored is kept."
        ) from error


def _schema(sources: Iterable[_Source]) -> pa.Schema:
    """Return the columns that the tables have together."""
    classes = dict.fromkeys(name for source in sources for name in source.classes)
    tiles = {field.name: field.type for field in tile_schema(list(classes))}
    return pa.schema(_SLIDE_TYPES | tiles | _MODEL_TYPES)


def _nothing_to_write(problems: dict[Path, SmseError]) -> OutputError:
    slides, first = counted(len(problems), "slides"), next(iter(problems.values()))
    return OutputError(f"There are no tiles of {slides} to write; the first: {first}")
