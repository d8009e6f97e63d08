"""How does the program do on a slide of full size? This composes one to try it on.

Slides of 60,000 x 50,000 px are too large to keep beside the code, so one is made of the best
piece of a small CC0 slide: mirrored copies of it, which meet without seams, fill six rounded
pieces of tissue on glass. Tiles are encoded once for each place in the pattern and written many
times, so that a pyramid of 4 gigapixels is there within a minute and never whole in memory. Every
copy takes its own bytes in the file, as in a scanner's.

    .venv/bin/python -m benchmarks.large_slide --width 60000 --height 50000

It is a plain tiled TIFF, JPEG with YCbCr 4:2:0 at quality 85, with levels down to 1/32 and 0.499
um/px in its resolution tags. A file that is there with the same parameters is used again. What was
written is checked through `napari_smse.slides` before the table is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from imagecodecs import jpeg8_decode, jpeg8_encode
from numpy.typing import NDArray

from napari_smse.models import read_card
from napari_smse.scoring import ScoreRequest
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import Ground, classify_ground

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(tempfile.gettempdir()) / "napari-smse-benchmarks"
MPP, TILE, QUALITY = 0.499, 256, 85
DOWNSAMPLES = (1, 2, 4, 8, 16, 32)
CROP_WIDTH, CROP_HEIGHT = 1024, 2048
GLASS = (243, 243, 243)
# Pieces of tissue side by side and one below the other, and their half axes in shares of a cell.
PIECES_ACROSS, PIECES_DOWN, HALF_AXIS = 3, 2, 0.455
CHECKED_PLACES, TOLERANCE = 200, 8.0
Pixels = NDArray[np.uint8]


def main() -> None:
    """Compose, check, print a table, and exit with 1 if the file is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=60_000, help="of level 0, px")
    parser.add_argument("--height", type=int, default=50_000, help="of level 0, px")
    parser.add_argument("--out", type=Path, help="the slide to write (.tif)")
    parser.add_argument("--json", type=Path, help="also write the facts of the table there")
    options = parser.parse_args()
    began = time.perf_counter()
    path = compose(options.out, options.width, options.height)
    seconds = time.perf_counter() - began
    facts = {"seconds": round(seconds, 1), **check(path)}
    for name, value in facts.items():
        print(f"{name:<28} {value}")
    if options.json:
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    sys.exit(not facts["as composed"])


def compose(path: Path | None = None, width: int = 60_000, height: int = 50_000) -> Path:
    """Write a slide of this size, or find it there from before, and return its path.

    Parameters
    ----------
    path
        The file; None for one of this size among the temporary files.
    width, height
        Of level 0, px; at least 32.
    """
    path = path or FOLDER / f"composed_{width}x{height}.tif"
    mosaic = Mosaic(width, height)
    if _description(path) == mosaic.description:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _write(part, mosaic)
    part.replace(path)
    return path


