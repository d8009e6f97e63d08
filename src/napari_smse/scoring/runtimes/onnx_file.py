"""A model as one ONNX file, for programs that know nothing of this one."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from napari_smse.atomic_write import atomic_path, require_folder
from napari_smse.errors import ModelError, OutputError
from napari_smse.models import Model
from napari_smse.models.card import card_json
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.scoring.runtimes.batchnorm_folding import fold_batchnorm
from napari_smse.scoring.runtimes.converted_network import ExportableNetwork, converting

CARD_KEY: Final = "napari_smse.card"
"""Of the file's metadata: the model's card as JSON, with classes, tile size and scale."""
INPUT_NAME: Final = "tiles"
OUTPUT_NAMES: Final = ("probability", "embedding")
TOLERANCE: Final = 1e-3
"""How far a probability of the exported model may lie from ours."""
_TILES: Final = 8


def export_onnx(model: Model, path: Path, *, overwrite: bool = False) -> float:
    """Write a model as ONNX, and compare what ONNX Runtime makes of it with the model itself.

    The file takes RGB tiles ``(n, h, w, 3)``, uint8, any number of them, and gives probabilities
    ``(n, classes)`` and embeddings ``(n, d)``. The card is in its metadata.

    Parameters
    ----------
    model
        Of those that take tiles.
    path
        Of the file.
    overwrite
        Another file that lies there may be replaced.

    Returns
    -------
    float
        Largest difference of a probability, over generated tiles.

    Raises
    ------
    OutputError
        There is a file already, or it cannot be written.
    ModelError
        The exported model answers otherwise, or what writes it is not installed.
    """
    require_folder(path, "the model")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already: give another path, or overwrite it.")
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelError(
            'ONNX is written and tried by packages of an extra: pip install "napari-smse[onnx]".'
        ) from error
    px = model.card.tile_px
    tiles = np.stack([generated_tile(number, px, px) for number in range(_TILES)])
    with atomic_path(path) as part:
        _write(model, part)
        session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
        exported = session.run(list(OUTPUT_NAMES), {INPUT_NAME: tiles})[0]
        difference = float(np.abs(exported - _own(model, tiles)).max())
        if not difference < TOLERANCE:
            raise ModelError(
                f"The exported model answers otherwise than {model.card.label} (by "
                f"{difference:.4f}): nothing was written; please report this."
            )
    return difference


def _own(model: Model, tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        images = torch.from_numpy(tiles).permute(0, 3, 1, 2)
        return np.asarray(model.network(images).logits.softmax(dim=1).numpy())


def _write(model: Model, path: Path) -> None:
    network = ExportableNetwork(fold_batchnorm(model.network).cpu())
    tiles = network.example(model.card.tile_px, 2)
    # The exporter tells of its own progress and of what it deprecated itself.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with converting(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            network,
            (tiles,),
            dynamo=True,
            verbose=False,
            input_names=[INPUT_NAME],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes={"tiles": {0: torch.export.Dim("n")}},
        )
    program.model.metadata_props[CARD_KEY] = card_json(model.card)
    program.save(path)
