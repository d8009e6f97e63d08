"""Fine-tuning of a model's heads on stored embeddings: seconds, and no pixel is read.

The embedding of a tile is ``z / |z|`` with ``z`` the linear head's output. A matrix A on the
stored embeddings gives the same direction as the embedding head ``A W``, so what is learnt here
is folded back into an ordinary network, and a map is recoloured by one matrix product.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_smse.errors import TrainingError
from napari_smse.finetuning.pair_constraints import CANNOT_LINK_MARGIN, PairConstraints
from napari_smse.losses.contrastive import contrastive_loss
from napari_smse.models.smse_network import NetworkOutput, SmseNetwork
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.training.embeddings import EmbeddedTiles
from napari_smse.training.objective import batch_loss
from napari_smse.training.recipe import Recipe
from napari_smse.training.seeding import generator_of

_LOGIT_SCALE = 5.0


class EmbeddingHeads(nn.Module):
    """A matrix on a model's embeddings, and a class head on what comes out.

    Parameters
    ----------
    class_head
        To start from; copied.
    """

    def __init__(self, class_head: nn.Linear) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(class_head.in_features, class_head.in_features))
        self.class_head = copy.deepcopy(class_head).float()

    @property
    def matrix(self) -> Tensor:
        """A, ``(d, d)``; the identity changes nothing."""
        return torch.eye(len(self.change), device=self.change.device) + self.change

    def inputs_of(self, embeddings: Tensor) -> Tensor:
        """Return what these heads are fed with where a tile's embedding ``(n, d)`` is known."""
        return embeddings

    def folded(self, embedding_head: nn.Linear) -> tuple[Tensor, Tensor]:
        """Return weight and bias of an embedding head that does what these heads do."""
        return self.matrix @ embedding_head.weight, self.matrix @ embedding_head.bias

    def reembed(self, embeddings: Tensor) -> Tensor:
        """Return where tiles lie now that the model embedded there; without gradients.

        Parameters
        ----------
        embeddings
            ``(n, d)``, of length 1, by the model that is tuned, whatever these heads are fed with.
        """
        return self.embed(self.inputs_of(embeddings))

    def embed(self, embeddings: Tensor) -> Tensor:
        """Return where embeddings ``(n, d)`` lie now; without gradients."""
        with torch.no_grad():
            return self.forward(embeddings).embedding

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` of embeddings; without gradients."""
        with torch.no_grad():
            return self.forward(embeddings).logits

    def scores(
        self, embeddings: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities ``(n, classes)`` and new embeddings ``(n, d)`` of stored ones."""
        stored = torch.from_numpy(embeddings.astype(np.float32))
        with torch.no_grad():
            output = self.forward(functional.normalize(stored, dim=1))
        return torch.softmax(output.logits, dim=1).numpy(), output.embedding.numpy()

    def forward(self, embeddings: Tensor) -> NetworkOutput:
        """Return `NetworkOutput` of embeddings ``(n, d)`` of the model tuned."""
        embedding = functional.normalize(embeddings @ self.matrix.T, dim=1)
        return NetworkOutput(embedding, self.class_head(embedding))


@dataclass(frozen=True)
class HeadsStep:
    """One step of a fine-tuning.

    Attributes
    ----------
    step, steps
        Done, and wanted.
    loss, similarity, classification
        Total, and its main parts unweighted.
    replay
        Loss of the replayed exemplars; NaN without any.
    pair_loss
        Contrastive loss of the constraints; NaN without any.
    """

    step: int
    steps: int
    loss: float
    similarity: float
    classification: float
    replay: float
    pair_loss: float


def initialise_heads(
    network: SmseNetwork, tiles: EmbeddedTiles, model_classes: Sequence[str]
) -> EmbeddingHeads:
    """Return heads to tune: the model's own, or with other classes ones made from their means.

    Parameters
    ----------
    network
        The model's.
    tiles
        To learn from.
    model_classes
        The model's classes.
    """
    return EmbeddingHeads(initialise_class_head(network, tiles, model_classes))


def initialise_class_head(
    network: SmseNetwork, tiles: EmbeddedTiles, model_classes: Sequence[str]
) -> nn.Linear:
    """Return the model's class head, or with other classes one made from their mean embeddings."""
    if tuple(model_classes) == tiles.classes:
        return network.class_head
    head = nn.Linear(tiles.embeddings.shape[1], len(tiles.classes))
    means = torch.stack(
        [tiles.embeddings[tiles.labels == k].mean(dim=0) for k in range(len(tiles.classes))]
    )
    with torch.no_grad():
        head.weight.copy_(_LOGIT_SCALE * functional.normalize(means, dim=1))
        head.bias.zero_()
    return head


def train_embedding_heads(
    heads: EmbeddingHeads,
    tiles: EmbeddedTiles,
    recipe: Recipe,
    *,
    exemplars: ExemplarBank | None = None,
    replay_weight: float = 1.0,
    constraints: PairConstraints | None = None,
    constraint_weight: float = 1.0,
) -> Iterator[HeadsStep]:
    """Tune heads in place, and yield after every step.

    Parameters
    ----------
    heads
        As `initialise_heads` gives them.
    tiles
        To learn from.
    recipe
        Losses, learning rate, steps and batches.
    exemplars
        Replayed, so as not to be forgotten: with the same classes as the tiles by their
        cross-entropy, with others by how far they move.
    replay_weight
        Weight of the exemplars' loss; 0 lets the model forget.
    constraints
        Pairs that must link or cannot; their contrastive loss is added at every step.
    constraint_weight
        Weight of the constraints' loss.

    Raises
    ------
    TrainingError
        A class has no tile, or the loss is not a number any more.
    """
    sampler = _BalancedRows(tiles, recipe)
    exemplar_replay = None
    if exemplars is not None and replay_weight:
        exemplar_replay = _ExemplarReplay(exemplars, heads, tiles.classes, recipe.seed)
    if constraints is not None:
        constraints = constraints.moved(heads.inputs_of)
    optimiser = torch.optim.AdamW(
        heads.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    for step in range(recipe.steps):
        rows, generator = sampler.draw(step), generator_of(recipe.seed, step)
        parts = batch_loss(
            heads(tiles.embeddings[rows]), tiles.labels[rows], recipe, generator=generator
        )
        replay = (
            torch.tensor(float("nan"))
            if exemplar_replay is None
            else exemplar_replay.loss(heads, step)
        )
        total = parts.total if exemplar_replay is None else parts.total + replay_weight * replay
        pair_loss = _pair_loss(heads, constraints)
        total = total if constraints is None else total + constraint_weight * pair_loss
        if not torch.isfinite(total):
            raise TrainingError(
                f"The loss is not a number any more at step {step + 1}: give a lower learning rate."
            )
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(heads.parameters(), recipe.clip_norm)
        optimiser.step()
        yield HeadsStep(
            step + 1,
            recipe.steps,
            *(float(part.detach()) for part in (total, *parts[1:3], replay, pair_loss)),
        )


def tuned_network(network: SmseNetwork, heads: EmbeddingHeads) -> SmseNetwork:
    """Return the model with the tuned heads folded in; it shares the trunk."""
    tuned = copy.copy(network)
    tuned._modules = dict(network._modules)
    tuned.embedding_head = copy.deepcopy(network.embedding_head)
    with torch.no_grad():
        weight, bias = heads.folded(network.embedding_head)
        tuned.embedding_head.weight.copy_(weight)
        tuned.embedding_head.bias.copy_(bias)
    tuned.class_head = copy.deepcopy(heads.class_head)
    return tuned.eval()


def _pair_loss(heads: EmbeddingHeads, constraints: PairConstraints | None) -> Tensor:
    if constraints is None:
        return torch.tensor(float("nan"))
    first, second = (
        heads.forward(embeddings).embedding
        for embeddings in (constraints.first, constraints.second)
    )
    return contrastive_loss(first, second, constraints.must_link, CANNOT_LINK_MARGIN)


class _BalancedRows:
    """Rows for a step: every class alike, and within it every case alike."""

    def __init__(self, tiles: EmbeddedTiles, recipe: Recipe) -> None:
        self._count = recipe.cases_per_class * recipe.crops_per_case
        self._seed = recipe.seed
        self._cases = [_by_case(tiles, label) for label in range(len(tiles.classes))]
        empty = [name for name, case in zip(tiles.classes, self._cases, strict=True) if not case]
        if empty:
            names = " or ".join(empty)
            raise TrainingError(f"There is no tile of {names} to learn from: add some.")

    def draw(self, step: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self._seed, step])
        rows = []
        for cases in self._cases:
            # Going round the cases in a random order, a small batch holds most of them.
            turns = rng.permutation(max(self._count, len(cases)))[: self._count] % len(cases)
            rows += [rng.choice(cases[turn]) for turn in turns]
        return np.array(rows)


def _by_case(tiles: EmbeddedTiles, label: int) -> list[NDArray[np.int64]]:
    rows: dict[str, list[int]] = {}
    for row in torch.nonzero(tiles.labels == label).ravel().tolist():
        rows.setdefault(tiles.cases[row], []).append(row)
    return [np.array(of_case) for of_case in rows.values()]


class _ExemplarReplay:
    """The loss that keeps exemplars of the model tuned from being forgotten."""

    def __init__(
        self, exemplars: ExemplarBank, heads: EmbeddingHeads, classes: tuple[str, ...], seed: int
    ) -> None:
        self._embeddings = torch.from_numpy(exemplars.embeddings)
        self._labels = torch.from_numpy(exemplars.labels)
        self._inputs, self._seed = heads.inputs_of(self._embeddings), seed
        self._same_classes = exemplars.classes == classes

    def loss(self, heads: EmbeddingHeads, step: int) -> Tensor:
        rng = np.random.default_rng([self._seed, step, 1])
        rows = rng.integers(len(self._labels), size=128)
        output = heads.forward(self._inputs[rows])
        if self._same_classes:
            return functional.cross_entropy(output.logits, self._labels[rows])
        return (1 - (output.embedding * self._embeddings[rows]).sum(dim=1)).mean()