@dataclass
class Mosaic:
    """Mirrored copies of a piece of tissue under a mask of glass, at any level.

    Parameters
    ----------
    width, height
        Of level 0, px.
    """

    width: int
    height: int
    description: str = field(init=False)
    _units: dict[int, Pixels] = field(init=False)
    _encoded: dict[tuple, bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        source = source_slide()
        with open_slide(source) as slide:
            unit = _mirrored(_most_tissue(slide.read(slide.bounds, MPP)))
        self._units = {step: _reduced(unit, step) for step in DOWNSAMPLES}
        self._mask = _tissue_mask(self.width, self.height, DOWNSAMPLES[-1])
        digest = hashlib.sha256(unit.tobytes() + self._mask.tobytes()).hexdigest()[:16]
        self.description = (
            f"Composed of {source.name} for benchmarks, {self.width} x {self.height} px, "
            f"JPEG quality {QUALITY}, content {digest}"
        )

    def size(self, step: int) -> tuple[int, int]:
        """Width and height of a level, px."""
        return self.width // step, self.height // step

    def tiles(self, step: int) -> Iterator[bytes]:
        """The encoded tiles of a level, row by row."""
        width, height = self.size(step)
        for row in range(-(-height // TILE)):
            for column in range(-(-width // TILE)):
                yield self.tile(step, row, column)

    def tile(self, step: int, row: int, column: int) -> bytes:
        """One encoded tile; the same bytes wherever pattern and mask are the same."""
        mask = self._tile_mask(step, row, column)
        rows, columns = self._places(step, row, column)
        # Glass looks the same at every place of the pattern.
        place = (rows[0], columns[0]) if mask.any() else ()
        key = (step, *place, np.packbits(mask).tobytes())
        if key not in self._encoded:
            self._encoded[key] = jpeg8_encode(
                self.tile_pixels(step, row, column),
                level=QUALITY,
                colorspace="RGB",
                outcolorspace="YCbCr",
                subsampling="420",
            )
        return self._encoded[key]

    def tile_pixels(self, step: int, row: int, column: int) -> Pixels:
        """What a tile shows before it is encoded, (256, 256, 3)."""
        rows, columns = self._places(step, row, column)
        mask = self._tile_mask(step, row, column)
        cell = TILE // len(mask)
        shown = mask.repeat(cell, axis=0).repeat(cell, axis=1)[..., np.newaxis]
        return np.where(shown, self._units[step][np.ix_(rows, columns)], np.uint8(GLASS))

    def _places(self, step: int, row: int, column: int) -> tuple[NDArray[np.intp], ...]:
        """Rows and columns of the pattern that a tile shows."""
        height, width = self._units[step].shape[:2]
        return (
            (row * TILE + np.arange(TILE)) % height,
            (column * TILE + np.arange(TILE)) % width,
        )

    def _tile_mask(self, step: int, row: int, column: int) -> NDArray[np.bool_]:
        """The mask's cells under a tile; glass beyond the edge of the slide."""
        cells = TILE * step // DOWNSAMPLES[-1]
        mask = np.zeros((cells, cells), dtype=bool)
        part = self._mask[row * cells : (row + 1) * cells, column * cells : (column + 1) * cells]
        mask[: part.shape[0], : part.shape[1]] = part
        return mask


def source_slide() -> Path:
    """The CC0 slide of the test data, or the generated one where that is absent."""
    data = Path(os.environ.get("SMSE_TEST_DATA", ROOT.parent / "shared" / "data"))
    real = data / "slides" / "CMU-1-Small-Region.svs"
    return real if real.is_file() else ROOT / "sample_data" / "sample_slide.tif"


def check(path: Path) -> dict:
    """Open a composed slide as a user does; tell what it is, and whether its pixels are right."""
    with open_slide(path) as slide:
        mosaic = Mosaic(slide.width, slide.height)
        exact, difference = _compare(slide, mosaic)
        plan = ScoreRequest((0.5,)).plan(slide, read_card())
        right = exact and difference <= TOLERANCE and _description(path) == mosaic.description
        return {
            "file": path.name,
            "made of": source_slide().name,
            "megabytes": round(path.stat().st_size / 1e6),
            "backend": slide.backend_name,
            "um/px": round(slide.mpp, 6),
            "levels": [f"{level.width} x {level.height}" for level in slide.levels],
            "downsamples": [level.downsample for level in slide.levels],
            "places compared": CHECKED_PLACES,
            "as encoded": exact,
            "mean difference from source": round(difference, 2),
            "tissue share": round(plan.mask.ground_fraction(Ground.TISSUE), 3),
            "tiles at 0.5 um/px": plan.tile_count,
            "as composed": bool(right and slide.backend_name == "tifffile"),
        }


def _compare(slide: Slide, mosaic: Mosaic) -> tuple[bool, float]:
    """Whether random tiles are those that were encoded, and how far they are from the source."""
    random = np.random.default_rng(0)
    exact, differences = True, []
    for _ in range(CHECKED_PLACES):
        number = int(random.integers(len(slide.levels)))
        step, level = DOWNSAMPLES[number], slide.levels[number]
        row = int(random.integers(-(-level.height // TILE)))
        column = int(random.integers(-(-level.width // TILE)))
        width = min(TILE, level.width - column * TILE)
        height = min(TILE, level.height - row * TILE)
        found = slide.read_level(number, column * TILE, row * TILE, width, height)
        encoded = jpeg8_decode(mosaic.tile(step, row, column))[:height, :width]
        exact = exact and np.array_equal(found, encoded)
        drawn = mosaic.tile_pixels(step, row, column)[:height, :width]
        differences.append(np.abs(found.astype(np.int16) - drawn).mean())
    return exact, float(np.mean(differences))


def _most_tissue(pixels: Pixels) -> Pixels:
    """The piece of an image with the most tissue."""
    tissue = classify_ground(pixels[::8, ::8], MPP * 8) == Ground.TISSUE
    sums = np.pad(tissue.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    high, wide = CROP_HEIGHT // 8, CROP_WIDTH // 8
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    height, width = pixels.shape[:2]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    y, x = min(row * 8, height - CROP_HEIGHT), min(column * 8, width - CROP_WIDTH)
    return pixels[y : y + CROP_HEIGHT, x : x + CROP_WIDTH]


def _mirrored(piece: Pixels) -> Pixels:
    """Two by two copies that go on without a seam when repeated."""
    pair = np.concatenate([piece, piece[:, ::-1]], axis=1)
    return np.concatenate([pair, pair[::-1]], axis=0)


def _reduced(pixels: Pixels, step: int) -> Pixels:
    height, width = pixels.shape[:2]
    blocks = pixels.reshape(height // step, step, width // step, step, 3)
    return np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)


def _tissue_mask(width: int, height: int, cell: int) -> NDArray[np.bool_]:
    """Where there is tissue, in cells of so many level-0 px: rounded pieces with gaps between."""
    rows, columns = -(-height // cell), -(-width // cell)
    down, across = (
        np.abs(((np.arange(cells) + 0.5) * pieces / cells) % 1 - 0.5) / HALF_AXIS
        for cells, pieces in ((rows, PIECES_DOWN), (columns, PIECES_ACROSS))
    )
    return down[:, np.newaxis] ** 4 + across**4 <= 1


def _write(path: Path, mosaic: Mosaic) -> None:
    # Half a byte a pixel is more than JPEG needs; classic TIFF ends at 4 GB.
    big = mosaic.width * mosaic.height > 2**32
    with tifffile.TiffWriter(path, bigtiff=big) as tiff:
        for step in DOWNSAMPLES:
            width, height = mosaic.size(step)
            per_cm = (10_000_000, round(MPP * 1000) * step)
            tiff.write(
                mosaic.tiles(step),
                shape=(height, width, 3),
                dtype=np.uint8,
                photometric="rgb",  # of what went into the encoder; the tag says YCbCr
                tile=(TILE, TILE),
                compression="jpeg",
                subsampling=(2, 2),
                resolution=(per_cm, per_cm),
                resolutionunit="centimeter",
                subfiletype=0 if step == 1 else 1,
                description=mosaic.description if step == 1 else None,
                metadata=None,
                software=False,
            )


def _description(path: Path) -> str | None:
    """What a file says it was composed of; None if it is not there."""
    if not path.is_file():
        return None
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages.first.description


if __name__ == "__main__":
    main()
