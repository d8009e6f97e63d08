"""An encoder as a model of its own: it embeds tiles, and knows no classes. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from napari_smse.errors import UnknownEncoderError
from napari_smse.models.card import EncoderWeights, ModelCard
from napari_smse.models.encoders.catalogue import find_encoder
from napari_smse.models.encoders.encoder import Encoder
from napari_smse.models.encoders.known_files import encoder_of_file, file_sha256
from napari_smse.models.encoders.weight_files import weights_path

UNCLASSIFIED: Final = "unclassified"
"""What every tile is to a model that knows no classes."""
_LIMITS: Final = (
    "It knows no classes, so there is no map: look for similar tiles, groups of tiles and tiles "
    "worth a label, or draw regions and fine-tune; that learns the first classes.",
    "Nothing was measured of it here.",
)


def encoder_place(model: str | Path) -> tuple[Encoder, Path] | None:
    """Return the encoder that is meant, and where its weights lie; None if none is meant.

    Parameters
    ----------
    model
        A name in any tool's spelling, or a file of weights that was used on this machine before.

    Raises
    ------
    EncoderWeightsError
        Its weights are not on this machine.
    """
    path = Path(model)
    if path.is_file():
        name = encoder_of_file(path)
        return None if name is None else (find_encoder(name), path)
    try:
        encoder = find_encoder(path.as_posix())
    except UnknownEncoderError:
        return None
    return encoder, weights_path(encoder)


def encoder_card(encoder: Encoder, path: Path) -> ModelCard:
    """Return what there is to say of an encoder as a model.

    Parameters
    ----------
    encoder
        Which.
    path
        Of its weights.
    """
    return ModelCard(
        name=encoder.name,
        version="encoder",
        classes=(UNCLASSIFIED,),
        tile_px=encoder.input_px,
        mpp_range=encoder.mpp_range,
        trunk=encoder.trunk_name,
        embedding_dim=encoder.features,
        intended_use=f"Research use only. Licence: {encoder.licence}"
        f"{'' if encoder.commercial else ', no commercial use'}.",
        limits=_LIMITS,
        notes=tuple(filter(None, (encoder.note, _doubts(encoder), f"Cite {encoder.citation}."))),
        weights_sha256=file_sha256(path),
        parent=encoder.description,
        encoder=encoder_weights(encoder, file_sha256(path)),
    )


def encoder_weights(encoder: Encoder, sha256: str) -> EncoderWeights:
    """Return what a card says of the encoder that its heads stand on.

    Parameters
    ----------
    encoder
        Which.
    sha256
        Of the file of its weights.
    """
    return EncoderWeights(
        name=encoder.name,
        repository=encoder.repository,
        licence=encoder.licence,
        commercial=encoder.commercial,
        sha256=sha256,
    )


def _doubts(encoder: Encoder) -> str:
    return f"Not read where it was published: {encoder.assumed}." if encoder.assumed else ""
