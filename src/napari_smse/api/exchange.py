"""Results in the formats of other programs."""

from __future__ import annotations

import os
from pathlib import Path

from napari_smse.results import exchange

Place = str | os.PathLike[str]


def export_results(
    folder: Place, target: str, out: Place, *, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write the results of a slide for another program.

    Parameters
    ----------
    folder
        As ``scores.save`` or ``napari-smse score`` wrote it.
    target
        What for; `napari_smse.results.exchange.TARGETS` lists them, as does the shell's help.
    out
        Folder to write into; it is made. Several slides may share it.
    overwrite
        An export of this slide that lies there may be replaced.

    Returns
    -------
    tuple of Path
        The files, or folders that are one file to that program.

    Raises
    ------
    OutputError
        There are no whole results, something lies there already, it cannot be written, or what
        writes it is not installed.
    RequestError
        There is no such target.
    """
    return exchange.export_results(Path(folder), target, Path(out), overwrite=overwrite)
