"""Networks converted for other runtimes, on disk: converting takes seconds in every program.

They lie in the user's cache. Their names say what they were made of: the weights, the source of
all that computes with them, sizes and versions. What is damaged is made again.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast

import platformdirs
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_smse.scoring.device import Runtime
from napari_smse.scoring.runtimes.network_archive import (
    ConvertedFiles,
    read_archive,
    write_archive,
)

_MOST_BYTES: Final = 2 * 1024**3
_CONVERTED_BY: Final[dict[Runtime, str]] = {"onnxruntime": "onnxscript", "openvino": "openvino"}
_log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


def convert_once(
    network: nn.Module,
    example: torch.Tensor,
    runtime: Runtime,
    convert: Callable[[], ConvertedFiles],
) -> ConvertedFiles:
    """Return a network's converted files: those on disk, or new ones, which are then written there.

    Parameters
    ----------
    network
        What is converted.
    example
        What it is given; its shape is part of what is converted.
    runtime
        What for.
    convert
        Converts it.
    """
    path = converted_folder() / _key(network, example, runtime)
    files = read_archive(path)
    if files is None:
        with converting():
            files = convert()
        _write(path, files)
    return files


@contextmanager
def converting() -> Iterator[None]:
    """Let one network be converted at a time: torch's exporters share what they note."""
    with _one_at_a_time:
        _load_numba_first()
        yield


def _load_numba_first() -> None:
    """Let numba look through Python's mathematics before torch's exporter exchanges parts of it.

    While a network is exported, `math.pow` is another function. napari compiles with numba when the
    first annotation is drawn, in another thread; numba would then fail once and for all.
    """
    if find_spec("numba") is None:
        return
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


def converted_folder() -> Path:
    """Folder of all converted networks of this user."""
    return platformdirs.user_cache_path("napari-smse") / "converted"


def _key(network: nn.Module, example: torch.Tensor, runtime: Runtime) -> str:
    packages = "napari-smse", "torch", _CONVERTED_BY[runtime]
    versions = [metadata.version(package) for package in packages]
    digest = hashlib.sha256(repr((runtime, tuple(example.shape), versions, network)).encode())
    modules = {type(module).__module__ for module in network.modules()}
    sources = {getattr(sys.modules[module], "__file__", None) for module in modules}
    # What was typed into a notebook has no file.
    for source in sorted(source for source in sources if source):
        digest.update(Path(source).read_bytes())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _write(path: Path, files: ConvertedFiles) -> None:
    """Write files, and remove those that were not used for longest; failing harms no one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_archive(path, files)
        _remove_oldest(path.parent)
    except OSError:
        _log.debug("a converted network was not kept", exc_info=True)


def _remove_oldest(folder: Path) -> None:
    room = _MOST_BYTES
    stats = sorted(
        ((file, file.stat()) for file in folder.iterdir()), key=lambda one: -one[1].st_mtime
    )
    for file, stat in stats:
        room -= stat.st_size
        if room < 0:
            file.unlink(missing_ok=True)


class ExportableNetwork(nn.Module):
    """From tiles as they are read, uint8 (n, h, w, 3), to probabilities and embeddings.

    Parameters
    ----------
    network
        A folded network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (n, classes) and embeddings (n, d)."""
        output = self.network(tiles.permute(0, 3, 1, 2))
        return functional.softmax(output.logits, dim=1), cast("Tensor", output.embedding)

    @staticmethod
    def example(tile_px: int, batch_size: int) -> Tensor:
        """Tiles to trace the network with; what they show does not matter."""
        return torch.zeros((batch_size, tile_px, tile_px, 3), dtype=torch.uint8)
