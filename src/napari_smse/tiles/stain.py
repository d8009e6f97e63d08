"""Tell stains apart from haematoxylin and eosin, as far as their colours do.

What is as red, pink and violet as H&E (PAS, AEC) cannot be told from it so, nor haematoxylin
alone: of 250 fields of five laboratories, each balanced to white, a fifth has next to nothing pink.
Two were taken for another stain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import OtherStainError
from napari_smse.tiles.glass import Glass, is_uneven

H_AND_E: Final = "H&E"
_MIN_ABSORBANCE: Final = 0.05
_MIN_TISSUE_FRACTION: Final = 0.002
"""Of less tissue than this on a slide nothing is said."""

_HUE_FROM, _HUE_TO = 235.0, 20.0
_BROWN: Final = (10.0, 60.0)
_MIN_SATURATION: Final = 0.06
_MIN_OF_H_AND_E: Final = 0.7
_MAX_BROWN: Final = 0.05
_MAX_GREY: Final = 0.5


def name_stain(
    absorbance: NDArray[np.float32],
    hue: NDArray[np.float32],
    saturation: NDArray[np.float32],
    dyed: NDArray[np.bool_],
    glass: Glass,
    mpp: float,
) -> str:
    """Name the stain of a slide: `H_AND_E` if nothing speaks against it.

    What is as even as ink does not count. In a field without glass, a camera's cast may be of any
    colour, so that nothing is said of it.

    Parameters
    ----------
    absorbance, hue, saturation
        Of an overview, relative to its glass, (h, w); hue in degrees.
    dyed
        What lies on the glass and is no flat ink, (h, w).
    glass
        The slide's.
    mpp
        Scale of the overview, um/px.
    """
    if not glass.surrounds or glass.bright_is_tissue:
        return H_AND_E
    # The rims of pen strokes are uneven, too, but narrow.
    tissue = dyed & is_uneven(absorbance, mpp) & (absorbance > _MIN_ABSORBANCE)
    if tissue.mean() < _MIN_TISSUE_FRACTION:
        return H_AND_E
    hues, coloured = hue[tissue], saturation[tissue] > _MIN_SATURATION
    brown = coloured & (hues >= _BROWN[0]) & (hues < _BROWN[1])
    of_h_and_e = coloured & ((hues >= _HUE_FROM) | (hues <= _HUE_TO))
    if coloured.mean() < 1 - _MAX_GREY:
        return "a grey stain, such as silver"
    if brown.mean() > _MAX_BROWN:
        return "immunohistochemistry with DAB (brown)"
    if of_h_and_e.mean() < _MIN_OF_H_AND_E:
        return "a stain of other colours, such as a trichrome"
    return H_AND_E


def require_h_and_e(stain: str, path: Path) -> None:
    """Refuse another stain.

    Raises
    ------
    OtherStainError
        It is another.
    """
    if stain != H_AND_E:
        raise OtherStainError(
            f"{path.name} looks like {stain}, not like H&E, which models learn from: open an H&E "
            "slide, or allow other stains (in a shell: --any-stain)."
        )
