"""Labelled tiles of which only the embeddings are at hand, to learn from beside drawn regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from napari_smse.annotations.case_id import guess_case
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import TrainingError
from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from napari_smse.metrics.estimate import Estimate, share_estimate
from napari_smse.models import Model, SmseNetwork
from napari_smse.similarity.bank_file import bank_of_weights
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.slides import Region, Slide
from napari_smse.training.prediction import TileOutputs


@dataclass(frozen=True)
class ExemplarTile:
    """A labelled tile, as a bank of exemplars holds it.

    Attributes
    ----------
    embedding, logits
        ``(d,)`` of length 1 and ``(classes,)``, by the model to tune.
    class_name
        Its class.
    mpp
        um/px.
    slide, case
        Quick hash of its slide, and the case that the slide is of.
    path
        Of the slide, if that is open; else only a name to tell slides apart by.
    slide_mpp
        um/px of the slide; of the tile, if the slide is not open.
    region
        On the slide, level-0 px.
    drawn
        Which of the areas drawn on the slide it is of, where that is known.
    appearance
        ``(k,)``, what it looks like; NaN if that is not known.
    """

    embedding: Tensor
    logits: Tensor
    class_name: str
    mpp: float
    slide: str
    case: str
    path: Path
    slide_mpp: float
    region: Region
    drawn: str = ""
    appearance: NDArray[np.float32] | None = None

    def image(self, label: int, source: str) -> LabelledImage:
        """Return it as an image of this class, from this source."""
        return LabelledImage(
            path=self.path,
            label=label,
            case=f"{source} {self.case}",
            mpp=self.slide_mpp,
            mpp_range=(self.mpp, self.mpp),
            source=source,
            stratum=f"{source} {self.mpp:g}",
            region=self.region,
            drawn=self.drawn,
        )

    @property
    def outputs(self) -> TileOutputs:
        """Outputs of the model for it."""
        return TileOutputs(self.embedding[None], self.logits[None], torch.tensor([self.mpp]))


def embedding_outputs(
    embeddings: NDArray[np.floating], model: Model
) -> list[tuple[Tensor, Tensor]]:
    """Return embeddings of length 1, and the class head's logits of each.

    Parameters
    ----------
    embeddings
        ``(n, d)``, by the model.

    Raises
    ------
    TrainingError
        The model is one whose heads cannot be tuned.
    """
    network = model.network
    if not isinstance(network, SmseNetwork):
        raise TrainingError(
            f"Model {model.card.name} has no embedding to learn reference tiles from: use the "
            "bundled one or one made by `napari-smse train`."
        )
    normalized = normalize(torch.from_numpy(np.asarray(embeddings, dtype=np.float32)), dim=1)
    with torch.inference_mode():
        logits = network.class_head(normalized.to(network.class_head.weight.dtype)).float()
    return list(zip(normalized, logits.clone(), strict=True))


def exemplar_tiles_of(
    bank: ExemplarBank, slides: Sequence[Slide], model: Model
) -> list[ExemplarTile]:
    """Return exemplars as tiles to learn from.

    Parameters
    ----------
    bank
        Exemplars that lie on slides.
    slides
        Those that are open.
    model
        That scored the slides.

    Raises
    ------
    BankError
        The exemplars are of another model.
    TrainingError
        The model is one whose heads cannot be tuned.
    """
    bank.require_model(model.card.weights_sha256, model.card.name)
    # Of several files that show one slide, the first names it, as in fine-tuning.
    open_now = {slide.quick_hash: slide for slide in reversed(slides)}
    cases = _cases_by_slide(bank)
    outputs = embedding_outputs(bank.embeddings, model)
    tiles = []
    for row, (embedding, logits) in enumerate(outputs):
        region, mpp = bank.region(row), round(float(bank.mpps[row]), 6)
        if region is None:
            continue
        quick_hash = bank.slides[row]
        slide = open_now.get(quick_hash)
        tiles.append(
            ExemplarTile(
                embedding,
                logits,
                bank.class_name(row),
                mpp,
                quick_hash,
                cases[quick_hash],
                Path(quick_hash) if slide is None else slide.path,
                mpp if slide is None else slide.mpp,
                region,
                bank.drawn[row],
                bank.appearances[row],
            )
        )
    return tiles


def _cases_by_slide(bank: ExemplarBank) -> dict[str, str]:
    """Return the case of each slide: a slide that was renamed is still of one.

    Older banks give slides their names for cases.
    """
    named = zip(bank.slides, bank.cases, bank.sources, strict=True)
    return {
        slide: guess_case(case) if case == source else case
        for slide, case, source in reversed(list(named))
    }


def model_exemplars(model: Model) -> ExemplarBank | None:
    """Return the exemplars of a model, if it has any to learn from."""
    bank = bank_of_weights(model.path, model.card.weights_sha256)
    # What is saved beside the tuned model holds no pixel, whatever lay beside this one.
    return bank.embeddings_only() if bank is not None and len(bank) else None


def joined_exemplars(old: ExemplarBank, new: ExemplarBank, heads: EmbeddingHeads) -> ExemplarBank:
    """Return the old exemplars where the heads embed them, and the new ones.

    Old ones of other classes are left out.
    """
    if old.classes != new.classes:
        return new
    embeddings = heads.embed(torch.from_numpy(old.embeddings)).numpy()
    return replace(old, embeddings=embeddings, model=new.model).joined(new)


def exemplar_accuracy(
    exemplars: ExemplarBank, heads: EmbeddingHeads, classes: Sequence[str]
) -> Estimate | None:
    """Return the share of exemplars called right; None where they are of other classes.

    Parameters
    ----------
    exemplars
        As the model that is tuned embeds them.
    heads
        Fed with such embeddings.
    classes
        That the heads tell apart.
    """
    if exemplars.classes != tuple(classes):
        return None
    logits = heads.logits(torch.from_numpy(exemplars.embeddings))
    right = logits.argmax(dim=1).cpu().numpy() == exemplars.labels
    return share_estimate(right, exemplars.cases)
