"""A session that is dropped on the viewer, or opened by File > Open, or in a shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari

from napari_smse.widgets.saved_session.session_files import session_files
from napari_smse.workflows.viewer_session.record import SUFFIX

_NO_LAYERS: list[Any] = [(None,)]
"""How napari is told that a file was read and brings no layers of its own."""


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[Any]] | None:
    """Return a reader of sessions; napari asks before it opens. Never raises.

    Parameters
    ----------
    path
        A file; of several, one is opened after the other, and so none of them here.
    """
    paths = [path] if isinstance(path, str) else path
    is_session = len(paths) == 1 and str(paths[0]).endswith(SUFFIX)
    return read_session_file if is_session else None


def read_session_file(path: str | Sequence[str]) -> list[Any]:
    """Begin to open a session in the current viewer; its slides come one by one."""
    viewer = napari.current_viewer()
    if viewer is not None:
        session_files(viewer).open(Path(path if isinstance(path, str) else path[0]))
    return _NO_LAYERS
