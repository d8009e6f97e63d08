"""What an encoder is: where it comes from, how it is built and fed, and what its licence allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

TRUNK_PREFIX: Final = "encoder/"
"""Before the name of an encoder, where it is the trunk of a network."""
REBUILT_HERE: Final = "napari-smse"
"""The library of an architecture that no other library has."""
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Final = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and standard deviation of RGB in 0..1."""


class Pooling(StrEnum):
    """How the features of a tile are made of a network's output."""

    CLASS_TOKEN = "class token"
    CLASS_TOKEN_AND_MEAN = "class token and mean of the patch tokens"
    OWN = "the network's own"


class Gate(StrEnum):
    """Who may download the weights."""

    OPEN = "open"
    ASK = "terms to be accepted on the model's page"
    UNKNOWN = "not known for sure"


@dataclass(frozen=True)
class Architecture:
    """How a network is built.

    Attributes
    ----------
    library
        ``"timm"``, ``"transformers"``, or `REBUILT_HERE`.
    name
        timm's name of the network; the class of transformers, with its configuration's; or what
        `rebuilt_networks` calls it.
    arguments
        For timm's ``create_model``, for the configuration of transformers, or for the network.
        Layers stand by their names, such as ``"SwiGLUPacked"``.
    """

    library: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoder:
    """An encoder, with all that is needed to use it rightly.

    Attributes
    ----------
    name
        As this program calls it.
    aliases
        As TRIDENT, LazySlide, slide2vec and TIAToolbox call it.
    repository
        On the Hugging Face hub.
    architecture
        How it is built.
    pooling
        How features are made of its output.
    features
        Their number.
    parameters
        In millions.
    licence
        As stated by its authors.
    commercial
        Whether the licence allows commercial use.
    gate
        Who may download it.
    citation
        What to cite.
    normalisation
        Of RGB in 0..1.
    input_px
        Side of the tiles.
    mpp_range
        um/px that it was trained at.
    checkpoint
        File in the repository, where it is not the usual one.
    assumed
        What of the record was concluded or is remembered, and not read: the first to doubt where
        weights do not fit or results are odd.
    note
        What else a user has to know.
    """

    name: str
    aliases: tuple[str, ...]
    repository: str
    architecture: Architecture
    pooling: Pooling
    features: int
    parameters: float
    licence: str
    commercial: bool
    gate: Gate
    citation: str
    normalisation: Normalisation = IMAGENET
    input_px: int = 224
    mpp_range: tuple[float, float] = (0.5, 0.5)
    checkpoint: str = "model.safetensors"
    assumed: str = ""
    note: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """All names it is known by."""
        return (self.name, *self.aliases, self.repository)

    @property
    def description(self) -> str:
        """What it is and whose, as a model's card names what it comes from."""
        use = "" if self.commercial else ", no commercial use"
        return f"{self.name}, {self.repository} ({self.licence}{use}; {self.citation})"

    @property
    def trunk_name(self) -> str:
        """Its name as the trunk of a network."""
        return f"{TRUNK_PREFIX}{self.name}"
