"""The manifest of an index: its format, and the model that all its slides were scored by."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari_smse.atomic_write import write_new
from napari_smse.checksum import with_checksum, without_checksum
from napari_smse.errors import IndexFilesError

INDEX_NAME: Final = "index.json"
FORMAT: Final = "napari-smse index"
VERSION: Final = 1


def start_index(folder: Path, model: str, model_name: str) -> None:
    """Start an index of a model; one that another program started just now is left as it is.

    Parameters
    ----------
    folder
        The index; made if there is none.
    model, model_name
        sha256 of the weights, and what the model is called.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    facts = {"format": FORMAT, "version": VERSION, "model": model, "model_name": model_name}
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        write_new(folder / INDEX_NAME, json.dumps(with_checksum(facts), indent=2).encode())


def read_about(folder: Path) -> tuple[tuple[str, str], list[str]]:
    """Return hash and name of the model that an index is of, and what to warn about.

    Raises
    ------
    IndexFilesError
        The folder is gone, or was written by another version.
    """
    path = folder / INDEX_NAME
    if not path.is_file():
        if not folder.is_dir():
            raise IndexFilesError(no_index(folder))
        return ("", ""), []
    try:
        facts = without_checksum(json.loads(path.read_bytes()), path)
        kind, version = facts["format"], facts["version"]
        about = str(facts["model"]), str(facts["model_name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # The slides say of which model they are.
        return ("", ""), [f"{path} is damaged: remove it; the slides of the index are not harmed"]
    if (kind, version) != (FORMAT, VERSION):
        raise IndexFilesError(
            f"{path} was written by another version of napari-smse: use that one, or make the "
            "index again in another folder."
        )
    return about, []


def no_index(folder: Path) -> str:
    """Say that a folder holds no index, and what to do."""
    return (
        f"There is no index in {folder}: choose the folder of an index, or make one (in a shell: "
        f"napari-smse index SLIDES --out {folder})."
    )
