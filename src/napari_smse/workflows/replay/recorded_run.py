"""Score a slide again as `run.json` records it, and compare the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import MaskError, OutputError, RequestError
from napari_smse.progress import Task
from napari_smse.results import RECORD_NAME, STORE_NAME, remove_unfinished, save_results
from napari_smse.results.run_record import CLASS_HEAD, RunRecord
from napari_smse.scoring import LOCK_NAME, MASK, REGION, ScoreStore, folder_lock
from napari_smse.scoring.device import PrecisionChoice
from napari_smse.scoring.runtimes.quantised_network import find_quantisation
from napari_smse.tiles.mask_choice import NO_ARTEFACT, mask_sha256
from napari_smse.workflows.report.saved_results import SavedResults, open_results
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings


@dataclass(frozen=True)
class RepeatedRun:
    """A run that was done again, and how its scores differ from the recorded ones.

    Attributes
    ----------
    folder
        Of the new results.
    tiles
        Number of tiles of all scales that both scored.
    only_before, only_now
        Number of tiles that one of the two scored alone.
    largest_difference
        Of a probability, over all tiles that both scored; 0 if there are none.
    """

    folder: Path
    tiles: int
    only_before: int
    only_now: int
    largest_difference: float

    @property
    def same_tiles(self) -> bool:
        """Whether the very same tiles were scored."""
        return not self.only_before and not self.only_now


def rerun(
    recorded: Path,
    out: Path,
    *,
    models: Sequence[str] = (),
    slides: Path | None = None,
    device: str = "auto",
    tissue_mask: Path | None = None,
) -> Task[RepeatedRun]:
    """Score a slide again as it was recorded, and write the results to a folder.

    Slide and weights are those of the record to the byte, as far as their hashes tell.

    Parameters
    ----------
    recorded
        `run.json`, or the results folder that it lies in.
    out
        Folder of the new results; nothing may lie there yet, but what was left when it was stopped.
    models
        Models that may have scored it, besides those that come with the program.
    slides
        Folder to look in for the slide, if it was moved.
    device
        To compute on; it need not be the recorded one.
    tissue_mask
        Where the recorded tissue mask is, or its folder, if it was moved.

    Raises
    ------
    OutputError
        The results cannot be read, `out` is not empty or cannot be written.
    RequestError
        The record does not say enough: see `recorded_settings`, `recorded_region` and
        `recorded_mask`.
    ModelError, SlideError
        The model or the slide is not there, or another one.
    """
    folder = recorded.parent if recorded.name == RECORD_NAME else recorded
    if _holds_others(out):
        raise OutputError(f"{out} holds files already: choose an empty folder, or a new one.")
    before = open_results(folder, models)
    mask = recorded_mask(before.record, tissue_mask)
    settings = recorded_settings(before.record, device, mask)
    region = recorded_region(before.record)
    with before.open_slide(slides) as slide, folder_lock(out):
        remove_unfinished(out)
        job = ScoreJob(slide, before.model, settings, region, out=out / STORE_NAME)
        run = yield from job.run()
        context = replace(before.context, device=run.device.label, warnings=run.warnings)
        save_results(out, slide, run.store, context)
    return _compared(before, run.store, out)


def _holds_others(out: Path) -> bool:
    """Whether a folder holds anything but what a run that was stopped left there."""
    if not out.exists():
        return False
    stopped = (out / STORE_NAME).exists() and not (out / RECORD_NAME).exists()
    left = {f"{STORE_NAME}.part", LOCK_NAME, f"{LOCK_NAME}.by"}
    return not stopped and any(path.name not in left for path in out.iterdir())


def recorded_settings(
    record: RunRecord, device: str = "auto", tissue_mask: str | None = None
) -> ScoreSettings:
    """Return the settings of a recorded run.

    Parameters
    ----------
    record
        The record.
    device
        To compute on.
    tissue_mask
        Where its tissue mask is, as `recorded_mask` says.

    Raises
    ------
    RequestError
        Its probabilities are not those of the model's class head, which needs more than a record.
    """
    if record.classifier != CLASS_HEAD:
        raise RequestError(
            f"These results are by {record.classifier}, and not by the model's class head: the "
            "record alone does not repeat them."
        )
    return replace(
        request_settings(record.settings, record.seconds, tissue_mask),
        device=device,
        precision=recorded_precision(record),
        any_stain=True,  # it was scored, so its stain was accepted
    )


def recorded_precision(record: RunRecord) -> PrecisionChoice:
    """Return the precision to ask for, so that a run is repeated as it was.

    Raises
    ------
    RequestError
        It was scored by an int8 network that is not on this machine.
    """
    if record.quantisation is not None:
        if find_quantisation(record.model.weights_sha256) != record.quantisation:
            raise RequestError(
                "These results are by an int8 network that is not on this machine any more: score "
                "the slide anew."
            )
        return "int8"
    return "float32" if record.precision == "float32" else "auto"


def recorded_mask(record: RunRecord, moved: Path | None = None) -> str | None:
    """Return where the tissue mask of a recorded run is; None if tissue was found by colour.

    Parameters
    ----------
    record
        The record.
    moved
        Where it is now, or the folder that it is in, if it was moved.

    Raises
    ------
    RequestError
        It is not there, or another file by now.
    """
    wanted = record.settings.get("tissue_mask")
    if wanted is None:
        return None
    path = Path(str(record.settings.get(MASK, {}).get("path", "the tissue mask")))
    if moved is not None:
        path = moved / path.name if moved.is_dir() else moved
    try:
        same = mask_sha256(path) == wanted
    except MaskError as error:
        raise RequestError(
            f"The recorded tissue mask is not at {path}: say where it is (in a shell: "
            "--tissue-mask)."
        ) from error
    if not same:
        raise RequestError(
            f"{path} is not the recorded tissue mask (SHA-256 differs): find that which was used, "
            "or score the slide anew."
        )
    return str(path)


def request_settings(
    request: Mapping[str, Any], seconds: float, tissue_mask: str | None = None
) -> ScoreSettings:
    """Return the settings that a request, as a store or a record holds it, was made of.

    Parameters
    ----------
    request
        As `ScoreRequest.facts` gives it.
    seconds
        How long it took, which is the limit where there was one.
    tissue_mask
        Where the tissue was taken from.
    """
    settings = ScoreSettings(
        mpp=tuple(request["mpps"]),
        overlap=request["overlap"],
        min_tissue=request["min_tissue"],
        time_limit=seconds if request.get("coarse_first") else None,
        icc=request.get("icc", False),
    )
    if tissue_mask is None:
        return settings
    return replace(
        settings,
        tissue_mask=tissue_mask,
        leave_out=tuple(request.get("leave_out") or [NO_ARTEFACT]),
        mask_mpp=request.get("mask_mpp"),
    )


def recorded_region(record: RunRecord) -> BaseGeometry | None:
    """Return the region that was scored, (x, y) in level-0 px; None for the whole slide.

    Raises
    ------
    RequestError
        The record is of a version that kept no outline.
    """
    if record.settings.get("roi") is None:
        return None
    if REGION not in record.settings:
        raise RequestError(
            "A region of the slide was scored, and the record is of a version that did not write "
            "its outline: score the region again (in a shell: --roi)."
        )
    return shape(record.settings[REGION])


def _compared(before: SavedResults, store: ScoreStore, out: Path) -> RepeatedRun:
    earlier, now = _probabilities(before.store), _probabilities(store)
    both = earlier.keys() & now.keys()
    differences = [float(np.abs(earlier[place] - now[place]).max()) for place in both]
    return RepeatedRun(
        out,
        len(both),
        len(earlier.keys() - both),
        len(now.keys() - both),
        max(differences, default=0.0),
    )


def _probabilities(store: ScoreStore) -> dict[tuple[float, ...], np.ndarray]:
    """Return the probabilities of each scored tile by its scale and place."""
    tiles = store.tile_table()
    keys = np.column_stack([tiles.mpps, tiles.places]).tolist()
    return dict(zip(map(tuple, keys), tiles.probability, strict=True))
