"""Any pretrained network of timm as an encoder: ImageNet's trunks and DINOv2's, as controls."""

from __future__ import annotations

import difflib
from typing import Any, Final

from napari_smse.errors import UnknownEncoderError
from napari_smse.models.encoders.encoder import Architecture, Encoder, Gate, Pooling

PREFIX: Final = "timm/"
_FREE_LICENCES: Final = ("apache", "mit", "bsd")
_TILE_PX: Final = 224


def timm_encoder(name: str) -> Encoder:
    """Return the encoder that a pretrained network of timm is, pooled in its own way.

    Parameters
    ----------
    name
        timm's, with the tag of its weights, such as ``"resnet50.a1_in1k"``.

    Raises
    ------
    UnknownEncoderError
        timm has no such network, or no weights for it; the message lists close names.
    """
    import timm
    import torch

    pretrained = timm.list_pretrained()
    if name not in pretrained:
        tagged = [other for other in pretrained if other.split(".")[0] == name]
        close = tagged[:3] or difflib.get_close_matches(name, pretrained, n=3, cutoff=0.5)
        hint = f": did you mean {', '.join(PREFIX + other for other in close)}?" if close else "."
        raise UnknownEncoderError(f"timm has no weights called {name!r}{hint}")
    configuration: Any = timm.get_pretrained_cfg(name)
    # A vision transformer is built for one size, and its places are fitted to it.
    size: dict[str, Any] = {"img_size": _TILE_PX} if configuration.fixed_input_size else {}
    with torch.device("meta"):
        network: Any = timm.create_model(name, pretrained=False, num_classes=0, **size)
    licence = configuration.license or "not stated"
    return Encoder(
        name=f"{PREFIX}{name}",
        aliases=(),
        repository=configuration.hf_hub_id or f"{PREFIX}{name}",
        architecture=Architecture("timm", name, {"num_classes": 0, **size}),
        pooling=Pooling.OWN,
        features=int(getattr(network, "head_hidden_size", 0) or network.num_features),
        parameters=round(sum(weight.numel() for weight in network.parameters()) / 1e6, 1),
        licence=licence,
        commercial=licence.startswith(_FREE_LICENCES),
        gate=Gate.OPEN,
        citation="Wightman, PyTorch Image Models",
        normalisation=(tuple(configuration.mean), tuple(configuration.std)),
        input_px=_TILE_PX,
        mpp_range=(0.25, 2.0),
        assumed="scale: it learnt from photographs, which have none",
    )
