"""What a WSInfer model's folder says of it, as a card. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_smse.errors import DamagedModelError

CONFIGURATION_NAME: Final = "config.json"
TORCHSCRIPT_SUFFIX: Final = ".pt"
STATE_NAME: Final = "model.safetensors"
OTHER_PREFIX: Final = "not "
"""Before the name of the only class of a model with one, for what is not of it."""
_LICENCE: Final = re.compile(r"^license:\s*(\S.*?)\s*$", re.MULTILINE)
_MOST_README_BYTES: Final = 100_000
Channels = tuple[float, float, float]


class TransformArguments(BaseModel):
    """Arguments of a step of preprocessing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: Annotated[int, Field(ge=1)] | None = None
    mean: Channels | None = None
    std: Channels | None = None


class TransformStep(BaseModel):
    """A step of preprocessing, in the words of torchvision."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["Resize", "ToTensor", "Normalize"]
    arguments: TransformArguments | None = None


class WsinferConfiguration(BaseModel):
    """`config.json` of a WSInfer model, specification 1.0; further keys are left alone.

    Attributes
    ----------
    class_names
        In the order of the logits.
    patch_size_pixels, spacing_um_px
        Side of the field that a tile shows, in px at a um/px, before it is resized.
    transform
        What is done with its pixels.
    architecture
        Meant to be timm's name of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_classes: Annotated[int, Field(ge=1)]
    class_names: tuple[str, ...]
    patch_size_pixels: Annotated[int, Field(ge=1)]
    spacing_um_px: Annotated[float, Field(gt=0)]
    transform: tuple[TransformStep, ...]
    architecture: str = ""
    spec_version: str = "1.0"
    object_based: bool = False

    @field_validator("spec_version", mode="before")
    @classmethod
    def _known_version(cls, value: Any) -> Any:
        if str(value) != "1.0":
            raise ValueError(f"version {value} of the format is not known")
        return str(value)

    @model_validator(mode="after")
    def _consistent(self) -> WsinferConfiguration:
        if len(self.class_names) != self.num_classes:
            raise ValueError("class_names are not num_classes")
        if len(set(self.class_names)) != len(self.class_names) or "" in self.class_names:
            raise ValueError("class_names are empty or not unique")
        if not all(name.isprintable() for name in self.class_names):
            raise ValueError("class_names cannot be printed")
        if self.object_based:
            raise ValueError("it judges objects, not tiles")
        return self

    @property
    def input_px(self) -> int:
        """Side of the tile that the network takes, px."""
        sizes = [step.arguments.size for step in self._steps("Resize") if step.arguments]
        return next((size for size in sizes if size is not None), self.patch_size_pixels)

    @property
    def mpp(self) -> float:
        """Scale of that tile, um/px."""
        return self.patch_size_pixels * self.spacing_um_px / self.input_px

    @property
    def normalisation(self) -> tuple[Channels, Channels] | None:
        """Mean and standard deviation of RGB in 0..1; None if pixels are not normalised."""
        for step in self._steps("Normalize"):
            if step.arguments and step.arguments.mean and step.arguments.std:
                return step.arguments.mean, step.arguments.std
        return None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: of a model with one, also of what is not of it, first."""
        if len(self.class_names) > 1:
            return self.class_names
        return OTHER_PREFIX + self.class_names[0], self.class_names[0]

    def _steps(self, name: str) -> list[TransformStep]:
        return [step for step in self.transform if step.name == name]


def is_wsinfer_model(path: str | Path) -> bool:
    """Tell whether a path is a WSInfer model's folder, or a file of one."""
    return _folder(Path(path)) is not None


def wsinfer_paths(path: str | Path) -> tuple[Path, Path]:
    """Return the TorchScript archive and the configuration of a WSInfer model.

    Parameters
    ----------
    path
        Its folder, its archive, or its configuration.

    Raises
    ------
    DamagedModelError
        There is no archive, or more than one.
    """
    given = Path(path)
    folder = _folder(given)
    assert folder is not None
    if given.suffix == TORCHSCRIPT_SUFFIX and given.is_file():
        return given, folder / CONFIGURATION_NAME
    archives = sorted(folder.glob(f"*{TORCHSCRIPT_SUFFIX}"))
    if len(archives) != 1:
        found = "no TorchScript archive" if not archives else "more than one TorchScript archive"
        raise DamagedModelError(
            f"{folder} has {found} ({TORCHSCRIPT_SUFFIX}) beside {CONFIGURATION_NAME}: get the "
            "model again, or name the archive."
        )
    return archives[0], folder / CONFIGURATION_NAME


def _folder(path: Path) -> Path | None:
    folder = path if path.is_dir() else path.parent
    is_of_it = path.is_dir() or path.name == CONFIGURATION_NAME or path.suffix == TORCHSCRIPT_SUFFIX
    return folder if is_of_it and (folder / CONFIGURATION_NAME).is_file() else None


def read_configuration(path: Path) -> WsinferConfiguration:
    """Read a `config.json`.

    Raises
    ------
    DamagedModelError
        It cannot be read, or says something impossible.
    """
    try:
        return WsinferConfiguration.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            reason = f"{place}: {first['msg']}" if place else str(first["msg"])
        else:
            reason = error.strerror or str(error)
        raise DamagedModelError(
            f"{path} is no configuration of a WSInfer model ({reason}): get the model again."
        ) from error


def stated_licence(folder: Path) -> str:
    """Return the licence that a model's README names; *not stated* if there is none."""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            found = _LICENCE.search(file.read(_MOST_README_BYTES))
    except OSError:
        found = None
    return found[1] if found else "not stated"
