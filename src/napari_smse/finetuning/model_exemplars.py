"""The exemplars of the model that is fine-tuned: what it must not forget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from napari_smse.finetuning.assessment import accuracy_of
from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from napari_smse.models import Model
from napari_smse.similarity.bank_file import bank_of_weights
from napari_smse.similarity.exemplar_bank import ExemplarBank


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
) -> float | None:
    """Return the fraction of exemplars called right; None where they are of other classes.

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
    return accuracy_of(logits, torch.from_numpy(exemplars.labels))
