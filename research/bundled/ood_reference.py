"""Write what the bundled model's training tiles look like, and measure what that is worth.

    python -m research.bundled.ood_reference --data DATA --out src/napari_smse/models/bundled

What is unlike everything known must light up: each kind of disturbed tile is told from undisturbed
tiles of BreakHis cases that nothing was fitted on (5 folds by case; limits are fitted on the
training cases alone). Other laboratories (BACH, the CMU slide) are reported, and chose nothing.
Other tissue is told again after a few of its tiles were learnt, as by fine-tuning and by adding
exemplars; the cases they are from are then left out.
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

from napari_smse.datasets.crops import evaluation_crops
from napari_smse.datasets.pixels import read_pixels
from napari_smse.models import read_card
from napari_smse.models.card import OOD_REFERENCE_SUFFIX
from napari_smse.similarity.ood.reference import OodReference, save_ood_reference
from napari_smse.slides import Region, open_slide
from napari_smse.tiles.appearance import appearance_features
from napari_smse.training.ood_reference import TileAppearances, fitted_ood_reference, folds_of
from research.bundled.bach import bach_images
from research.bundled.breakhis_folds import VALIDATED
from research.bundled.laboratories import read_laboratories
from research.bundled.train import NAME

IMAGES_A_CASE = 12
LEARNT_CASES, LEARNT_TILES, LEARNT_TURNS = 2, 20, 10
TILE_PX, MPP, DISTURBED = 224, 0.5, 150
PENS = ((20, 60, 160), (20, 120, 60), (20, 20, 20), (170, 30, 40))
Pixels = NDArray[np.uint8]


class Tiles(NamedTuple):
    """Looks of tiles; `pixels` of BreakHis only."""

    told: TileAppearances
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
    known = fitted(tiles.told, read_card(options.out / NAME).weights_sha256)
    save_ood_reference(known, options.out / (NAME + OOD_REFERENCE_SUFFIX))
    print(
        json.dumps({f"{one.source} {one.mpp:g}": round(one.limit, 2) for one in known.appearances})
    )


def known_tiles(data: Path, seed: int = 0) -> Tiles:
    """Return the tiles that images are judged by, of as many images of a case at most."""
    rng = np.random.default_rng(seed)
    images = read_laboratories(data).images
    by_case: dict[str, list[int]] = {}
    for number in rng.permutation(len(images)).tolist():
        by_case.setdefault(images[number].case, []).append(number)
    rows = []
    for case in sorted(by_case):
        for image in (images[i] for i in by_case[case][:IMAGES_A_CASE]):
            for view in evaluation_crops(read_pixels(image), image, TILE_PX):
                kept = view.tile if image.source == VALIDATED else None
                look = appearance_features(view.tile[None])[0]
                rows.append((look, image.source, case, round(view.mpp, 3), kept))
    looks, sources, cases, mpps, pixels = zip(*rows, strict=True)
    told = TileAppearances(np.stack(looks), *map(np.array, (sources, cases, mpps)))
    return Tiles(told, list(pixels))


def some(tiles: TileAppearances, chosen: NDArray[np.bool_]) -> TileAppearances:
    """Return these tiles only."""
    columns = (tiles.appearances, tiles.sources, tiles.cases, tiles.mpps)
    return TileAppearances(*(column[chosen] for column in columns))


def fitted(tiles: TileAppearances, model: str = "") -> OodReference:
    """Return what is known of these tiles."""
    return OodReference(model=model, appearances=tuple(fitted_ood_reference(tiles)))


class Found(NamedTuple):
    """How well strange tiles are told, and the share of them that is called unlike."""

    auroc: float
    called: float


def told_apart(usual: NDArray[np.float32], other: NDArray[np.float32]) -> Found:
    """Compare how unlike usual tiles are with how unlike others are."""
    truth = np.r_[np.zeros(len(usual)), np.ones(len(other))]
    area = float(roc_auc_score(truth, np.r_[usual, other]))
    return Found(area, float((other > 1).mean()))


def measured(tiles: Tiles, data: Path) -> dict[str, dict[str, float]]:
    """Return the AUROC of each kind of strange tile, and the share called unlike."""
    strange, told = dict(strange_tiles(tiles, data)), tiles.told
    others = sorted(set(told.sources) - {VALIDATED})
    values: dict[str, list[Found]] = {}
    called = []
    for out in held_out(told):
        known, tests = fitted(some(told, ~out)), some(told, out)
        usual = known.ood_scores(tests.appearances, tests.mpps)
        called.append(float((usual > 1).mean()))
        for name, (looks, mpps) in strange.items():
            values.setdefault(name, []).append(told_apart(usual, known.ood_scores(looks, mpps)))
        for source in others:
            unseen = told.sources == source
            without, away = fitted(some(told, ~out & ~unseen)), some(told, unseen)
            values.setdefault(f"other tissue, not fitted on: {source}", []).append(
                told_apart(
                    without.ood_scores(tests.appearances, tests.mpps),
                    without.ood_scores(away.appearances, away.mpps),
                )
            )
    found = {"held-out BreakHis": {"called unlike": float(np.mean(called))}}
    for name, results in values.items():
        area, share = np.mean(results, axis=0)
        found[name] = {"AUROC": float(area), "called unlike": float(share)}
    for source in others:
        found[f"{source}, {LEARNT_TILES} tiles learnt"] = learnt(told, source)
    return found


def held_out(tiles: TileAppearances) -> list[NDArray[np.bool_]]:
    """Return which tiles are held out in each fold of the validated cases."""
    ours = tiles.sources == VALIDATED
    found = []
    for out in folds_of(tiles.cases[ours]):
        chosen = np.zeros(len(ours), bool)
        chosen[ours] = out
        found.append(chosen)
    return found


def learnt(tiles: TileAppearances, source: str) -> dict[str, float]:
    """Return the share of tiles of other cases called unlike before and after a few are learnt."""
    rng = np.random.default_rng(0)
    own = tiles.sources == source
    known = fitted(some(tiles, ~own))
    shares = []
    for _ in range(LEARNT_TURNS):
        cases = rng.choice(np.unique(tiles.cases[own]), LEARNT_CASES, replace=False)
        theirs = own & np.isin(tiles.cases, cases)
        chosen = np.zeros(len(own), bool)
        chosen[rng.permutation(np.flatnonzero(theirs))[:LEARNT_TILES]] = True
        tests = some(tiles, own & ~theirs)
        few = some(tiles, chosen)
        alone = few.alone(known)
        if alone is None:  # spread over too many scales
            continue
        shares.append(
            [
                *(unlike(one, tests) for one in (known, few.added_to(known), alone)),
                unlike(alone, some(tiles, ~own)),
            ]
        )
    names = ("called unlike before", "after", "known alone", "other sources, known alone")
    return dict(zip(names, np.mean(shares, axis=0).tolist(), strict=True)) if shares else {}


def unlike(known: OodReference, tests: TileAppearances) -> float:
    """Return the share of tiles that are called unlike everything known."""
    return float((known.ood_scores(tests.appearances, tests.mpps) > 1).mean())


def strange_tiles(
    tiles: Tiles, data: Path
) -> Iterator[tuple[str, tuple[NDArray[np.float32], NDArray[np.float64]]]]:
    """Yield kinds of tiles that are not as the known ones are, their looks and um/px."""
    rng = np.random.default_rng(1)
    ours = np.flatnonzero(tiles.told.sources == VALIDATED)
    drawn = rng.choice(ours, DISTURBED, replace=False).tolist()
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
        "pen over a third of it": stroke,
        "folded, half of it": lambda tile, _: folded(tile, 0.5),
        "folded, all of it": lambda tile, _: folded(tile, 1.0),
        "fat, as drawn": lambda _, n: fat(float(tiles.told.mpps[drawn[n]]), n),
        "glass": lambda tile, _: np.clip(
            rng.normal(243, 2, (*tile.shape[:2], 1)) + rng.normal(0, 2, (1, 1, 3)), 0, 255
        ).astype(np.uint8),
    }
    for name, way in ways.items():
        changed = [way(tiles.pixels[i], n) for n, i in enumerate(drawn)]
        yield name, (appearance_features(np.stack(changed)), tiles.told.mpps[drawn])
    slides = data / "slides"
    for name, path in (
        ("fluorescence", slides / "fluorescence-dapi.ndpi"),
        ("another laboratory: CMU-1", slides / "CMU-1-Small-Region.svs"),
    ):
        found = tile_table_of(path, rng)
        yield name, (appearance_features(found), np.full(len(found), MPP))
    pictures = [image for image, _ in bach_images(data / "breast_bach_eval")]
    found = np.stack([tile for picture in pictures for tile in corner_tiles(picture, rng)])
    yield "another laboratory: BACH", (appearance_features(found), np.full(len(found), MPP))


def blurred(sigma: float) -> Callable[[Pixels, int], Pixels]:
    """Return what blurs a tile."""
    gaussian = ImageFilter.GaussianBlur(sigma)
    return lambda tile, _: np.asarray(Image.fromarray(tile).filter(gaussian))


def folded(tile: Pixels, share: float) -> Pixels:
    """Return a tile that light passes twice, as where tissue lies on itself, out of focus."""
    below = tile[::-1].astype(np.float32) / 255
    double = Image.fromarray((tile * below).astype(np.uint8))
    soft = np.asarray(double.filter(ImageFilter.GaussianBlur(1.5)))
    width = round(share * tile.shape[1])
    return np.concatenate([soft[:, :width], tile[:, width:]], axis=1)


def fat(mpp: float, seed: int) -> Pixels:
    """Return fat as it is drawn: empty cells of about 70 um with thin pink walls."""
    rng = np.random.default_rng(seed)
    across = max(2, round(TILE_PX * mpp / 70))
    centres = rng.uniform(0, TILE_PX, (across * across + 6, 2))
    y, x = np.mgrid[:TILE_PX, :TILE_PX]
    away = np.sort(np.hypot(y[..., None] - centres[:, 0], x[..., None] - centres[:, 1]), axis=2)
    wall = (away[..., 1] - away[..., 0]) * mpp < 3
    drawn = np.where(wall[..., None], (205, 140, 180), (240, 238, 241))
    noisy = drawn + rng.normal(0, 3, (TILE_PX, TILE_PX, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def stroke(tile: Pixels, number: int) -> Pixels:
    """Return a tile with a stroke of a pen over a third of it."""
    inked = tile.copy()
    third = slice(TILE_PX // 3, 2 * TILE_PX // 3)
    inked[:, third] = (tile[:, third] * (np.array(PENS[number % 4]) / 255)).astype(np.uint8)
    return inked


def tile_table_of(path: Path, rng: np.random.Generator) -> Pixels:
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
