"""Results in the formats of other programs, and features of tiles that these wrote."""

from __future__ import annotations

import os
from pathlib import Path

from napari_smse.api.scores import Scores
from napari_smse.results import exchange
from napari_smse.results.exchange import TileFeatures
from napari_smse.results.exchange.tile_values import TileValues
from napari_smse.results.exchange.tile_values import read_tile_values as read_values
from napari_smse.slides import Slide
from napari_smse.workflows.runs.feature_run import open_feature_run

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


def open_features(path: Place, slide: Slide, *, tile_size: int | None = None) -> Scores:
    """Return features of a slide's tiles that another program extracted, as scores of the slide.

    They have embeddings and no classes, as those of an encoder: `find_similar`, `embedding_map` and
    `suggest_tiles` take them, and `fine_tune` where the encoder's weights are on this machine.

    Parameters
    ----------
    path
        An HDF5 file with ``coords`` ``(n, 2)``, level-0 px, and ``features`` ``(n, d)``, as TRIDENT
        or CLAM writes it.
    slide
        The slide that it is of.
    tile_size
        Edge of a tile, level-0 px; only where no file says so.

    Returns
    -------
    Scores
        In the cache; embeddings are of length 1.

    Raises
    ------
    DataError
        It cannot be read, holds no tile, is of another slide, or nothing says how large a tile is.
    OutputError
        h5py is not installed, or the cache cannot be written.
    SlideError
        The slide states no um/px, or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> results, out = scores.save(tempfile.mkdtemp()), tempfile.mkdtemp()
    >>> file = smse.export_results(results, "trident", out)[0]
    >>> features = smse.open_features(file, slide)
    >>> features.embeddings().shape == scores.embeddings().shape
    True
    """
    return Scores.from_run(slide, open_feature_run(Path(path), slide, tile_size))


def read_tile_features(path: Place, slide: Slide, *, tile_size: int | None = None) -> TileFeatures:
    """Read features of a slide's tiles that TRIDENT, CLAM or this program wrote.

    Parameters
    ----------
    path
        An HDF5 file with ``coords`` ``(n, 2)``, level-0 px, and ``features`` ``(n, d)``.
    slide
        The slide that it is of.
    tile_size
        Edge of a tile, level-0 px; only where no file says so.

    Returns
    -------
    TileFeatures
        ``features`` ``(n, d)`` float32, ``coords`` ``(n, 2)``, ``tile_size``, level-0 px, ``mpp``,
        um/px, and ``encoder``, by the folder's name; ``tiles``, the same as a table, with
        embeddings of length 1. `find_similar` takes it.

    Raises
    ------
    DataError
        It cannot be read, holds something else, is of another slide, or nothing says how large a
        tile is.
    OutputError
        h5py is not installed.
    SlideError
        The slide states no um/px.

    Examples
    --------
    >>> import tempfile
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> results, out = scores.save(tempfile.mkdtemp()), tempfile.mkdtemp()
    >>> file = smse.export_results(results, "trident", out)[0]
    >>> features = smse.read_tile_features(file, slide)
    >>> features.features.shape == scores.embeddings().shape
    True
    """
    return exchange.read_tile_features(Path(path), slide, tile_size)


def read_tile_values(
    path: Place, slide: Slide, *, tile_size: int | None = None
) -> list[TileValues]:
    """Read numbers of a slide's tiles that any program wrote, such as attention scores.

    Parameters
    ----------
    path
        CSV or Parquet with columns ``x`` and ``y`` (or ``minx``, ``miny``; ``left``, ``top``), the
        corner of a tile in level-0 px, and its ``width`` or ``tile_size``; an HDF5 file with
        ``coords`` and datasets of a number a tile; GeoJSON of tiles with measurements.
    slide
        The slide that they are of.
    tile_size
        Edge of a tile, level-0 px, where the file does not say so; by default tiles touch.

    Returns
    -------
    list of TileValues
        One for each size of tiles: ``values``, by column ``(n,)`` float32, ``placed``, where the
        tiles lie, and ``heat_map(name)``.

    Raises
    ------
    DataError
        It cannot be read, has no places or no numbers, or is of another slide.
    OutputError
        It is HDF5, and h5py is not installed.
    SlideError
        The slide states no um/px.

    Examples
    --------
    >>> import tempfile
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> folder = scores.save(tempfile.mkdtemp())
    >>> (tiles,) = smse.read_tile_values(folder / "tiles.csv", slide)
    >>> tiles.tile_size, tiles.heat_map("p_malignant").values.shape
    (896, (5, 6))
    """
    return read_values(Path(path), slide, tile_size)
