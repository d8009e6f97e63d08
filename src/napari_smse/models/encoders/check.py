"""Try an encoder on this machine: its weights, what it makes of generated tiles, its speed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import platformdirs

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import EncoderWeightsError
from napari_smse.models.encoders import Encoder

_TILES: Final = 4
_TIMED: Final = 2
_DIGITS: Final = 5


@dataclass(frozen=True)
class EncoderCheck:
    """What was found of an encoder.

    Attributes
    ----------
    name
        Of the encoder.
    path, sha256
        Of its weights.
    features
        Of the first generated tile, the first eight.
    spread
        Standard deviation of the features over generated tiles; 0 would tell nothing apart.
    tiles_per_second
        On the CPU of this machine, in float32.
    """

    name: str
    path: str
    sha256: str
    features: tuple[float, ...]
    spread: float
    tiles_per_second: float


def check_encoder(encoder: Encoder, weights: str | Path | None = None) -> EncoderCheck:
    """Load an encoder, run it on generated tiles, and keep what came out.

    Parameters
    ----------
    encoder
        Which.
    weights
        File or folder; those of the hub's cache by default.

    Raises
    ------
    EncoderWeightsError
        The weights are not there, are another network's, or make the same of all tiles.
    """
    import torch

    from napari_smse.models.encoders.weight_files import weights_path
    from napari_smse.models.encoders.weights import load_encoder
    from napari_smse.models.generated_tiles import generated_tile
    from napari_smse.models.trunk import normalisation

    path = weights_path(encoder, weights)
    trunk = load_encoder(encoder, path)
    px = encoder.input_px
    tiles = np.stack([generated_tile(number, px, px) for number in range(_TILES)])
    mean, std = normalisation(trunk)
    images = (torch.from_numpy(tiles).permute(0, 3, 1, 2).float() - mean) / std
    with torch.inference_mode():
        features = trunk(images).float()
        began = time.perf_counter()
        for _ in range(_TIMED):
            trunk(images)
        seconds = time.perf_counter() - began
    spread = float(features.std(dim=0).mean())
    if not torch.isfinite(features).all() or spread == 0:
        raise EncoderWeightsError(
            f"{path} makes the same of all tiles, or no numbers: get the weights of "
            f"{encoder.name} again."
        )
    found = EncoderCheck(
        encoder.name,
        str(path),
        trunk.weights_sha256,
        tuple(round(float(value), _DIGITS) for value in features[0, :8]),
        round(spread, _DIGITS),
        round(_TIMED * _TILES / seconds, 2),
    )
    write_atomic(_record_path(encoder), json.dumps(asdict(found), indent=1).encode())
    return found


def last_check(encoder: Encoder) -> EncoderCheck | None:
    """Return what was found of an encoder on this machine before; None if it was not tried."""
    try:
        values = json.loads(_record_path(encoder).read_bytes())
        return EncoderCheck(**{**values, "features": tuple(values["features"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _record_path(encoder: Encoder) -> Path:
    folder = platformdirs.user_data_path("napari-smse") / "encoders"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{encoder.name.replace('/', '--')}.json"
