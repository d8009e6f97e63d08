"""What of a bank of known tiles can be learnt from: those that were added to the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.slides import Slide

if TYPE_CHECKING:
    from napari_smse.finetuning.exemplar_tiles import AddedTile
    from napari_smse.models import Model


def added_to(bank: ExemplarBank) -> ExemplarBank:
    """Return the exemplars that lie on slides; those that a model brings are its memory already."""
    return bank.take(np.flatnonzero([bool(slide) for slide in bank.slides]))


def tiles_to_learn(bank: ExemplarBank, slides: Sequence[Slide], model: Model) -> list[AddedTile]:
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
    from napari_smse.finetuning.exemplar_tiles import AddedTile, judge_embeddings

    bank.require_model(model.card.weights_sha256, model.card.name)
    # Of several files that show one slide, the first names it, as in fine-tuning.
    open_now = {slide.quick_hash: slide for slide in reversed(slides)}
    # A slide that was renamed is still one case.
    names = dict(zip(reversed(bank.slides), reversed(bank.sources), strict=True))
    judged = judge_embeddings(bank.embeddings, model)
    found = []
    for row, (embedding, logits) in enumerate(judged):
        region, mpp = bank.region(row), round(float(bank.mpps[row]), 6)
        if region is None:
            continue
        quick_hash = bank.slides[row]
        slide = open_now.get(quick_hash)
        found.append(
            AddedTile(
                embedding,
                logits,
                bank.class_name(row),
                mpp,
                quick_hash,
                names[quick_hash] if slide is None else slide.name,
                Path(quick_hash) if slide is None else slide.path,
                mpp if slide is None else slide.mpp,
                region,
                bank.drawn[row],
                bank.looks[row],
            )
        )
    return found
