"""Recipes: everything that decides how a network is trained, in one record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_smse.datasets.scale_range import MPP_LIMITS
from napari_smse.losses.miners import Mining
from napari_smse.models.encoders import TRUNK_PREFIX, find_encoder
from napari_smse.models.trunk import DEFAULT_TRUNK, STAGES_SUFFIX

Similarity = Literal["none", "pair", "triplet"]
Classification = Literal["cross-entropy", "focal", "reinforced focal"]
Trainable = Literal["head", "stage", "all"]

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]

_USUAL_GAMMA = {"focal": 2.0, "reinforced focal": 1.5}


class Recipe(BaseModel):
    """How to train a network; goes into its card.

    A field with an alias has that name in files, and may be given by either.

    Attributes
    ----------
    network
        Trunk name for `build_trunk`, ``"encoder/"`` and the name of an encoder, or ``"smse_cnn"``.
    random_weights
        Begin with random weights where there are no others for the network: to train all of it.
    embedding_dim
        Length of the embedding; the paper's network has its own.
    pca_start
        Start the embedding from the principal components of the trunk's features of training
        crops. False keeps the heads as they come, to go on with a trained model.
    tile_px
        Side of the crops, px.
    similarity, similarity_weight, margin, mining
        Similarity loss, how it weighs beside the classification loss, its margin (in distance
        for pairs, squared distance for triplets), and which pairs or triplets of a batch count.
    classification, gamma, label_smoothing
        Classification loss; focus of the focal losses (none: 2 for focal, 1.5 for reinforced
        focal); smoothing, for cross-entropy only.
    trainable
        The heads, also the trunk's last stage, or all.
    frozen_stages
        So many of the trunk's first stages, and what is before them, stay as they are where all
        learns. Their maps are large: the first two of EfficientNet-Lite0's seven hold 0.5 % of the
        weights and take half of the time of a step.
    learning_rate, trunk_learning_rate
        Highest learning rates of the heads and of what is trainable of the trunk.
    steps, warm_up
        Of the cosine schedule.
    weight_decay, clip_norm
        Of AdamW; largest norm of the gradient (0: not clipped).
    cases_per_class, crops_per_case
        P and K of the batches.
    mpp_limits
        Finest and coarsest um/px of the crops.
    stain, colour, blur
        Strength of the stain jitter (1 is strong) and of the colour jitter (0.1: by a tenth);
        share of crops that are blurred.
    glass
        Share of crops of which a part is covered with bare glass, so that how much tissue a tile
        holds says nothing of its class.
    ema_decay
        Of the running average of the weights, which is then what is judged and kept; 0 is off.
    trunk_share
        How much of what the trunk learnt it keeps in the end: its weights lie so far between those
        it started with (0) and those it learnt (1). The heads learn while it moves, whatever the
        share. A trunk near its start holds better on images of other laboratories.
    feature_noise
        Normal noise on the trunk's features in training, in standard deviations of each feature, so
        that the heads do not lean on single ones.
    distillation_weight
        Weight of the distance between the trunk's features and those it started with.
    consistency_weight
        Weight of `place_contrast`: the crops of a case then show one place at several
        magnifications, each changed in its own way, and are to be found among all others; 0: they
        show any places.
    validate_every, patience
        Steps between two looks at the validation cases; after how many without improvement
        training stops (0: never).
    seed
        Of all that is drawn.
    precision
        Of the arithmetic inside the trunk; weights and losses are always float32.
    threads
        That read images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    network: str = DEFAULT_TRUNK
    random_weights: bool = False
    embedding_dim: Count = 128
    pca_start: bool = True
    tile_px: Annotated[int, Field(ge=8)] = 224
    similarity: Similarity = "triplet"
    similarity_weight: NotNegative = 1.0
    margin: Positive = 0.2
    mining: Mining = Mining.SEMI_HARD
    classification: Classification = "focal"
    gamma: NotNegative | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    trainable: Annotated[Trainable, Field(alias="learns")] = "stage"
    frozen_stages: Annotated[int, Field(ge=0)] = 0
    learning_rate: Annotated[Positive, Field(alias="rate")] = 1e-3
    trunk_learning_rate: Annotated[Positive, Field(alias="trunk_rate")] = 1e-4
    steps: Count = 600
    warm_up: Annotated[int, Field(ge=0)] = 30
    weight_decay: NotNegative = 1e-2
    clip_norm: NotNegative = 1.0
    cases_per_class: Count = 8
    crops_per_case: Count = 4
    mpp_limits: tuple[Positive, Positive] = MPP_LIMITS
    stain: NotNegative = 1.0
    colour: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    blur: Fraction = 0.5
    glass: Fraction = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.98
    trunk_share: Fraction = 1.0
    feature_noise: NotNegative = 0.0
    distillation_weight: Annotated[NotNegative, Field(alias="distillation")] = 0.0
    consistency_weight: Annotated[NotNegative, Field(alias="consistency")] = 0.0
    validate_every: Count = 50
    patience: Annotated[int, Field(ge=0)] = 6
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: Count = 2

    @field_validator("classification", mode="before")
    @classmethod
    def _with_a_space(cls, value: Any) -> Any:
        return value.replace("-focal", " focal") if isinstance(value, str) else value

    @field_validator("network")
    @classmethod
    def _as_listed(cls, value: str) -> str:
        if not value.startswith(TRUNK_PREFIX):
            return value
        return find_encoder(value.removeprefix(TRUNK_PREFIX)).trunk_name

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.mpp_limits[0] > self.mpp_limits[1]:
            raise ValueError("mpp_limits must rise")
        if self.label_smoothing and self.classification != "cross-entropy":
            raise ValueError("label_smoothing goes with cross-entropy only")
        if self.network.startswith(TRUNK_PREFIX) and self.trainable != "head":
            raise ValueError("of a network on an encoder, only the head can learn")
        if self.trunk_share < 1 and self.trainable == "head":
            raise ValueError("trunk_share goes with a trunk that learns only")
        if self.consistency_weight and self.trainable == "head":
            raise ValueError("consistency_weight goes with a trunk that learns only")
        return self

    @property
    def focus(self) -> float:
        """The classification loss's gamma, the usual one if none is given."""
        if self.classification == "cross-entropy":
            return 0.0
        return _USUAL_GAMMA[self.classification] if self.gamma is None else self.gamma


def on_encoder(name: str) -> dict[str, Any]:
    """Return the fields of a recipe that learns heads on an encoder.

    Parameters
    ----------
    name
        Of the encoder, in any tool's spelling.

    Raises
    ------
    UnknownEncoderError
        None is called so.
    """
    encoder = find_encoder(name)
    return {
        "network": encoder.trunk_name,
        "tile_px": encoder.input_px,
        "mpp_limits": encoder.mpp_range,
        "trainable": "head",
    }


def why_impossible(error: ValidationError) -> str:
    """Return the first field of a recipe that is wrong, and why."""
    first = error.errors()[0]
    place = " ".join(str(part) for part in first["loc"]) or "recipe"
    return f"{place}: {first['msg']}"


def default_recipe() -> Recipe:
    """Return the recipe the bundled model is made by, which cross-validation chose.

    Its heads only are trained, so a few minutes on a CPU are enough; research/EXPERIMENTS.md has
    what it was compared with.
    """
    return Recipe(
        network=f"{DEFAULT_TRUNK}{STAGES_SUFFIX}",
        trainable="head",
        classification="cross-entropy",
        steps=200,
        cases_per_class=12,
        stain=0.3,
        colour=0.0,
        blur=0.0,
    )
