"""Random changes to crops that no diagnosis depends on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from napari_smse.datasets.crops import centre_around, crop_at
from napari_smse.training.recipe import Recipe
from napari_smse.training.sampler import Crop
from napari_smse.training.seeding import uniform

# Rows: haematoxylin, eosin, residual (Ruifrok and Johnston 2001), as optical densities.
STAINS: Final[NDArray[np.float64]] = np.array(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]]
)

_TISSUE_LEFT: Final = (0.2, 0.95)
"""Share of a tile that is left when glass covers the rest."""
_GLASS: Final = (225.0, 250.0)
_GLASS_TINT, _GLASS_NOISE = 4.0, 1.5
_EDGE_PX: Final = 2
_SHAPE_CELLS: Final = 4
_BLUR_PX: Final = (0.3, 1.2)
_BLUR_KERNEL: Final = 9


class StainJitter(v2.Transform):  # type: ignore[misc]  # torchvision ships no types
    """Show a tile as another laboratory and scanner might have.

    Works on optical densities, unmixed into haematoxylin, eosin and a residual: amounts of
    stain vary by a factor, the stains' own colours turn a little, and white balance and
    exposure change.

    Parameters
    ----------
    strength
        1 is strong, 0 changes nothing.
    generator
        Of the draws; torch's global one if none is given.

    References
    ----------
    Stain vectors: Ruifrok and Johnston, Analytical and Quantitative Cytology and Histology,
    2001; jitter of stain amounts: Tellez et al., IEEE TMI 2018.
    """

    _transformed_types = (torch.Tensor,)

    def __init__(self, strength: float = 1.0, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.strength = strength
        self.generator = generator

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the matrix ``(3, 3)`` and the offset ``(3,)`` that densities go through."""
        amounts = torch.exp(0.3 * self.strength * self._normal(3))
        turned = torch.exp(0.15 * self.strength * self._normal(3, 3))
        stains = torch.from_numpy(STAINS)
        matrix = torch.linalg.inv(stains) @ torch.diag(amounts) @ (stains * turned)
        white = 0.03 * self._normal(3) + 0.05 * self._normal(1)
        return {"matrix": matrix, "offset": self.strength * white}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Return RGB ``(..., 3, h, w)`` 0..255, of the type it came in."""
        density = -torch.log((inpt.float() + 1) / 256)
        matrix, offset = (params[name].to(density) for name in ("matrix", "offset"))
        changed = torch.einsum("...ihw,ij->...jhw", density, matrix) + offset.view(3, 1, 1)
        pixels = torch.exp(-changed) * 256 - 1
        if not inpt.is_floating_point():
            pixels = pixels.round()
        return pixels.clamp(0, 255).to(inpt.dtype)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)


def augmented_tile(
    picture: Image.Image, mpp: float, crop: Crop, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """Return a crop ``(3, tile, tile)``, uint8, at its place or a random one, randomly changed.

    Everything random comes from the generator, so that a crop is the same whichever thread or
    process makes it.

    Parameters
    ----------
    picture
        RGB image at `mpp` um/px.
    mpp
        Its scale.
    crop
        At which um/px, and where.
    recipe
        Size of the tile, strength of the changes.
    generator
        The crop's own.
    """
    centre = uniform(0, 1, generator), uniform(0, 1, generator)
    if crop.place is not None:
        centre = centre_around(picture, mpp, crop.mpp, crop.place, recipe.tile_px)
    pixels = crop_at(picture, mpp, crop.mpp, centre, recipe.tile_px)
    tile = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
    tile = turned(tile, generator)
    tile = StainJitter(recipe.stain, generator)(tile)
    tile = colour_jittered(tile, recipe.colour, generator)
    tile = with_glass(tile, recipe.glass, generator)
    return _blurred(tile, recipe.blur, generator).contiguous()


def turned(tile: Tensor, generator: torch.Generator) -> Tensor:
    """Return a square tile in one of its eight positions."""
    if uniform(0, 1, generator) < 0.5:
        tile = functional.horizontal_flip(tile)
    quarters = int(torch.randint(4, (), generator=generator))
    return torch.rot90(tile, quarters, dims=(-2, -1))


def flipped(frame: Tensor, generator: torch.Generator) -> Tensor:
    """Return a frame flipped each way with probability one half."""
    if uniform(0, 1, generator) < 0.5:
        frame = functional.horizontal_flip(frame)
    if uniform(0, 1, generator) < 0.5:
        frame = functional.vertical_flip(frame)
    return frame


def colour_jittered(tile: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue of a tile, each by up to `strength`.

    As torchvision's ``ColorJitter`` with `strength` four times, in this order.
    """
    if not strength:
        return tile
    factors = [uniform(1 - strength, 1 + strength, generator) for _ in range(3)]
    tile = functional.adjust_brightness(tile, factors[0])
    tile = functional.adjust_contrast(tile, factors[1])
    tile = functional.adjust_saturation(tile, factors[2])
    changed: Tensor = functional.adjust_hue(tile, uniform(-strength, strength, generator))
    return changed


def with_glass(tile: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Cover a part of a fraction of the tiles with bare glass, as where a piece of tissue ends.

    The part is of any size up to four fifths, of a random shape with soft edges; the glass is
    nearly white, a little tinted, and has a camera's noise.

    Parameters
    ----------
    tile
        ``(3, h, w)``, uint8.
    fraction
        Of the tiles, 0..1.
    generator
        Of the draws; none are made if `fraction` is 0.
    """
    if not fraction or uniform(0, 1, generator) >= fraction:
        return tile
    height, width = tile.shape[-2:]
    mask = _glass_mask((height, width), uniform(*_TISSUE_LEFT, generator), generator)
    white = uniform(*_GLASS, generator) + _GLASS_TINT * torch.randn(3, 1, 1, generator=generator)
    glass = white + _GLASS_NOISE * torch.randn(tile.shape, generator=generator)
    mixed = tile * (1 - mask) + glass * mask
    return mixed.round().clamp(0, 255).to(torch.uint8)


def _glass_mask(size: tuple[int, int], tissue_left: float, generator: torch.Generator) -> Tensor:
    """Return how much glass covers each pixel, 0..1, ``(h, w)``: a slope with random bumps."""
    height, width = size
    bumps = torch.randn(1, 1, _SHAPE_CELLS, _SHAPE_CELLS, generator=generator)
    relief = torch.nn.functional.interpolate(bumps, size, mode="bicubic", align_corners=True)[0, 0]
    angle = torch.tensor(uniform(0, 2 * np.pi, generator))
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    relief = relief + 2 * (rows[:, None] * angle.sin() + columns * angle.cos())
    mask = (relief > torch.quantile(relief, tissue_left)).float()
    kernel = 2 * _EDGE_PX + 1
    soft: Tensor = functional.gaussian_blur(mask[None], [kernel, kernel])[0]
    return soft


def _blurred(tile: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Blur a fraction of the tiles, so that a source's sharpness does not predict the class."""
    sigma = uniform(*_BLUR_PX, generator)
    if uniform(0, 1, generator) >= fraction:
        return tile
    kernel = min(_BLUR_KERNEL, 2 * ((min(tile.shape[-2:]) - 1) // 2) + 1)
    blurred: Tensor = functional.gaussian_blur(tile, [kernel, kernel], [sigma, sigma])
    return blurred


def whole_frame(picture: Image.Image, size: tuple[int, int]) -> Tensor:
    """Return a whole RGB image ``(3, h, w)``, uint8, at `size` (height, width)."""
    height, width = size
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
