"""The tensors of a file that somebody else wrote.

Nothing in a file can run code: safetensors holds numbers alone, and what torch wrote is read by its
restricted unpickler.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor


class StateDictError(Exception):
    """A file holds no tensors by name that can be read; its text says why."""


class HoldsCodeError(StateDictError):
    """A file could be read only by running what is in it."""


def read_state_dict(path: Path, wrappers: Collection[str]) -> dict[str, Tensor]:
    """Read the tensors of a file by name; nothing in it is run.

    Parameters
    ----------
    path
        ``.safetensors``, or whatever torch wrote.
    wrappers
        Keys under which a checkpoint may hold the state dict beside other things.

    Raises
    ------
    HoldsCodeError
        It holds more than numbers.
    StateDictError
        It cannot be read, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise HoldsCodeError(str(error)) from error
    except Exception as error:  # of a damaged pickle torch raises whatever it comes to
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StateDictError(reason) from error
    return _unwrapped(loaded, wrappers)


def _unwrapped(loaded: Any, wrappers: Collection[str]) -> dict[str, Tensor]:
    for key in wrappers:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            return _unwrapped(loaded[key], wrappers)
    if not isinstance(loaded, Mapping):
        raise StateDictError("it holds no weights by name")
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
