"""Does a network call glass? P(malignant) against the share of tissue in a tile, without tumour.

    python -m research.bundled.tissue_share --data DATA [--networks FOLDER ...]

On CMU-1-Small-Region, benign skin, every half tile at 40x, 20x and 10x: Pearson's correlation of
P(malignant) with the share of the tile that is tissue, over all tiles with a quarter of it or more.
Of the bundled model, or of networks that `laboratories` wrote. As neighbouring tiles overlap, the
intervals are from 1,000 bootstraps of squares of 600 um.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_smse.models import load_model
from napari_smse.scoring.read_block import read_block
from napari_smse.slides import open_slide
from napari_smse.tiles import plan_tiles
from research.bundled.kept_networks import kept_networks

SLIDE: Final = Path("slides") / "CMU-1-Small-Region.svs"
MPPS: Final = (0.25, 0.5, 1.0)
DRAWS: Final = 1000
_SQUARE_UM: Final = 600.0
_AT_ONCE: Final = 32


class SlideTiles(NamedTuple):
    """Tiles ``(n, 3, h, w)``, the share of tissue of each, and the square that each lies in."""

    pixels: torch.Tensor
    tissue: NDArray[np.float64]
    square: NDArray[np.int64]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--networks", type=Path, nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tiles = {mpp: slide_tiles(options.data / SLIDE, mpp) for mpp in MPPS}
    print("| network | " + " | ".join(f"{mpp:g} um/px" for mpp in MPPS) + " | mean P |")
    print("|---" * (2 + len(MPPS)) + "|")
    for name, network in networks(options.networks):
        malignant = {mpp: probabilities(network, tiles[mpp].pixels) for mpp in MPPS}
        cells = [correlation(malignant[mpp], tiles[mpp]) for mpp in MPPS]
        means = " / ".join(f"{malignant[mpp].mean():.2f}" for mpp in MPPS)
        print(f"| {name} | {' | '.join(cells)} | {means} |", flush=True)


def networks(folders: list[Path]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the bundled network, or each of those in the folders."""
    if not folders:
        model = load_model("bundled")
        yield model.card.name, model.network
    for folder in folders:
        for source, network in kept_networks(folder):
            yield f"{folder.name}, without {source}", network


def slide_tiles(path: Path, mpp: float) -> SlideTiles:
    """Read the tiles of the slide at a scale, um/px, every half tile."""
    with open_slide(path) as slide:
        plan = plan_tiles(slide, [mpp], overlap=0.5)
        pixels = np.concatenate([read_block(slide, plan, block) for block in plan.blocks])
        (scale,) = plan.scales
        side = _SQUARE_UM / slide.mpp
    squares = np.stack([scale.x // side, scale.y // side], axis=1)
    square = np.unique(squares, axis=0, return_inverse=True)[1].ravel()
    return SlideTiles(
        torch.from_numpy(pixels).permute(0, 3, 1, 2), scale.tissue.astype(float), square
    )


def probabilities(network: nn.Module, pixels: torch.Tensor) -> NDArray[np.float64]:
    """Return P(malignant) of tiles, ``(n,)``."""
    with torch.inference_mode():
        logits = torch.cat([network(part).logits for part in torch.split(pixels, _AT_ONCE)])
    return torch.softmax(logits.double(), dim=1)[:, 1].numpy()


def correlation(malignant: NDArray[np.float64], tiles: SlideTiles) -> str:
    """Write the correlation and its interval."""
    value = np.corrcoef(malignant, tiles.tissue)[0, 1]
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(tiles.square == number) for number in range(tiles.square.max() + 1)]
    drawn = []
    for _ in range(DRAWS):
        rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        drawn.append(np.corrcoef(malignant[rows], tiles.tissue[rows])[0, 1])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    main()
