"""Write what the bundled model's training tiles look like, and measure what that is worth.

    python training/known_looks.py --data ../shared/data --out src/napari_smse/network/bundled

What is unlike everything known must light up: each kind of disturbed tile is told from undisturbed
tiles of BreakHis cases that nothing was fitted on (5 folds by case; limits are fitted on the
training cases alone). Other laboratories (BACH, the CMU slide) are reported, and chose nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sklearn.metrics import roc_auc_score
from train_bundled import HERE, VALIDATED

from napari_smse.learning.external import bach_images
from napari_smse.learning.pixels import read_pixels
from napari_smse.learning.training_set import read_training_set
from napari_smse.learning.views import judged_views
from napari_smse.network import read_card
from napari_smse.network.card import BUNDLED_NAME, LOOKS_SUFFIX
from napari_smse.similarity.appearance import appearances_of
from napari_smse.similarity.unknown import (
    KnownLook,
    KnownLooks,
    fitted_look,
    save_looks,
)
from napari_smse.slides import Region, open_slide

IMAGES_A_CASE, FOLDS, SHARE, FEWEST = 12, 5, 0.95, 40
TILE_PX, MPP, DISTURBED = 224, 0.5, 150
PENS = ((20, 60, 160), (20, 120, 60), (20, 20, 20), (170, 30, 40))
Pixels = NDArray[np.uint8]


class Tiles(NamedTuple):
    """Looks of tiles, with what is known of them; `pixels` of BreakHis only."""

    looks: NDArray[np.float32]
    sources: NDArray[np.str_]
    cases: NDArray[np.str_]
    mpps: NDArray[np.float64]
    pixels: list[Pixels | None]


def main() -> None:
    """Fit, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the bundled model")
    options = parser.parse_args()
    tiles = known_tiles(options.data)
    for name, told in measured(tiles, options.data).items():
        print(f"{name:30} " + ", ".join(f"{key} {value:.3f}" for key, value in told.items()))
    known = KnownLooks(
        model=read_card("bundled").weights_sha256,
        looks=tuple(fitted(tiles, np.ones(len(tiles.cases), bool))),
    )
    save_looks(known, options.out / (BUNDLED_NAME + LOOKS_SUFFIX))
    print(json.dumps({f"{one.source} {one.mpp:g}": round(one.limit, 2) for one in known.looks}))


def known_tiles(data: Path, seed: int = 0) -> Tiles:
    """Return the tiles that images are judged by, of as many images of a case at most."""
    rng = np.random.default_rng(seed)
    images = read_training_set(HERE / "bundled.toml", base=data).images
    by_case: dict[str, list[int]] = {}
    for number in rng.permutation(len(images)).tolist():
        by_case.setdefault(images[number].case, []).append(number)
    rows = []
    for case in sorted(by_case):
        for image in (images[i] for i in by_case[case][:IMAGES_A_CASE]):
            for view in judged_views(read_pixels(image), image, TILE_PX):
                kept = view.tile if image.source == VALIDATED else None
                look = appearances_of(view.tile[None])[0]
                rows.append((look, image.source, case, round(view.mpp, 3), kept))
    looks, sources, cases, mpps, pixels = zip(*rows, strict=True)
    return Tiles(np.stack(looks), *map(np.array, (sources, cases, mpps)), list(pixels))


def fitted(tiles: Tiles, chosen: NDArray[np.bool_]) -> Iterator[KnownLook]:
    """Fit each source at each scale; its limit is that of cases held out in turn."""
    for source in np.unique(tiles.sources):
        for mpp in np.unique(tiles.mpps[tiles.sources == source]):
            own = chosen & (tiles.sources == source) & (tiles.mpps == mpp)
            if own.sum() < FEWEST:
                continue
            away = [
                fitted_look(source, mpp, tiles.looks[own & ~out]).distances(tiles.looks[own & out])
                for out in folds(tiles.cases, own)
            ]
            limit = float(np.quantile(np.concatenate(away), SHARE))
            yield fitted_look(str(source), float(mpp), tiles.looks[own], limit)


def folds(
    cases: NDArray[np.str_], chosen: NDArray[np.bool_], seed: int = 0
) -> list[NDArray[np.bool_]]:
    """Return which tiles are held out in each fold."""
    names = np.random.default_rng(seed).permutation(np.unique(cases[chosen]))
    return [np.isin(cases, part) for part in np.array_split(names, FOLDS)]


