"""The weights of encoders, read and fitted in; nothing in a file is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil
import torch
from torch import Tensor, nn

from napari_smse.errors import EncoderWeightsError
from napari_smse.models.encoders.construction import EncoderTrunk, build_encoder
from napari_smse.models.encoders.encoder import Encoder
from napari_smse.models.encoders.known_files import file_sha256, remember_file
from napari_smse.models.encoders.weight_files import PICKLED, SAFETENSORS, weights_path
from napari_smse.models.state_dict import HoldsCodeError, StateDictError, read_state_dict

Tensors = dict[str, Tensor]
_FIRST_STAGE_HALVES: Final = "layers.0.downsample.reduction.weight"
_WRAPPERS: Final = ("teacher", "state_dict", "model")
_NOT_NEEDED: Final = (
    "head",
    "fc.",
    "classifier",
    "pooler",
    "mask_token",
    "embeddings.mask_token",
    "dino_head",
    "ibot_head",
    "attn_pool_caption",
    "ln_caption",
    "proj_contrast",
)
"""Beginnings of what a checkpoint may hold besides: heads and what training alone needs."""


def load_encoder(
    encoder: Encoder, path: str | Path | None = None, sha256: str = ""
) -> EncoderTrunk:
    """Build an encoder and give it its weights, float32 on the CPU.

    Parameters
    ----------
    encoder
        Which.
    path
        Of its weights; as `weights_path` finds them by default.
    sha256
        Of the file that they have to be from; any by default.

    Raises
    ------
    EncoderWeightsError
        The weights are not there, cannot be read, are another network's or not those wanted, or do
        not fit into memory.
    """
    file = weights_path(encoder, path, sha256)
    found = file_sha256(file)
    if sha256 and found != sha256:
        raise EncoderWeightsError(
            f"{file} holds other weights of {encoder.name} than the model was made with (sha256 "
            "differs): give the same by --encoder-weights, or train it anew."
        )
    require_memory(encoder)
    tensors = read_tensors(file)
    trunk = _built(encoder)
    _fill(_network(trunk), tensors, file, encoder)
    trunk.weights_sha256 = found
    remember_file(encoder, file, found)
    return trunk.eval()


def _built(encoder: Encoder) -> EncoderTrunk:
    """Build an encoder without memory for its weights, if all it holds is in a checkpoint."""
    with torch.device("meta"):
        trunk = build_encoder(encoder)
    stored = {id(tensor) for tensor in trunk.state_dict(keep_vars=True).values()}
    if all(id(buffer) in stored for buffer in trunk.buffers()):
        return trunk
    # Some networks compute tables when they are built, which no checkpoint has.
    return build_encoder(encoder)


def require_memory(encoder: Encoder) -> None:
    """Refuse an encoder whose weights would not fit into memory.

    Raises
    ------
    EncoderWeightsError
        There is less memory than the weights take, in float32.
    """
    needed, free = encoder.parameters * 4e6, psutil.virtual_memory().available
    if needed > free:
        raise EncoderWeightsError(
            f"{encoder.name} takes {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
            "free: close other programs, or choose a smaller encoder."
        )


def read_tensors(path: Path) -> Tensors:
    """Read the tensors of a checkpoint; nothing in it is run.

    Raises
    ------
    EncoderWeightsError
        It is no checkpoint, or would have to run code.
    """
    if path.suffix not in (SAFETENSORS, *PICKLED):
        raise EncoderWeightsError(
            f"{path} is no checkpoint: give a .safetensors, or a .bin or .pth of torch."
        )
    try:
        return read_state_dict(path, _WRAPPERS)
    except HoldsCodeError as error:
        raise EncoderWeightsError(
            f"{path} holds more than numbers, and reading it could run code: get the "
            ".safetensors of this encoder instead."
        ) from error
    except StateDictError as error:
        raise EncoderWeightsError(
            f"{path} holds no weights that can be read ({error}): download it again, or give a "
            "state dict."
        ) from error


def _network(trunk: EncoderTrunk) -> nn.Module:
    network = getattr(trunk.body, "network", trunk.body)
    assert isinstance(network, nn.Module)
    return network


def _fill(network: nn.Module, tensors: Tensors, path: Path, encoder: Encoder) -> None:
    expected = network.state_dict()
    named = _without_prefix(tensors, expected)
    if encoder.architecture.library != "transformers":
        named = _as_timm_names_them(named, network)
    missing = sorted(set(expected) - set(named))
    strange = sorted(
        name for name in set(named) - set(expected) if not name.startswith(_NOT_NEEDED)
    )
    if missing or strange:
        what = f"lacks {missing[0]}" if missing else f"has {strange[0]} besides"
        raise EncoderWeightsError(
            f"{path} is not of {encoder.name} ({what}): give the weights of this encoder."
        )
    for name, tensor in expected.items():
        if named[name].shape != tensor.shape:
            raise EncoderWeightsError(
                f"{path} is not of {encoder.name} ({name} is {tuple(named[name].shape)}, not "
                f"{tuple(tensor.shape)}): give the weights of this encoder."
            )
    network.load_state_dict(
        {name: _as(named[name], tensor) for name, tensor in expected.items()},
        strict=True,
        assign=True,
    )
    network.requires_grad_(False)


def _as(found: Tensor, expected: Tensor) -> Tensor:
    """Return a tensor in float32, or as the network has it where it holds whole numbers."""
    return found.float() if expected.is_floating_point() else found.to(expected.dtype)


def _without_prefix(tensors: Tensors, expected: Mapping[str, Tensor]) -> Tensors:
    """Return tensors by the names of the network, before which wrappers put words."""
    anchor = max(expected, key=len)
    prefixes = {name.removesuffix(anchor) for name in tensors if name.endswith(anchor)}
    if not prefixes:
        return tensors
    prefix = max(
        sorted(prefixes),
        key=lambda one: (sum(f"{one}{name}" in tensors for name in expected), "student" not in one),
    )
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _as_timm_names_them(tensors: Tensors, network: nn.Module) -> Tensors:
    """Return tensors as timm's own loading of a transformer would take them."""
    from timm.models import swin_transformer, vision_transformer

    if isinstance(network, vision_transformer.VisionTransformer):
        return dict(vision_transformer.checkpoint_filter_fn(tensors, network))
    # timm before 0.8 counted a Swin transformer's stages otherwise.
    if _FIRST_STAGE_HALVES in tensors and isinstance(network, swin_transformer.SwinTransformer):
        return dict(swin_transformer.checkpoint_filter_fn(tensors, network))
    return tensors
