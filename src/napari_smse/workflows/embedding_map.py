"""A map of the embedding space: tiles, their places and groups, what is out of distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.errors import SmseError
from napari_smse.models import ModelCard
from napari_smse.models.card import require_embedding
from napari_smse.progress import Progress, Task, map_progress
from napari_smse.scoring import is_trained_scale
from napari_smse.scoring.calls import CallRule
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.bank_file import bank_of
from napari_smse.similarity.clustering import Clusters, find_clusters
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.projection import Project, fit_pca, umap_layout
from napari_smse.slides import Slide
from napari_smse.workflows.out_of_distribution import OodScores, measure_ood
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.settings.embeddings import EmbeddingMapSettings


@dataclass(frozen=True)
class MappedSlide:
    """A slide, its run, and what of it was scored when the map was made."""

    slide: Slide
    run: Run
    tiles: TileTable
    finished: bool


@dataclass(frozen=True)
class EmbeddingMap:
    """The tiles of slides as points of a plane, those of all slides one after the other.

    Attributes
    ----------
    slides
        All scored by one model.
    points
        ``(n, 2)`` float32.
    axes
        What the two directions are; empty if they mean nothing by themselves.
    bank
        Exemplars of the model; None if it has none.
    exemplar_points
        ``(e, 2)`` float32.
    """

    slides: tuple[MappedSlide, ...]
    points: NDArray[np.float32]
    axes: tuple[str, str]
    bank: ExemplarBank | None
    exemplar_points: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.points)

    @property
    def card(self) -> ModelCard:
        """Card of the model that scored the slides."""
        return self.slides[0].run.card

    @cached_property
    def slide_number(self) -> NDArray[np.intp]:
        """Which slide each tile is of, ``(n,)``."""
        return np.repeat(np.arange(len(self.slides)), [len(one.tiles) for one in self.slides])

    @cached_property
    def mpps(self) -> NDArray[np.float32]:
        """um/px of each tile, ``(n,)``."""
        return np.concatenate([one.tiles.mpps for one in self.slides])

    @cached_property
    def probability(self) -> NDArray[np.float32]:
        """``(n, classes)``."""
        return np.concatenate([one.tiles.probability for one in self.slides])

    @cached_property
    def rule(self) -> CallRule:
        """What is called of a tile."""
        return CallRule.from_card(self.card)

    def calls(self, ood: ArrayLike = np.nan) -> NDArray[np.int8]:
        """Return the number of each tile's call in the names of `rule`, ``(n,)``.

        Parameters
        ----------
        ood
            Out-of-distribution score of each tile, ``(n,)``; NaN where it is not known.
        """
        mpps, number = np.unique(self.mpps, return_inverse=True)
        trained = np.array([is_trained_scale(float(mpp), self.card) for mpp in mpps], dtype=bool)
        return self.rule.call(self.probability, ood, in_range=trained[number])

    def rows_of(self, number: int) -> slice:
        """Rows of the tiles of one slide."""
        first = sum(len(one.tiles) for one in self.slides[:number])
        return slice(first, first + len(self.slides[number].tiles))

    def place_of(self, row: int) -> tuple[MappedSlide, int]:
        """Return the slide of a tile, and the tile's row there."""
        number = int(self.slide_number[row])
        return self.slides[number], row - self.rows_of(number).start


@dataclass(frozen=True)
class EmbeddingMapJob:
    """Slides to lay out, and how.

    Parameters
    ----------
    runs
        Slides and their runs, all of one model.
    settings
        How they get their places.
    """

    runs: tuple[tuple[Slide, Run], ...]
    settings: EmbeddingMapSettings = field(default_factory=EmbeddingMapSettings)

    def run(self) -> Task[EmbeddingMap]:
        """Read and lay out; raises what these raise."""
        slides = []
        for slide, run in self.runs:
            require_embedding(run.card)
            yield Progress(message=f"Reading the tiles of {slide.name} …")
            finished = run.store.finished
            tiles = run.store.tile_table()
            if len(tiles):
                slides.append(MappedSlide(slide, run, tiles, finished))
        embeddings = embeddings_of(slides)
        bank = _bank_of(self.runs[0][1])
        points, axes = np.empty((0, 2), np.float32), ("", "")
        project: Project | None = None
        if self.settings.method == "pca":
            yield Progress(message="Finding the principal components …")
            pca = fit_pca(embeddings)
            points, project = pca(embeddings), pca
            first, second = pca.explained
            axes = (_axis(1, first), _axis(2, second))
        else:
            layout = yield from map_progress(umap_layout(embeddings), _with_message)
            points, project = layout.points, layout.project
        return EmbeddingMap(tuple(slides), points, axes, bank, _placed(bank, project))


@dataclass(frozen=True)
class ClusterTilesJob:
    """Tiles to divide into groups."""

    slides: Sequence[MappedSlide]
    k: int

    def run(self) -> tuple[int, Clusters]:
        """Return how many groups were asked for, and those that were found."""
        return self.k, find_clusters(embeddings_of(self.slides), self.k)


@dataclass(frozen=True)
class OodJob:
    """Slides whose tiles are to be compared with what their model knows.

    Parameters
    ----------
    slides
        The slides of a map.
    banks
        Of each, exemplars that count as known besides; None if there are none.
    """

    slides: Sequence[MappedSlide]
    banks: Sequence[ExemplarBank | None]

    def run(self) -> Task[OodScores]:
        """Compare the tiles of all slides, and return how unlike they are."""
        scores = []
        for one, bank in zip(self.slides, self.banks, strict=True):
            scores.append((yield from measure_ood(one.slide, one.run, one.tiles, bank)))
        values = np.concatenate([one.values for one in scores])
        return OodScores(values, known=all(one.known for one in scores))


def embeddings_of(slides: Sequence[MappedSlide]) -> NDArray[np.float32]:
    """Return the embeddings of all tiles, ``(n, d)``."""
    found = [one.tiles.embeddings for one in slides]
    if len(found) == 1:
        return found[0]
    return np.concatenate(found) if found else np.empty((0, 2), np.float32)


def _bank_of(run: Run) -> ExemplarBank | None:
    """Exemplars that compare with the run's embeddings; the map is worth showing without them."""
    try:
        bank = bank_of(run.model)
        if bank is not None:
            bank.require_model(run.card.weights_sha256, run.card.name)
    except SmseError:
        return None
    return bank if bank is not None and len(bank) else None


def _placed(bank: ExemplarBank | None, project: Project | None) -> NDArray[np.float32]:
    if bank is None or project is None:
        return np.empty((0, 2), np.float32)
    return project(bank.embeddings)


def _axis(number: int, share: float) -> str:
    return f"Component {number}: {share:.0%} of the differences"


def _with_message(progress: Progress) -> Progress:
    message = "UMAP is learning which tiles are neighbours: half a minute for large slides …"
    if progress.done:
        message = f"UMAP: {progress.done:,} of {progress.total:,} tiles have their place …"
    return replace(progress, message=message)
