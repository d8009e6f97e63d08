"""Model cards: what a model knows about itself. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_smse.checksum import with_checksum, without_checksum
from napari_smse.errors import ModelError

BUNDLED_FOLDER: Final = Path(__file__).parent / "bundled"
WHOLE_IMAGE_TRUNK: Final = "smse_cnn"
BUNDLED_NAME: Final = "smse_v1"
WEIGHTS_SUFFIX: Final = ".safetensors"
CARD_SUFFIX: Final = ".json"
EXEMPLARS_SUFFIX: Final = f".exemplars{WEIGHTS_SUFFIX}"
OOD_REFERENCE_SUFFIX: Final = f".looks{CARD_SUFFIX}"
"""What a model's training tiles look like (`similarity.ood.reference`)."""
TRAINING_IMAGES: Final = "training images"
"""Of a card's recipe: how many images a fine-tuning learnt from."""

Probability = Annotated[float, Field(ge=0, le=1)]
Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[int, int, int]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingSource(_Strict):
    """One data set that went into the training.

    `images` and `cases` count by class name; a case with both classes counts in both.
    `case_hashes` show whether a case, or a slide, was trained on without naming it (`case_hash`).
    """

    name: str
    organ: str
    scanner: str
    licence: str
    citation: str = ""
    mpp_range: tuple[float, float] | None = None
    scale_note: str = ""
    images: dict[str, int] = Field(default_factory=dict)
    cases: dict[str, int] = Field(default_factory=dict)
    cases_total: int = 0
    case_hashes: tuple[str, ...] = ()


class Metric(_Strict):
    """One held-out metric, with its interval and how it was measured."""

    data: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    how: str


class ExpectedOutput(_Strict):
    """The probabilities a generated tile must get, by class name."""

    tile: int
    probabilities: dict[str, Probability]


class Undecided(_Strict):
    """Probabilities of the second class between which nothing is to be called.

    `accuracy` is what was reached outside of them on held-out cases, on a fraction
    `coverage` of the images; `target` is what was required.
    """

    low: Probability
    high: Probability
    accuracy: Probability | None
    coverage: Probability
    target: Probability


class EncoderWeights(_Strict):
    """The weights that a model's heads stand on, where its own file does not hold them.

    `name` is the encoder's in the catalogue; `sha256` is of the file of its weights, and empty if
    only features that it made are at hand.
    """

    name: str
    repository: str
    licence: str
    commercial: bool
    sha256: str


class ModelCard(_Strict):
    """What a model is, what it was trained on, and which outputs it must give.

    Attributes
    ----------
    classes
        Class names in the order of the logits; a single one is what every tile is to a model that
        knows no classes.
    class_colours
        Colours to show classes in, RGB 0..255; classes without one get a usual colour.
    tile_px
        Side of the tiles the network was trained on, in px at the target scale.
    mpp_range
        Smallest and largest um/px seen in training; outside it, results mean nothing.
    undecided
        The band of probabilities to abstain in.
    prototypes, outlier_thresholds
        Of older cards only: each class's mean embedding, of length 1, and by um/px a distance to
        them. Checked when such a card is read, used by nothing, and not written again.
    expected
        Self-test: probabilities of generated tiles, by class name.
    weights_sha256
        SHA-256 of the weights file, checked at load.
    parent
        Model that the training started from.
    encoder
        Of a model of heads alone: the encoder that they were learnt on.
    has_embedding
        Whether its embeddings say what a tile looks like; if not, all tiles have the same.
    """

    name: str
    version: str
    classes: tuple[str, ...] = Field(min_length=1)
    class_colours: dict[str, tuple[Byte, Byte, Byte]] = Field(default_factory=dict)
    tile_px: int = Field(default=224, gt=0)
    mpp_range: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    trunk: str
    embedding_dim: int = Field(gt=0)
    training: tuple[TrainingSource, ...] = ()
    recipe: dict[str, str | int | float] = Field(default_factory=dict)
    figures: tuple[Metric, ...] = ()
    intended_use: str = "Research use only."
    limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    undecided: Undecided | None = None
    prototypes: dict[str, tuple[float, ...]] = Field(default_factory=dict, exclude=True)
    outlier_thresholds: dict[str, float] = Field(default_factory=dict, exclude=True)
    expected: tuple[ExpectedOutput, ...] = ()
    weights_sha256: str = ""
    parent: str = ""
    encoder: EncoderWeights | None = None
    has_embedding: bool = True

    @property
    def label(self) -> str:
        """Name and version, as maps, tables and files call the model."""
        return f"{self.name} {self.version}"

    @property
    def trained_scales(self) -> str:
        """The um/px seen in training, as words: ``0.2-0.6``, or one number."""
        low, high = self.mpp_range
        return f"{low:.4g}" if low == high else f"{low:.4g}-{high:.4g}"

    @property
    def knows_classes(self) -> bool:
        """Whether it tells tiles apart by class, rather than embedding them alone."""
        return len(self.classes) > 1

    @property
    def takes_tiles(self) -> bool:
        """Whether the network takes tiles, rather than whole images of one size."""
        return self.trunk != WHOLE_IMAGE_TRUNK

    @model_validator(mode="after")
    def _consistent(self) -> ModelCard:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ")
        if not self.knows_classes and self.encoder is None:
            raise ValueError("there must be two classes at least")
        if strange := sorted(set(self.class_colours) - set(self.classes)):
            raise ValueError(f"class_colours names other classes: {', '.join(strange)}")
        if self.mpp_range[0] > self.mpp_range[1]:
            raise ValueError("mpp_range must rise")
        if self.prototypes and set(self.prototypes) != set(self.classes):
            raise ValueError("prototypes are of other classes")
        if any(len(prototype) != self.embedding_dim for prototype in self.prototypes.values()):
            raise ValueError("prototypes must be as long as the embedding")
        for output in self.expected:
            if set(output.probabilities) != set(self.classes):
                raise ValueError(f"expected output of tile {output.tile} names other classes")
        return self


def require_embedding(card: ModelCard) -> None:
    """Refuse to compare tiles by a model that gives probabilities alone.

    Raises
    ------
    ModelError
        It gives no embeddings.
    """
    if not card.has_embedding:
        raise ModelError(
            f"{card.label} gives probabilities, and no embeddings to compare tiles by: score with "
            "a model that does, such as the bundled one."
        )


def require_classes(card: ModelCard) -> None:
    """Refuse to judge by an encoder alone, which knows no classes.

    Raises
    ------
    ModelError
        It knows none.
    """
    if not card.knows_classes:
        raise ModelError(
            f"{card.name} knows no classes: fine-tune it on drawn regions, or learn heads on it by "
            f"`napari-smse train DATA --encoder {card.name} --out MODEL`."
        )


def case_hash(case: str) -> str:
    """Return the short hash by which a card remembers a case."""
    return hashlib.sha256(case.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def card_json(card: ModelCard) -> str:
    """Return the card as indented JSON, with its checksum."""
    facts = with_checksum(card.model_dump(mode="json"))
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def parse_card(content: str | bytes, path: Path) -> ModelCard:
    """Return the card that `card_json` wrote; the path is for the log.

    Raises
    ------
    ValueError
        It is none, or does not have its checksum.
    """
    facts = json.loads(content)
    if not isinstance(facts, dict):
        raise ValueError("it is no JSON object")
    return ModelCard.model_validate_json(json.dumps(without_checksum(facts, path)))
