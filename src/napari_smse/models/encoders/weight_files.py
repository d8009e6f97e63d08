"""Where the weights of encoders lie on this machine, and how they are got. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from napari_smse.errors import EncoderWeightsError
from napari_smse.models.encoders.encoder import Encoder, Gate
from napari_smse.models.encoders.known_files import last_file

SAFETENSORS: Final = ".safetensors"
PICKLED: Final = (".bin", ".pth", ".pt", ".ckpt")


def weights_path(encoder: Encoder, path: str | Path | None = None, sha256: str = "") -> Path:
    """Return where the weights of an encoder lie: where it says, where they were, or in the cache.

    Parameters
    ----------
    encoder
        Whose.
    path
        Of the file, or of the folder that holds it. None for the file last used on this machine,
        or else the hub's cache.
    sha256
        Of the file last used, if it is to be this.

    Raises
    ------
    EncoderWeightsError
        They are not there; the message says how to get them.
    """
    if path is not None:
        return _given_path(encoder, Path(path))
    if (used := last_file(encoder, sha256)) is not None:
        return used
    from huggingface_hub import try_to_load_from_cache

    for name in dict.fromkeys((encoder.checkpoint, "model.safetensors", "pytorch_model.bin")):
        found = try_to_load_from_cache(encoder.repository, name)
        if isinstance(found, str):
            return Path(found)
    raise EncoderWeightsError(f"The weights of {encoder.name} are not here. {how_to_get(encoder)}")


def _given_path(encoder: Encoder, path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        suffixes = (SAFETENSORS, *PICKLED)
        files = sorted(file for file in path.iterdir() if file.suffix in suffixes)
        # Numbers alone are preferred to what was pickled.
        files.sort(key=lambda file: file.suffix != SAFETENSORS)
        if files:
            return files[0]
    raise EncoderWeightsError(
        f"There are no weights at {path}: give the .safetensors of {encoder.name}, or its folder."
    )


def how_to_get(encoder: Encoder) -> str:
    """Say how the weights are got, under which licence, and who may."""
    size = f"{encoder.parameters * 4 / 1000:.1f} GB" if encoder.parameters >= 250 else ""
    size = size or f"{encoder.parameters * 4:.0f} MB"
    use = "" if encoder.commercial else ", no commercial use"
    gate = {
        Gate.OPEN: "",
        Gate.ASK: f" First accept its terms at huggingface.co/{encoder.repository} and log in "
        "with `hf auth login`.",
        Gate.UNKNOWN: f" If that is refused, accept its terms at huggingface.co/"
        f"{encoder.repository} and log in with `hf auth login`.",
    }[encoder.gate]
    return (
        f"`napari-smse models get {encoder.name}` downloads them (about {size}; licence: "
        f"{encoder.licence}{use}).{gate} Or give a file by --encoder-weights."
    )


def download_weights(encoder: Encoder) -> Path:
    """Download the weights of an encoder from the hub into its cache.

    Raises
    ------
    EncoderWeightsError
        The hub cannot be reached, refuses, or does not have them.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(hf_hub_download(encoder.repository, encoder.checkpoint))
    except GatedRepoError as error:
        raise EncoderWeightsError(
            f"{encoder.repository} is not open to you: accept its terms at "
            f"huggingface.co/{encoder.repository}, and log in with `hf auth login`."
        ) from error
    except LocalEntryNotFoundError as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        reason = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise EncoderWeightsError(
            f"The weights of {encoder.name} cannot be downloaded ({reason}): download "
            f"{encoder.checkpoint} of {encoder.repository} elsewhere, and give it by "
            "--encoder-weights."
        ) from error
    except (RepositoryNotFoundError, EntryNotFoundError) as error:
        raise EncoderWeightsError(
            f"{encoder.checkpoint} of {encoder.repository} is not on the hub, or not for you: "
            "look at its page, and give the file by --encoder-weights."
        ) from error
    except OSError as error:
        raise EncoderWeightsError(
            f"The weights of {encoder.name} cannot be downloaded ({error}): try again, or give a "
            "file by --encoder-weights."
        ) from error
