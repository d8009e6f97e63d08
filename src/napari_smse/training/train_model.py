"""From labelled images to a saved model: train, calibrate, measure, write what it knows."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from napari_smse.datasets.labelled_set import LabelledSet, Source
from napari_smse.datasets.leakage import training_hashes
from napari_smse.datasets.splits import hold_out
from napari_smse.metrics.calibration import apply_temperature, fit_temperature
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import Summary, summarise
from napari_smse.models import (
    Metric,
    ModelCard,
    TrainingSource,
    read_card,
    save_model,
)
from napari_smse.models.card import EncoderWeights
from napari_smse.models.encoders.construction import EncoderTrunk
from napari_smse.models.encoders.encoder_card import encoder_weights
from napari_smse.models.model_files import model_stem, new_model_paths
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.training.model_companions import save_model_companions
from napari_smse.training.paper.recipe import PaperRecipe
from napari_smse.training.paper.trainer import train_paper
from napari_smse.training.recipe import Recipe
from napari_smse.training.trainer import TrainingProgress, predict_images, train

VERSION: Final = "1"
_LIMITS: Final = (
    "Research use only; not a medical device, not for diagnosis.",
    "Outside the scales, organs and stains it was trained on, results mean nothing.",
)
_WHOLE_FRAMES: Final = (
    "It takes whole frames of 700 x 460 px, as BreakHis has them, and cannot score slides."
)
_FRAME_PX: Final = 460
_SHOWN: Final = (
    "auc",
    "auc_within_stratum",
    "patient_recognition_rate",
    "balanced_accuracy",
    "ece",
)


@dataclass(frozen=True)
class TrainedModel:
    """A model that was saved.

    Attributes
    ----------
    path
        Of the weights.
    summary
        Figures on the validation cases; none if there were none.
    """

    path: Path
    card: ModelCard
    summary: Summary | None


class ModelTrainer:
    """Trains a network on some cases, calibrates and measures it on the others, saves it.

    Parameters
    ----------
    labelled_set
        What may be learnt from.
    recipe
        How.
    network
        To train in place.
    out
        Path of the model; its training's checkpoint and logs go to ``OUT.training``.
    parent
        What the network started from.
    validation_fraction
        Of the cases; they choose the weights and the temperature.
    device
        For torch.

    Raises
    ------
    DataError
        A class is empty, or there is only one case.
    """

    def __init__(
        self,
        labelled_set: LabelledSet,
        recipe: Recipe | PaperRecipe,
        network: SmseNetwork | SmseCnn,
        out: Path,
        *,
        parent: str = "",
        validation_fraction: float = 0.2,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        labelled_set.require_trainable()
        self.labelled_set = labelled_set
        self.recipe = recipe
        self.network = network
        self.stem = model_stem(out)
        self.parent = parent
        self.device = device
        every = range(len(labelled_set.images))
        self.training, self.validation = hold_out(
            labelled_set.images, every, validation_fraction, seed
        )

    @property
    def folder(self) -> Path:
        """Where checkpoint and logs lie."""
        return self.stem.with_name(self.stem.name + ".training")

    def discard(self) -> None:
        """Remove an older model and its training, so that a stop leaves no doubt what is whose."""
        for path in new_model_paths(self.stem, overwrite=True):
            path.unlink(missing_ok=True)
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def run(self) -> Generator[TrainingProgress, None, None]:
        """Train, or go on with a training that was stopped."""
        options: dict[str, Any] = {
            "training": self.training,
            "validation": self.validation,
            "folder": self.folder,
            "device": self.device,
        }
        if isinstance(self.recipe, Recipe):
            yield from train(self.network, self.labelled_set, self.recipe, **options)
            return
        assert isinstance(self.network, SmseCnn)
        yield from train_paper(self.network, self.labelled_set, self.recipe, **options)

    def finish(self) -> TrainedModel:
        """Calibrate and measure on the validation cases; save with exemplars and reference."""
        self.network.eval()
        summary, temperature = None, 1.0
        if self.validation:
            images = [self.labelled_set.images[i] for i in self.validation]
            logits = predict_images(self.network, images, tile_px=self._tile_px, device=self.device)
            logits = logits.float().cpu()
            labels = torch.tensor([image.label for image in images])
            temperature = fit_temperature(logits, labels)
            _apply(temperature, self.network)
            held_out = HeldOutPredictions.from_fold(self.validation, logits / temperature)
            summary = summarise(held_out, self.labelled_set)
        card = self._card(summary, temperature)
        path = save_model(self.network, card, self.stem)
        if isinstance(self.network, SmseNetwork):
            training_set = LabelledSet(
                self.labelled_set.classes, tuple(self.labelled_set.select(self.training))
            )
            weights = read_card(path).weights_sha256
            save_model_companions(self.network, training_set, card.tile_px, path, weights)
        return TrainedModel(path, card, summary)

    def _card(self, summary: Summary | None, temperature: float) -> ModelCard:
        network, data = self.network, self.labelled_set
        return ModelCard(
            name=self.stem.name,
            version=VERSION,
            classes=data.classes,
            tile_px=self._tile_px,
            mpp_range=self._mpp_range(),
            trunk=network.trunk_name,
            embedding_dim=_embedding_dim(network),
            training=training_sources(data, [*self.training, *self.validation]),
            recipe={**recipe_facts(self.recipe), "temperature": round(temperature, 4)},
            figures=validation_figures(summary, data),
            limits=_LIMITS + ((_WHOLE_FRAMES,) if isinstance(network, SmseCnn) else ()),
            parent=self.parent,
            encoder=_encoder_of(network),
        )

    @property
    def _tile_px(self) -> int:
        return self.recipe.tile_px if isinstance(self.recipe, Recipe) else _FRAME_PX

    def _mpp_range(self) -> tuple[float, float]:
        images = [self.labelled_set.images[i] for i in self.training]
        if isinstance(self.network, SmseCnn) or isinstance(self.recipe, PaperRecipe):
            # It sees images as they are, at their own scale.
            return min(image.mpp for image in images), max(image.mpp for image in images)
        supported = min(i.mpp_range[0] for i in images), max(i.mpp_range[1] for i in images)
        low = max(supported[0], self.recipe.mpp_limits[0])
        high = min(supported[1], self.recipe.mpp_limits[1])
        # Images that support none of the recipe's scales are cropped at those they do.
        return (low, high) if low <= high else supported


def _apply(temperature: float, network: SmseNetwork | SmseCnn) -> None:
    if isinstance(network, SmseNetwork):
        apply_temperature(network, temperature)
        return
    last = network.class_head[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.div_(temperature)
        last.bias.div_(temperature)


def _encoder_of(network: torch.nn.Module) -> EncoderWeights | None:
    """Return what a card says of the encoder of a network of heads alone."""
    if not isinstance(network, SmseNetwork) or not isinstance(network.trunk, EncoderTrunk):
        return None
    return encoder_weights(network.trunk.encoder, network.trunk.weights_sha256)


def _embedding_dim(network: SmseNetwork | SmseCnn) -> int:
    head = network.embedding_head
    last = head[-1] if isinstance(head, torch.nn.Sequential) else head
    assert isinstance(last, torch.nn.Linear)
    return last.out_features


def recipe_facts(recipe: Recipe | PaperRecipe) -> dict[str, str | int | float]:
    """Return a recipe as a card has it: flat, and only numbers and words."""
    return dict(_flat(recipe.model_dump(mode="json", by_alias=True)))


def _flat(
    values: Mapping[str, object], before: str = ""
) -> Iterator[tuple[str, str | int | float]]:
    for key, value in values.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif isinstance(value, int | float | str):
            yield name, value
        elif value is not None:
            yield name, str(value)


def training_sources(labelled_set: LabelledSet, used: Sequence[int]) -> tuple[TrainingSource, ...]:
    """Describe each source as far as it was used, its cases by hash only."""
    images = [labelled_set.images[i] for i in used]
    found = []
    for name in dict.fromkeys(image.source for image in images):
        own = tuple(image for image in images if image.source == name)
        part = LabelledSet(labelled_set.classes, own)
        numbers, cases = part.count()
        source = labelled_set.sources.get(name) or Source(name)
        found.append(
            TrainingSource(
                name=source.title or source.name,
                organ=source.organ,
                scanner=source.scanner,
                licence=source.licence,
                citation=source.citation,
                scale_note=source.scale_note,
                mpp_range=(
                    min(image.mpp_range[0] for image in own),
                    max(image.mpp_range[1] for image in own),
                ),
                images=numbers,
                cases=cases,
                cases_total=len(part.cases),
                case_hashes=tuple(sorted(training_hashes(own))),
            )
        )
    return tuple(found)


def validation_figures(summary: Summary | None, labelled_set: LabelledSet) -> tuple[Metric, ...]:
    """Describe the figures on the validation cases, and what they were used for."""
    if summary is None:
        return ()
    sources = ", ".join(dict.fromkeys(image.source for image in labelled_set.images))
    how = (
        f"{summary.images} images of {summary.cases} cases held out of the training, but the "
        "weights and the temperature were chosen by them; 95 % interval from 1,000 bootstraps of "
        "cases"
    )
    return tuple(
        Metric(
            data=f"{sources}, validation cases",
            metric=name.replace("_", " "),
            value=round(estimated.value, 3),
            low=None if estimated.low is None else round(estimated.low, 3),
            high=None if estimated.high is None else round(estimated.high, 3),
            how=how,
        )
        for name, estimated in summary.estimates.items()
        if name in _SHOWN and estimated.value is not None
    )
