"""How long do a query, a recolouring and a search over many slides take, and how long faiss?

    .venv/bin/pip install faiss-cpu usearch
    .venv/bin/python -m benchmarks.similarity.search [--out figures.json]

Embeddings are made up: 128 numbers, clustered, of length 1. Limits, on 2 cores:

- query to map over 100,000 tiles: 50 ms, a region of 20 tiles being what is looked for;
- recolouring them after an exemplar was added to a bank of 900: 100 ms, maps included;
- search over 1,000,000 tiles of 100 slides: 1 s.

faiss answers the same search by its exact index (IndexFlatIP) with all in one array in memory, in
turns with ours; faiss / ours should be at least 1.0. Ours knows slides, scales and what changed on
disk, and tells how far it got. With ``--approximate 4000000``, last, the share of the true ten
nearest that the approximate index of so many tiles gives, and how much faster it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_smse.progress import run_task
from napari_smse.scoring import ScoreMaps, TileScores
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.exemplar_classifier import ExemplarClassifier, Method
from napari_smse.similarity.index.shard import IndexedSlide, Shard
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.similarity.region_search import find_similar_tiles
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TilePlan, TileSpec

DIMS, MODEL, CLASSES = 128, "m" * 64, ("benign", "malignant")
TILES, SIDE = 99_856, 316
SLIDES, TILES_A_SLIDE = 100, 10_000
EXEMPLARS, ROUNDS, K = 900, 15, 50


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--approximate", type=int, metavar="TILES", help="also the approximate index of so many"
    )
    parser.add_argument("--only-approximate", action="store_true", help="nothing but that")
    parser.add_argument("--out", type=Path, help="also write the figures there")
    options = parser.parse_args()
    figures = {} if options.only_approximate else {**on_one_slide(), **over_slides()}
    if options.approximate:
        figures |= approximately(options.approximate)
    for name, value in figures.items():
        print(f"{name:52} {value:.3f}")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Clustered vectors of length 1."""
    middles = np.random.default_rng(1).normal(size=(50, DIMS))
    rng = np.random.default_rng(seed)
    points = middles[rng.integers(50, size=count)] + rng.normal(size=(count, DIMS))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def median_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """How long something takes once it is warm."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def on_one_slide() -> dict[str, float]:
    """Query and recolouring over the tiles of a slide."""
    grid = TileGrid(TileSpec(224, 0.5, 0.5), Region(0, 0, SIDE * 224, SIDE * 224))
    place = np.arange(TILES, dtype=np.int32)
    scale = ScaleTiles(grid, place % SIDE, place // SIDE, np.ones(TILES, np.float32))
    embeddings = vectors(TILES, 2)
    probability = np.full((TILES, 2), 0.5, np.float32)
    tiles = TileTable((scale,), embeddings, probability, CLASSES)
    region = shapely.box(224 * 10, 224 * 10, 224 * 15, 224 * 14)

    def query() -> object:
        return find_similar_tiles(tiles, 0, [region], [], MODEL).heat_map()

    figures = {"query to map, 100,000 tiles, ms / 50": median_ms(query) / 50}
    ways: tuple[Method, ...] = ("prototypes", "nearest")
    for way in ways:
        name = f"recolouring by {way}, 100,000 tiles, ms / 100"
        figures[name] = recolouring(embeddings, scale, way) / 100
    return figures


def recolouring(embeddings: NDArray[np.float32], scale: ScaleTiles, way: Method) -> float:
    """How long maps take to follow an exemplar that is added, or taken out again."""
    rng = np.random.default_rng(3)
    bank = ExemplarBank(
        vectors(EXEMPLARS + 1, 4),
        rng.integers(2, size=EXEMPLARS + 1),
        np.full(EXEMPLARS + 1, 0.5, np.float32),
        CLASSES,
        tuple(f"case {number % 40}" for number in range(EXEMPLARS + 1)),
        ("made up",) * (EXEMPLARS + 1),
        MODEL,
    )
    without = bank.take(range(EXEMPLARS))
    scoring = ExemplarClassifier(embeddings, without, way, 0.1)
    plan = TilePlan((scale,), (), None)
    turns = iter([bank, without] * (ROUNDS + 2))

    def follow() -> object:
        scoring.update(next(turns))
        maps = ScoreMaps(plan, CLASSES, [0])
        maps.add([TileScores(0, np.arange(len(embeddings)), scoring.probability())])
        return [maps.heat_map(name) for name in maps]

    return median_ms(follow)


def index_of(folder: Path, slides: int) -> SlideIndex:
    """An index of made-up slides."""
    index = SlideIndex.make(folder, MODEL, "made up")
    place = np.arange(TILES_A_SLIDE)
    for number in range(slides):
        name = f"slide {number}"
        slide = IndexedSlide(
            name=name,
            path=str(folder / f"{name}.tif"),
            quick_hash=hashlib.sha256(name.encode()).hexdigest(),
            width=22_400,
            height=22_400,
            mpp=0.5,
            mpp_source="metadata",
            model=MODEL,
            model_name="made up",
            classes=CLASSES,
            settings={},
            scales=((0.5, TILES_A_SLIDE),),
        )
        places = [224 * (place % 100), 224 * (place // 100), *[np.full(TILES_A_SLIDE, 224)] * 2]
        index.add(
            Shard(
                slide,
                np.full((TILES_A_SLIDE, 2), 0.5, np.float32),
                np.stack(places, axis=1).astype(np.int32),
                vectors(TILES_A_SLIDE, 100 + number).astype(np.float16),
            )
        )
    return SlideIndex(folder)


def over_slides() -> dict[str, float]:
    """Search over a million tiles, in turns with faiss."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        index = index_of(Path(folder), SLIDES)
        peer = faiss_of(index)
        for queries in (1, 8):
            asked = vectors(queries, 7)
            ours, theirs = in_turns(
                lambda asked=asked: index.search(asked, K), lambda asked=asked: peer(asked, K)
            )
            figures[f"search over 1,000,000, {queries} queries, ms / 1000"] = ours / 1000
            if theirs:
                figures[f"faiss / ours, {queries} queries"] = theirs / ours
    return figures


