"""Slides made up for the tests, small and with known pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Image = NDArray[np.uint8]

APERIO = (
    "Aperio Image Library v11.2.1 \r\n{width}x{height} [0,0 {width}x{height}] (256x256) "
    "RGB|AppMag = 20|MPP = {mpp}|Filename = generated"
)


def coordinate_image(width: int, height: int) -> Image:
    """RGB that says where a pixel lies: red = x mod 251, green = y mod 251, blue = both / 251."""
    y, x = np.mgrid[0:height, 0:width]
    blue = (x // 251) * 16 + (y // 251)
    return np.stack([x % 251, y % 251, blue % 256], axis=-1).astype(np.uint8)


def ramp_image(width: int, height: int) -> Image:
    """Smooth RGB: red rises to the right, green downwards, blue is 128."""
    red = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    green = np.broadcast_to(np.linspace(0, 255, height)[:, np.newaxis], (height, width))
    return np.stack([red, green, np.full_like(red, 128)], axis=-1).round().astype(np.uint8)


def noise_image(width: int, height: int, seed: int = 0) -> Image:
    """RGB noise, in blobs of 4 px so that it survives a pyramid."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return np.ascontiguousarray(small.repeat(4, axis=0).repeat(4, axis=1)[:height, :width])


def halved(image: Image) -> Image:
    """Mean of 2 x 2 pixels; an odd last row or column is dropped."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    whole = image[: height * 2, : width * 2].astype(np.uint16)
    total = whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]
    return (total / np.float32(4)).round().astype(np.uint8)


def pyramid(image: Image, levels: int) -> list[Image]:
    """The image and its halves, finest first."""
    images = [image]
    while len(images) < levels:
        images.append(halved(images[-1]))
    return images


def write_pyramid_tiff(
    path: Path,
    image: Image,
    mpp: float | None = 0.5,
    levels: int = 3,
    tile: int = 256,
    compression: str | None = "zlib",
    **options: Any,
) -> Path:
    """Write a tiled TIFF whose levels are pages, as OpenSlide and tifffile both read it."""
    per_cm = None if mpp is None else (1e4 / mpp, 1e4 / mpp)
    with tifffile.TiffWriter(path) as tiff:
        for index, level in enumerate(pyramid(image, levels)):
            tiff.write(
                level,
                photometric="rgb",
                tile=(tile, tile),
                compression=compression,
                resolution=None if per_cm is None else tuple(r / 2**index for r in per_cm),
                resolutionunit="CENTIMETER" if per_cm else "NONE",
                subfiletype=1 if index else 0,
                metadata=None,
                **options,
            )
    return path


def write_ome_pyramid(
    path: Path,
    image: Image,
    size: float | None = 0.5,
    unit: str = "µm",
    levels: int = 3,
    tile: int = 128,
) -> Path:
    """Write an OME-TIFF whose coarser levels are SubIFDs."""
    metadata: dict[str, Any] = {"axes": "YXS"}
    if size is not None:
        for side in "XY":
            metadata[f"PhysicalSize{side}"] = size
            metadata[f"PhysicalSize{side}Unit"] = unit
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (tile, tile),
        "compression": "zlib",
    }
    with tifffile.TiffWriter(path, ome=True) as tiff:
        first, *rest = pyramid(image, levels)
        tiff.write(first, subifds=len(rest), metadata=metadata, **options)
        for level in rest:
            tiff.write(level, subfiletype=1, **options)
    return path


def write_svs(
    path: Path,
    image: Image,
    mpp: str = "0.4990",
    tile: int = 256,
    compression: str = "jpeg",
    **options: Any,
) -> Path:
    """Write what OpenSlide takes for an Aperio slide of one level."""
    height, width = image.shape[:2]
    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        tile=(tile, tile),
        compression=compression,
        description=APERIO.format(width=width, height=height, mpp=mpp),
        metadata=None,
        **options,
    )
    return path


def cut(path: Path, keep: int) -> Path:
    """Keep the first bytes of a file only."""
    path.write_bytes(path.read_bytes()[:keep])
    return path
