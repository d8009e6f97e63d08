"""What was done to a slide, with what and when: `run.json`."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from napari_smse.atomic_write import atomic_path
from napari_smse.errors import OutputError
from napari_smse.results.folder import RECORD_NAME
from napari_smse.scoring import UNSIGNED, describe_scale
from napari_smse.scoring.device import Quantisation

_PACKAGES = (
    "napari-smse",
    "torch",
    "torchvision",
    "timm",
    "openslide-python",
    "openslide-bin",
    "tifffile",
    "imagecodecs",
    "numpy",
    "zarr",
    "pyarrow",
)


CLASS_HEAD: Final = "class head"
"""The default classifier."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SlideRecord(_Record):
    """The slide, and its um/px."""

    path: str
    quick_hash: str
    backend: str
    width: PositiveInt
    height: PositiveInt
    mpp: PositiveFloat
    mpp_source: str
    objective_power: float | None = None


class ModelRecord(_Record):
    """The network that gave the probabilities."""

    name: str
    version: str
    weights_sha256: str
    classes: tuple[str, ...]


class ScaleRecord(_Record):
    """Tiles of one scale: all, and those scored, which are fewer only if time was up."""

    mpp: PositiveFloat
    tile_px: PositiveInt
    stride_px: PositiveFloat
    tiles: NonNegativeInt
    scored: NonNegativeInt | None = None
    in_trained_range: bool = True


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a result depends on; none is imported."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


class RunRecord(_Record):
    """The record of a result, from which a run can be repeated.

    Attributes
    ----------
    device
        Device by name, as it was shown to the user.
    precision
        Number format of the network's inner work, such as `float32`.
    quantisation
        Of scores in int8: by which network, and how far its outputs lie from float32's.
    started, finished
        Time with its zone.
    seconds
        Time spent scoring; less than `finished - started` if the run was resumed.
    classifier
        Classifier that gives the probabilities from the model's embeddings: its class head, or
        exemplars.
    settings
        Settings of the user: overlap, minimum tissue, region of interest ...
    warnings
        One line each, as shown to the user.
    """

    format: Literal[1] = 1
    notice: str = "Research use only. Not a medical device; not for diagnosis."
    slide: SlideRecord
    model: ModelRecord
    classifier: str = CLASS_HEAD
    scales: tuple[ScaleRecord, ...]
    device: str
    precision: str
    quantisation: Quantisation | None = None
    started: datetime
    finished: datetime
    seconds: float = Field(ge=0)
    settings: dict[str, Any] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=package_versions)


def write_run_json(path: Path, record: RunRecord) -> None:
    """Write a run's record, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_path(path) as part:
        part.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> RunRecord:
    """Return the record of results; raises `OutputError` if there is none that can be read."""
    path = folder / RECORD_NAME
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise OutputError(
            f"{folder} has no {RECORD_NAME}, so its results are not whole: score the slide again, "
            "with the same command; what was scored is kept."
        ) from error
    except (ValidationError, OSError) as error:
        raise OutputError(
            f"{path} is no readable record of a run: score the slide again."
        ) from error


def provenance(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield what a reader needs to repeat a run: names, and values as text.

    Parameters
    ----------
    record
        The record of the run; its slide and model need not be here.
    """
    slide, model = record.slide, record.model
    yield "Slide", slide.path
    yield "Quick hash (SHA-256)", slide.quick_hash
    yield "Size", f"{slide.width:,} x {slide.height:,} px, read by {slide.backend}"
    yield "µm/px of level 0", f"{slide.mpp:.4g}, from {slide.mpp_source}"
    yield "Model", f"{model.name} {model.version}"
    yield "Weights (SHA-256)", model.weights_sha256 or "not stated"
    if record.classifier != CLASS_HEAD:
        yield "Probabilities by", record.classifier
    yield "Scales", "; ".join(describe_scale(one.mpp) for one in record.scales)
    yield "Computed on", f"{record.device}, {record.precision}, {record.seconds:.0f} s"
    yield "Scored", f"{record.started:%Y-%m-%d %H:%M %Z} to {record.finished:%Y-%m-%d %H:%M %Z}"
    stated = {name: value for name, value in record.settings.items() if name not in UNSIGNED}
    yield "Settings", ", ".join(_setting(name, stated[name]) for name in stated) or "none"
    yield "Versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())


def _setting(name: str, value: Any) -> str:
    """A setting of a run in words, where it has such; else as JSON."""
    match name, value:
        case "mpps", list():
            return " and ".join(f"{mpp:g}" for mpp in value) + " µm/px"
        case "overlap", float() | int():
            return f"tiles overlap by {value:.0%}" if value else "no overlap"
        case "min_tissue", float() | int():
            return f"tiles with at least {value:.0%} of tissue"
        case "roi", None:
            return "whole slide"
        case "roi", str():
            return f"a region (hash {value})"
    return f"{name} {json.dumps(value)}"
