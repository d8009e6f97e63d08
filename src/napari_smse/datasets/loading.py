"""Labelled images from whatever lies at a path: one source, or a list of several."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_smse.annotations.geojson import NO_LABELS
from napari_smse.datasets.curation import Reading
from napari_smse.datasets.duplicate_images import merge_duplicate_images
from napari_smse.datasets.labelled_set import LabelledSet, Source, join_sets
from napari_smse.datasets.readers import (
    annotated_slides,
    breakhis,
    class_folders,
    image_table,
)
from napari_smse.datasets.scale_range import MPP_LIMITS
from napari_smse.errors import DataError

Positive = Annotated[float, Field(gt=0)]

_SUPPORTED: Final = (
    "an images.csv, BreakHis' file names (SOB_...), slides with .geojson of their name, or one "
    "sub-folder of images a class"
)


class ListedSource(BaseModel):
    """One ``[[source]]`` of a list of sources.

    Attributes
    ----------
    name
        Name, short and unique; begins the names of its cases.
    folder
        Folder, relative to the base of the list.
    title, organ, scanner, licence, citation, scale_note
        Entries of the model's card.
    um_per_px
        um/px of images that do not state theirs.
    mpp_range
        Finest and coarsest um/px that all its images support, instead of those found.
    classes
        Class of each label; other labels are skipped.
    keep
        Filter: only rows whose column has this value, or one of these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    folder: Path
    title: str = ""
    organ: str = "not stated"
    scanner: str = "not stated"
    licence: str = "not stated"
    citation: str = ""
    scale_note: str = ""
    um_per_px: Positive | None = None
    mpp_range: tuple[Positive, Positive] | None = None
    classes: dict[str, str] = Field(default_factory=dict)
    keep: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("mpp_range")
    @classmethod
    def _rises(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError("the finest µm/px comes first")
        return value

    def source(self) -> Source:
        """Return the source without how it is to be read."""
        return Source(
            name=self.name,
            organ=self.organ,
            scanner=self.scanner,
            licence=self.licence,
            citation=self.citation,
            scale_note=self.scale_note,
            title=self.title,
        )


class SourceList(BaseModel):
    """A list of sources that are learnt from together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: tuple[ListedSource, ...] = Field(min_length=1)


def read_training_set(
    path: Path | str,
    *,
    mpp: float | None = None,
    mpp_limits: tuple[float, float] = MPP_LIMITS,
    base: Path | str | None = None,
) -> LabelledSet:
    """Read labelled images; what cannot be used is listed in the result.

    Only headers of images are read here; a damaged picture shows when its pixels are. Files of the
    same content are one, whatever they are called, and so are their cases.

    Parameters
    ----------
    path
        A ``.toml`` list of sources; a folder (or its ``images.csv``) with a table of
        images, with BreakHis in any nesting, with annotated slides, or with one sub-folder
        a class. The first of these that is there counts.
    mpp
        um/px of images whose data do not state it; of slides, instead of what they state.
    mpp_limits
        Finest and coarsest um/px of the training.
    base
        Folder that those in a list are relative to; the list's own by default.

    Raises
    ------
    DataError
        There is nothing of these kinds, a table or list is wrong, or no image can be used.
    """
    path = Path(path)
    low, high = mpp_limits
    if not 0 < low <= high:
        raise DataError(f"Scales from {low:g} to {high:g} µm/px are no range: give finest first.")
    if path.is_file() and path.suffix.lower() == ".toml":
        labelled_set = _read_list(
            path, Path(base) if base is not None else path.parent, mpp, mpp_limits
        )
    else:
        labelled_set = _read_folder(path, mpp, mpp_limits)
    labelled_set = merge_duplicate_images(labelled_set)
    if not labelled_set.images:
        raise DataError(_nothing_usable(path, labelled_set))
    return labelled_set


def read_source_list(path: Path) -> SourceList:
    """Read a list of sources without the data.

    Raises
    ------
    DataError
        It is not TOML, or not a list of sources.
    """
    try:
        return SourceList.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    except ValidationError as error:
        raise DataError(f"{path} is no list of sources ({_first_reason(error)}).") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise DataError(
            f"{path} is not TOML ({str(error).splitlines()[0]}): correct it."
        ) from error


def _first_reason(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}"


def _read_list(
    path: Path, base: Path, mpp: float | None, limits: tuple[float, float]
) -> LabelledSet:
    sets = []
    for listed in read_source_list(path).source:
        folder = base / listed.folder
        if not folder.is_dir():
            raise DataError(f"{path} names the folder {folder}, which is not there: correct it.")
        reading = Reading(
            source=listed.source(),
            mpp=listed.um_per_px if listed.um_per_px is not None else mpp,
            mpp_limits=limits,
            mpp_range=_within(listed, limits),
            classes=listed.classes,
            keep={k: (v,) if isinstance(v, str) else v for k, v in listed.keep.items()},
        )
        sets.append(_reader_for(folder)(folder, reading))
    return join_sets(sets)


def _within(listed: ListedSource, limits: tuple[float, float]) -> tuple[float, float] | None:
    if listed.mpp_range is None:
        return None
    finest, coarsest = listed.mpp_range
    low, high = max(finest, limits[0]), min(coarsest, limits[1])
    if low > high:
        raise DataError(
            f"The source {listed.name} supports {finest:g} to {coarsest:g} µm/px "
            f"only, not {limits[0]:g} to {limits[1]:g}: leave it out."
        )
    return low, high


def _read_folder(path: Path, mpp: float | None, limits: tuple[float, float]) -> LabelledSet:
    folder = path.parent if path.is_file() and path.name == image_table.TABLE else path
    if not folder.is_dir():
        problem = "is not there" if not folder.exists() else "is a file, but no .toml or images.csv"
        raise DataError(f"{path} {problem}: give a folder of labelled images or a list of sources.")
    reader = _reader_for(folder)
    is_breakhis = reader is breakhis.read_breakhis
    source = breakhis.SOURCE if is_breakhis else Source(folder.resolve().name or "images")
    return reader(folder, Reading(source=source, mpp=mpp, mpp_limits=limits))


def _reader_for(folder: Path) -> Callable[[Path, Reading], LabelledSet]:
    """Return the reader of the kind of data that lies in a folder."""
    if (folder / image_table.TABLE).is_file():
        return image_table.read_image_table
    tables = sorted(path.parent.name for path in folder.glob(f"*/{image_table.TABLE}"))
    if tables:
        raise DataError(
            f"{folder} holds several data sets ({', '.join(tables)}): give one of them, or join "
            "them in a .toml list of sources."
        )
    if breakhis.holds_breakhis(folder):
        return breakhis.read_breakhis
    if annotated_slides.holds_annotated_slides(folder):
        return annotated_slides.read_annotated_slides
    if class_folders.holds_class_folders(folder):
        return class_folders.read_class_folders
    if (path := annotated_slides.detections_beside_slides(folder)) is not None:
        raise DataError(
            f"{folder} holds no labels: {path} has {NO_LABELS}. Draw regions on the slides (SMSE: "
            "Annotate, or QuPath) and save them under the slides' names."
        )
    raise DataError(f"{folder} holds no labelled images: looked for {_SUPPORTED}.")


def _nothing_usable(path: Path, labelled_set: LabelledSet) -> str:
    reasons = [f"{number} {reason}" for reason, number in labelled_set.count_skipped().items()]
    return f"No image in {path} can be used: {'; '.join(reasons[:3]) or 'none is chosen'}."
