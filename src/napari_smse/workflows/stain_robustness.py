"""How far slides differ once their stain is changed at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DataError, ModelError
from napari_smse.progress import Progress, Task
from napari_smse.scoring.read_block import cut_tile
from napari_smse.scoring.tile_classifier import TileClassifier
from napari_smse.scoring.tile_table import unit_length
from napari_smse.similarity.batch_effect import (
    BeforeAndAfter,
    batch_effect,
    before_and_after,
)
from napari_smse.similarity.stain_transfer import strong_density, transfer_stain
from napari_smse.workflows import score_slide
from napari_smse.workflows.batch_effect import ComparedTiles, compared_tiles
from napari_smse.workflows.scored_slide import ScoredSlide

if TYPE_CHECKING:
    from napari_smse.models import Model

A_SLIDE: Final = 300
_IN_ALL: Final = 1800
_FEWEST: Final = 30
_FOR_STAIN: Final = 24
_STRENGTH: Final = 1.0
_ALIKE: Final = 0.9
"""Cosine of a tile's embedding and its stored one; arithmetic alone makes far less difference."""


@dataclass(frozen=True)
class StainRobustness:
    """How far slides differ, as they are and with their stain changed at random.

    Attributes
    ----------
    effects
        The figures, both of the same tiles.
    slides, tiles
        How many were compared.
    by_drawing
        Whether the classes are those drawn; else they are what the model calls the tiles.
    """

    effects: BeforeAndAfter
    slides: int
    tiles: int
    by_drawing: bool


