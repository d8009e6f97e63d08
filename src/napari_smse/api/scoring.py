"""Score a slide."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from shapely import union_all

from napari_smse.api.annotations import Area, geometries
from napari_smse.api.model import Model
from napari_smse.api.progress import OnProgress, run_task
from napari_smse.api.scores import Scores
from napari_smse.errors import ScaleError
from napari_smse.scoring import ScoreRequest, parse_scale
from napari_smse.slides import Slide
from napari_smse.tiles import TileSpec
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.scored_slide import Run

Scale = float | str
"""um/px, such as 0.5, or objective power, such as "20x"."""


def score(
    slide: Slide,
    model: Model,
    mpp: Scale | Iterable[Scale] = 0.5,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    roi: Area | Iterable[Area] | None = None,
    min_tissue: float = 0.25,
    overlap: float = 0.0,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> Scores:
    """Score the tiles of a slide: probabilities and embeddings, at one or several scales.

    A run that was stopped, by an exception of `progress` or a signal, goes on where it was when the
    same is scored again.

    Parameters
    ----------
    slide
        As `open_slide` gives it.
    model
        As `load_model` gives it.
    mpp
        Scales of the tiles: um/px (0.5) or objective power ("20x").
    out
        Where the scores go, by custom ending in ``.zarr``. By default into the user's cache, where
        the scores of the last 50 runs stay.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    roi
        Where to score: shapely geometries, (x, y) in level-0 px, or rectangles; the whole slide by
        default.
    min_tissue
        A tile is scored if at least this share of it is tissue, 0 to 1.
    overlap
        Share of a tile's edge that its neighbour covers too, 0 to 0.9.
    overwrite
        Score anew, and replace another run's scores at `out`.
    progress
        Called with a `Progress` (``done``, ``total`` tiles, ``message``); what it raises stops the
        run.

    Raises
    ------
    ScaleError
        A scale or a share is impossible, or much finer than the slide.
    MissingScaleError
        The slide does not state its um/px: open it as ``open_slide(path, mpp=...)``.
    NotBrightfieldError, NoTissueError, RegionError
        There is nothing to score.
    ModelError, DeviceError
        The model takes no tiles, or there is no such device.
    OutputError
        `out` cannot be written, or holds the scores of another run.
    DamagedSlideError, ChangedSlideError
        The slide cannot be read to its end.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> model = smse.load_model("bundled")
    >>> scores = smse.score(slide, model, mpp=1.0, device="cpu")
    >>> scores
    <Scores of sample_slide.tif by smse_v0: 11 tiles at 1 um/px>
    """
    outline = None if roi is None else union_all(geometries(roi))
    job = ScoreJob(
        slide,
        str(model.path),
        ScoreRequest(scales_of(mpp), overlap, min_tissue, outline),
        device=device,
        again=overwrite,
        loaded=model.loaded,
        out=None if out is None else Path(out).absolute(),
        threads=os.cpu_count() or 1,
    )
    for one in job.request.mpps:
        TileSpec(1, one, one, overlap)  # refuses what is impossible before anything takes time
    return Scores.from_run(slide, run_task(job.run(), progress, Run))


def scales_of(mpp: Scale | Iterable[Scale]) -> tuple[float, ...]:
    """Return scales in um/px.

    Raises
    ------
    ScaleError
        One is no scale.
    """
    if isinstance(mpp, str):
        return (parse_scale(mpp),)
    if isinstance(mpp, Iterable):
        return tuple(_scale(one) for one in mpp)
    return (_scale(mpp),)


def _scale(mpp: Scale) -> float:
    if isinstance(mpp, str):
        return parse_scale(mpp)
    try:
        return float(mpp)
    except (TypeError, ValueError) as error:
        raise ScaleError(
            f"{mpp!r} is not a scale: give um/px, such as 0.5, or an objective power, such as 20x."
        ) from error