def faiss_of(index: SlideIndex) -> Callable[[NDArray[np.float32], int], Any]:
    """faiss' exact index of the same tiles; nothing where it is not installed."""
    try:
        import faiss
    except ImportError:
        return lambda _queries, _k: None
    exact = faiss.IndexFlatIP(DIMS)
    for slide in index.slides:
        exact.add(np.ascontiguousarray(index.embeddings(slide)))
    return lambda queries, k: exact.search(queries, k)


def in_turns(*works: Callable[[], object]) -> list[float]:
    """Median ms of each, one after the other in every round; 0 for what gives nothing."""
    taken: list[list[float]] = [[] for _ in works]
    nothing = [work() is None for work in works]
    for _ in range(ROUNDS):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            times.append(1000 * (time.perf_counter() - began))
    pairs = zip(taken, nothing, strict=True)
    return [0.0 if empty else statistics.median(times) for times, empty in pairs]


def approximately(tiles: int) -> dict[str, float]:
    """Share of the true ten nearest among those the approximate index gives, and its speed."""
    with tempfile.TemporaryDirectory() as folder:
        index = index_of(Path(folder), max(1, tiles // TILES_A_SLIDE))
        began = time.perf_counter()
        run_task(index.build_approximate())
        built = time.perf_counter() - began
        asked = [vectors(1, 1000 + number) for number in range(100)]
        shares = [found_by_both(index, one) for one in asked]
        exact, near = in_turns(
            lambda: index.search(asked[0], K, approximate=False),
            lambda: index.search(asked[0], K, approximate=True),
        )
    of = f"of {tiles:,} tiles"
    return {
        f"approximate index {of}: recall @ 10": statistics.mean(shares),
        f"approximate index {of}: exact / approximate, time": exact / near,
        f"approximate index {of}: s to build": built,
    }


def found_by_both(index: SlideIndex, query: NDArray[np.float32]) -> float:
    """Share of the exact answer that the approximate one has, too."""
    exact, near = (places(index.search(query, 10, approximate=way).slides) for way in (False, True))
    return len(exact & near) / len(exact)


def places(slides: Sequence[Any]) -> set[tuple[str, Region]]:
    """Where hits lie."""
    return {(one.slide.quick_hash, hit.region) for one in slides for hit in one.hits}


if __name__ == "__main__":
    main()
