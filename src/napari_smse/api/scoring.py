"""Score a slide."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shapely import union_all

from napari_smse.api.annotations import Area, geometries
from napari_smse.api.model import Model
from napari_smse.api.scores import Scores
from napari_smse.progress import OnProgress, run_task
from napari_smse.scoring import parse_scale
from napari_smse.scoring.device import PrecisionChoice, usable_cores
from napari_smse.slides import Slide
from napari_smse.tiles import ARTEFACTS
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings, chosen_precision

Scale = float | str
"""um/px, such as 0.5, or objective power, such as "20x"."""


def score(
    slide: Slide,
    model: Model,
    mpp: Scale | Iterable[Scale] = (0.5,),
    *,
    roi: Area | Iterable[Area] | None = None,
    overlap: float = 0.0,
    min_tissue: float = 0.25,
    time_limit: float | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    float32: bool = False,
    any_stain: bool = False,
    icc: bool = False,
    tissue_mask: str | Path | None = None,
    leave_out: Iterable[str] = tuple(ARTEFACTS),
    mask_mpp: float | None = None,
    out: str | Path | None = None,
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
    roi
        Where to score: shapely geometries, (x, y) in level-0 px, or rectangles; the whole slide by
        default.
    overlap
        Fraction of a tile's edge that its neighbour covers, too, 0 to 0.9.
    min_tissue
        A tile is scored if at least this fraction of it is tissue, 0 to 1.
    time_limit
        Time to spend, s: all tissue is scored once at the coarsest scale; what is left goes to
        where the class is in doubt or scales disagree. By default as long as it takes.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision
        Number format of the network: ``auto`` is the fastest that keeps float32's probabilities to
        0.01, ``float32`` is by torch. ``int8``, on CPUs, is faster and deviates more, by what
        `Model.quantise` measured, which comes first.
    float32
        The same as the precision ``float32``.
    any_stain
        Also of a slide that does not look like H&E.
    icc
        Bring the slide's colours to sRGB by the ICC profile in its file first.
    tissue_mask
        Take the tissue from a file instead of finding it by colour: GeoJSON of any program, (x, y)
        in level-0 px; a folder with one for each slide, by its name; or the weights of HEST's
        tissue segmentation or of GrandQC. What is found is remembered in the user's cache.
    leave_out
        Artefacts of a tissue mask that are not scored: ``fold``, ``foreign``, ``pen``, ``bubble``,
        ``blur``, or ``("none",)``. A tile that shows more of them than of tissue is left out.
    mask_mpp
        um/px that the network of a tissue mask runs at, where its file's name does not say it.
    out
        Where the scores go, by custom ending in ``.zarr``. By default into the user's cache, where
        the scores of the last 50 runs stay.
    overwrite
        Score anew, and replace another run's scores at `out`.
    progress
        Called with a `Progress` (``done``, ``total`` tiles, ``message``); what it raises stops the
        run.

    Raises
    ------
    ScaleError
        A scale or the overlap is impossible, or much finer than the slide.
    MissingScaleError
        The slide does not state its um/px: open it as ``open_slide(path, mpp=...)``.
    ColourProfileError
        `icc` is asked for, and the slide has no ICC profile, or a damaged one.
    NotBrightfieldError, NoTissueError, RegionError
        There is nothing to score.
    OtherStainError
        The slide does not look like H&E.
    MaskError
        The tissue mask cannot be read, is another slide's, or its network cannot be built.
    RequestError
        There is no such artefact, or no tissue mask that it could be left out by, or two precisions
        are asked for.
    ModelError, DeviceError
        The model takes no tiles or was not quantised, or there is no such device.
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
    <Scores of sample_slide.tif by smse_v1: 17 tiles at 1 µm/px>
    """
    outline = None if roi is None else union_all(geometries(roi))
    number_format = chosen_precision(precision, float32=float32)
    job = ScoreJob(
        slide,
        str(model.path),
        ScoreSettings(
            scales_of(mpp),
            overlap,
            min_tissue,
            time_limit,
            device=device,
            precision=number_format,
            any_stain=any_stain,
            icc=icc,
            tissue_mask=None if tissue_mask is None else str(tissue_mask),
            leave_out=tuple(leave_out),
            mask_mpp=mask_mpp,
        ),
        outline,
        again=overwrite,
        loaded=model.loaded,
        out=None if out is None else Path(out).absolute(),
        threads=usable_cores(),
    )
    _ = job.request  # refuses what is impossible before anything takes time
    return Scores.from_run(slide, run_task(job.run(), progress))


def scales_of(mpp: Scale | Iterable[Scale]) -> tuple[float, ...]:
    """Return scales in um/px.

    Raises
    ------
    ScaleError
        One is no scale.
    """
    if isinstance(mpp, Iterable) and not isinstance(mpp, str):
        return tuple(parse_scale(scale) for scale in mpp)
    return (parse_scale(mpp),)