def measure_stain_robustness(
    slides: Sequence[ScoredSlide], a_slide: int = A_SLIDE
) -> Task[StainRobustness]:
    """Read some of the tiles that are compared, change their stain, embed and compare them anew.

    Parameters
    ----------
    slides
        Scored by one model.
    a_slide
        How many tiles of each at most.

    Raises
    ------
    QueryError
        As `compared_tiles`.
    ModelError
        The model is gone, or is not the one that scored the slides.
    DataError
        The slides are not those that were scored.
    SlideError
        A slide cannot be read.
    OutputError
        Scores cannot be read.
    """
    every = compared_tiles(slides)
    most = min(a_slide, max(_FEWEST, _IN_ALL // len(slides)))
    tiles = every.take(_some_of_each(every.of_slide, most))
    _require_comparable(tiles)
    yield Progress(message="Loading the model …")
    model = _model_of(slides)
    with closing(_Restained(model, tiles)) as restained_tiles:
        slides_in_all = len(tiles.numbers)
        yield Progress(0, slides_in_all, "Reading the stain of each slide …")
        for done in restained_tiles.learn_stains():
            yield Progress(done, slides_in_all, "Reading the stain of each slide …")
        restained_tiles.require_same()
        effects = yield from before_and_after(
            restained_tiles.embed,
            tiles.identities,
            tiles.names.tolist(),
            known=tiles.embeddings,
            cases=tiles.cases,
            places=tiles.places,
            at_once=restained_tiles.at_once,
        )
        return StainRobustness(effects, len(tiles.numbers), len(tiles.rows), tiles.by_drawing)


class _Restained:
    """Tiles in a stain drawn at random, embedded by several threads at once.

    Each is stained as strongly as one of the slides, whichever: a change around its own stain
    would leave slides apart that differ by more than the change. Then the stain is changed as in
    a training.
    """

    def __init__(self, model: Model, tiles: ComparedTiles) -> None:
        device = tiles.slides[0].run.device
        # As in a run: on a CPU each network has a core to itself.
        threads = score_slide.spare_threads() if device.torch_name == "cpu" else 1
        first = TileClassifier(model, device, 1)
        self._networks = [first, *(first.clone() for _ in range(threads - 1))]
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stain-anew")
        self._tiles = tiles
        self._strong: dict[int, NDArray[np.float64]] = {}
        self.at_once = device.batch_size * threads

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def learn_stains(self) -> Iterator[int]:
        """Look how strongly each slide is stained, yielding how many are known."""
        for number in self._tiles.numbers:
            rows = np.flatnonzero(self._tiles.of_slide == number)
            some = rows[:: -(-len(rows) // _FOR_STAIN)]
            read = np.stack(list(self._pool.map(self._read, some)))
            self._strong[number] = strong_density(read)
            yield len(self._strong)

    def require_same(self) -> None:
        """Refuse to compare tiles that are not those that were scored."""
        firsts = np.unique(self._tiles.of_slide, return_index=True)[1]
        found = self.embed(firsts, None)
        alike = (found * self._tiles.embeddings[firsts]).sum(axis=1)
        for first, one in zip(firsts.tolist(), alike.tolist(), strict=True):
            if one < _ALIKE:
                slide = self._tiles.slides[self._tiles.of_slide[first]].slide
                raise DataError(
                    f"The tiles of {slide.name} are not what they were when it was scored: score "
                    "it again."
                )

    def embed(self, rows: NDArray[np.intp], seed: int | None) -> NDArray[np.float32]:
        """Return embeddings ``(n, d)`` of tiles as they are, or, given a seed, stained anew."""
        parts = np.array_split(rows, len(self._networks))
        some = [(network, part, seed) for network, part in zip(self._networks, parts, strict=True)]
        found = list(self._pool.map(self._embed, [one for one in some if len(one[1])]))
        return unit_length(np.concatenate(found))

    def _embed(
        self, part: tuple[TileClassifier, NDArray[np.intp], int | None]
    ) -> NDArray[np.float32]:
        network, rows, seed = part
        tiles = [self._read(row) if seed is None else self._stained(row, seed) for row in rows]
        return network(np.stack(tiles))[1]

    def _stained(self, row: np.intp, seed: int) -> NDArray[np.uint8]:
        import torch

        from napari_smse.training.augmentation import StainJitter

        drawn = int(np.random.default_rng([seed, int(row)]).choice(self._tiles.numbers))
        own = self._strong[int(self._tiles.of_slide[row])]
        tile = transfer_stain(self._read(row), own, self._strong[drawn])
        generator = torch.Generator().manual_seed(seed * 1_000_003 + int(row))
        jitter = StainJitter(_STRENGTH, generator)
        changed = jitter(torch.from_numpy(tile).permute(2, 0, 1))
        return np.ascontiguousarray(changed.permute(1, 2, 0).numpy())

    def _read(self, row: np.intp) -> NDArray[np.uint8]:
        """Read a tile as the run did, (edge, edge, 3)."""
        number = int(self._tiles.of_slide[row])
        grid, scored = self._tiles.grids[number], self._tiles.slides[number]
        slide = scored.run.plan.source(scored.slide)
        region = grid.region(int(self._tiles.rows[row]))
        return cut_tile(slide.window(region, grid.grid.spec.mpp), region, grid.grid)


def _some_of_each(of_slide: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    rng = np.random.default_rng(1)
    parts = [
        rng.permutation(np.flatnonzero(of_slide == number))[:most] for number in np.unique(of_slide)
    ]
    return np.sort(np.concatenate(parts))


def _require_comparable(tiles: ComparedTiles) -> None:
    """Refuse what cannot be compared before anything is loaded; raises what `batch_effect` does."""
    batch_effect(tiles.embeddings, tiles.identities, tiles.names.tolist())


def _model_of(slides: Sequence[ScoredSlide]) -> Model:
    """Load the model of a run.

    Raises
    ------
    ModelError
        It is gone, damaged, or another one lies in its place.
    """
    run = slides[0].run
    model = score_slide.load_cached_model(run.model)
    if model.card.weights_sha256 != run.card.weights_sha256:
        raise ModelError(
            f"{model.path} is not the model any more that the slides were scored with: score them "
            "again, or put that model back."
        )
    return model