def measured(tiles: Tiles, data: Path) -> dict[str, dict[str, float]]:
    """Return the AUROC of each kind of strange tile, and the share called unlike."""
    strange = dict(strange_tiles(tiles, data))
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in strange}
    called = []
    for out in folds(tiles.cases, tiles.sources == VALIDATED):
        known = KnownLooks(model="", looks=tuple(fitted(tiles, ~out)))
        held_out = out & (tiles.sources == VALIDATED)
        usual = known.unlike(tiles.looks[held_out], tiles.mpps[held_out])
        called.append(float((usual > 1).mean()))
        for name, (looks, mpps) in strange.items():
            other = known.unlike(looks, mpps)
            truth = np.r_[np.zeros(len(usual)), np.ones(len(other))]
            area = roc_auc_score(truth, np.r_[usual, other])
            values[name].append((float(area), float((other > 1).mean())))
        for name in set(tiles.sources) - {VALIDATED}:
            unseen = tiles.sources == name
            known = KnownLooks(model="", looks=tuple(fitted(tiles, ~out & ~unseen)))
            usual = known.unlike(tiles.looks[held_out], tiles.mpps[held_out])
            other = known.unlike(tiles.looks[unseen], tiles.mpps[unseen])
            truth = np.r_[np.zeros(len(usual)), np.ones(len(other))]
            area = float(roc_auc_score(truth, np.r_[usual, other]))
            values.setdefault(f"other tissue, not fitted on: {name}", []).append(
                (area, float((other > 1).mean()))
            )
    found = {"held-out BreakHis": {"called unlike": float(np.mean(called))}}
    for name, some in values.items():
        area, share = np.mean(some, axis=0)
        found[name] = {"AUROC": float(area), "called unlike": float(share)}
    return found


def strange_tiles(
    tiles: Tiles, data: Path
) -> Iterator[tuple[str, tuple[NDArray[np.float32], NDArray[np.float64]]]]:
    """Yield kinds of tiles that are not as the known ones are, their looks and um/px."""
    rng = np.random.default_rng(1)
    ours = np.flatnonzero(tiles.sources == VALIDATED)
    some = rng.choice(ours, DISTURBED, replace=False).tolist()
    ways: dict[str, Callable[[Pixels, int], Pixels]] = {
        "stain inverted": lambda tile, _: 255 - tile,
        "pen over it": lambda tile, n: (tile * (np.array(PENS[n % 4]) / 255)).astype(np.uint8),
        "thin pen over it": lambda tile, n: (0.4 * tile + 0.6 * np.array(PENS[n % 4])).astype(
            np.uint8
        ),
        "blurred, sigma 1 px": blurred(1),
        "blurred, sigma 2 px": blurred(2),
        "blurred, sigma 4 px": blurred(4),
        "blurred, sigma 8 px": blurred(8),
        "grey": lambda tile, _: np.broadcast_to(
            tile.mean(axis=2, keepdims=True).astype(np.uint8), tile.shape
        ),
        "red and green swapped": lambda tile, _: np.ascontiguousarray(tile[..., [1, 0, 2]]),
        "glass": lambda tile, _: np.clip(
            rng.normal(243, 2, (*tile.shape[:2], 1)) + rng.normal(0, 2, (1, 1, 3)), 0, 255
        ).astype(np.uint8),
    }
    for name, way in ways.items():
        changed = [way(tiles.pixels[i], n) for n, i in enumerate(some)]
        yield name, (appearances_of(np.stack(changed)), tiles.mpps[some])
    slides = data / "slides"
    for name, path in (
        ("fluorescence", slides / "fluorescence-dapi.ndpi"),
        ("another laboratory: CMU-1", slides / "CMU-1-Small-Region.svs"),
    ):
        found = slide_tiles(path, rng)
        yield name, (appearances_of(found), np.full(len(found), MPP))
    pictures = [image for image, _ in bach_images(data / "breast_bach_eval")]
    found = np.stack([tile for picture in pictures for tile in corner_tiles(picture, rng)])
    yield "another laboratory: BACH", (appearances_of(found), np.full(len(found), MPP))


def blurred(sigma: float) -> Callable[[Pixels, int], Pixels]:
    """Return what blurs a tile."""
    gaussian = ImageFilter.GaussianBlur(sigma)
    return lambda tile, _: np.asarray(Image.fromarray(tile).filter(gaussian))


def slide_tiles(path: Path, rng: np.random.Generator) -> Pixels:
    """Return tiles from anywhere on a slide."""
    with open_slide(path) as slide:
        side = int(TILE_PX * MPP / slide.mpp) + 2
        places = zip(
            rng.integers(0, slide.width - side, DISTURBED).tolist(),
            rng.integers(0, slide.height - side, DISTURBED).tolist(),
            strict=True,
        )
        read = [slide.read(Region(x, y, side, side), MPP) for x, y in places]
    return np.stack([pixels[:TILE_PX, :TILE_PX] for pixels in read])


def corner_tiles(picture: Image.Image, rng: np.random.Generator, count: int = 4) -> list[Pixels]:
    """Return tiles from anywhere on a picture at 0.5 um/px."""
    pixels = np.asarray(picture)
    height, width = (edge - TILE_PX for edge in pixels.shape[:2])
    return [
        pixels[y : y + TILE_PX, x : x + TILE_PX]
        for y, x in zip(rng.integers(0, height, count), rng.integers(0, width, count), strict=True)
    ]


if __name__ == "__main__":
    main()
