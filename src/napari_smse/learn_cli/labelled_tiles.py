"""What a fine-tuning from a shell learns from: labelled images, or tiles of annotated slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smse.errors import DataError
from napari_smse.learn_cli.console import Speaker, read_data, tell_data

if TYPE_CHECKING:
    from napari_smse.finetuning.annotated_tiles import AnnotatedTiles
    from napari_smse.models import Model
    from napari_smse.scoring import ComputeDevice


def read_tiles(
    path: Path,
    mpp: float | None,
    mpps: Sequence[float],
    model: Model,
    device: ComputeDevice,
    speaker: Speaker,
) -> AnnotatedTiles:
    """Read what is at a path: of annotated slides the tiles that the viewer would learn from.

    Raises
    ------
    DataError
        There is nothing to learn from.
    """
    from napari_smse.datasets.readers.annotated_slides import holds_annotated_slides
    from napari_smse.finetuning.annotated_tiles import AnnotatedTiles

    if not path.is_dir() or not holds_annotated_slides(path):
        if mpps:
            raise DataError(
                "--scale is for annotated slides: labelled images are cut at all scales that "
                "the model knows; leave it out."
            )
        return AnnotatedTiles(read_data(path, mpp, speaker), {}, 0)
    return _slide_tiles(path, mpp, mpps, model, device, speaker)


def _slide_tiles(
    path: Path,
    mpp: float | None,
    mpps: Sequence[float],
    model: Model,
    device: ComputeDevice,
    speaker: Speaker,
) -> AnnotatedTiles:
    from napari_smse.finetuning.annotated_folder import USUAL_MPPS, scored_annotations

    running = scored_annotations(path, model, device, mpps=mpps or USUAL_MPPS, mpp=mpp)
    while True:
        try:
            done, total = next(running)
        except StopIteration as end:
            tiles: AnnotatedTiles = end.value
            break
        if done < total:
            speaker.say(f"scoring what is annotated: slide {done + 1} of {total}")
    tell_data(tiles.labelled_set, speaker)
    for warning in tiles.told:
        speaker.warn(warning)
    return tiles
