"""What a list of slides says of each: picture, um/px, and what is known of it already."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.alike_slides import (
    PICTURE_PX,
    SlidePicture,
    compared_by,
    first_alike,
    has_small_picture,
)
from napari_smse.errors import IndexFilesError, SmseError, named_error
from napari_smse.models import ModelCard
from napari_smse.progress import Progress, Task
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Slide, open_slide
from napari_smse.slides.identity import path_text, slide_name
from napari_smse.workflows.runs.stored_runs import StoredRun, find_stored_run

LABEL_AND_MACRO: Final = ("label", "macro")


@dataclass(frozen=True)
class ListedSlide:
    """What a list says of a slide.

    Attributes
    ----------
    path, name
        Its file, and what it is called.
    quick_hash
        Of its content; empty if it cannot be read.
    mpp
        um/px; None if that is not known.
    thumbnail
        RGB ``(h, w, 3)``; None if it takes too long to read.
    picture
        What it is compared with others by.
    stored
        The newest run in the cache by the model that was asked about.
    problem
        Why it cannot be read.
    """

    path: Path
    name: str
    quick_hash: str = ""
    mpp: float | None = None
    thumbnail: NDArray[np.uint8] | None = None
    picture: SlidePicture | None = None
    stored: StoredRun | None = None
    problem: str = ""


@dataclass(frozen=True)
class SlideToList:
    """A slide to say something of.

    Attributes
    ----------
    key
        What the list knows it by.
    path, slide
        Its file, and the slide if it is open.
    """

    key: str
    path: Path
    slide: Slide | None = None


def list_slides(slides: Sequence[SlideToList], card: ModelCard | None) -> Task[None]:
    """Look at slides; the `detail` of the progress is the key of one and its `ListedSlide`.

    Parameters
    ----------
    slides
        Those that are not open are opened for the time.
    card
        Of the model whose runs are looked for; None for no model.
    """
    for number, wanted in enumerate(slides, start=1):
        yield Progress(number, len(slides), detail=(wanted.key, _listed(wanted, card)))


def _listed(wanted: SlideToList, card: ModelCard | None) -> ListedSlide:
    name = path_text(slide_name(wanted.path))
    try:
        with ExitStack() as stack:
            slide = wanted.slide or stack.enter_context(open_slide(wanted.path))
            thumbnail = slide.thumbnail(PICTURE_PX) if has_small_picture(slide) else None
            return ListedSlide(
                wanted.path,
                slide.name,
                slide.quick_hash,
                slide.scale.mpp,
                thumbnail,
                None if thumbnail is None else compared_by(thumbnail),
                None if card is None else find_stored_run(slide, card),
            )
    except Exception as error:
        return ListedSlide(wanted.path, name, problem=str(named_error(error, wanted.path.name)))


def copies_among(slides: Sequence[ListedSlide]) -> list[tuple[int, int]]:
    """Return numbers of slides that show the same, the first of its kind and each other one.

    Their files are of the same content, or their pictures are alike.
    """
    first: dict[str, int] = {}
    pairs = []
    for number, alike in enumerate(first_alike([slide.picture for slide in slides])):
        content = slides[number].quick_hash
        same = min(first.setdefault(content, number), alike) if content else number
        if same != number:
            pairs.append((same, number))
    return pairs


def indexed_slides(folder: Path | None) -> frozenset[str]:
    """Return the quick hashes of the slides in an index; none if it cannot be read."""
    if folder is None:
        return frozenset()
    try:
        return frozenset(slide.quick_hash for slide in SlideIndex(folder).slides)
    except (IndexFilesError, OSError):
        return frozenset()


def label_and_macro(slide: Slide) -> dict[str, NDArray[np.uint8]]:
    """Return the pictures that belong to a slide, RGB by name, its label and macro image first.

    Those that cannot be read are left out, unless none can.

    Raises
    ------
    SlideError
        There are some, and none can be read.
    """
    names = sorted(slide.associated_images, key=lambda name: (name not in LABEL_AND_MACRO, name))
    found: dict[str, NDArray[np.uint8]] = {}
    problem: SmseError | None = None
    for name in names:
        try:
            found[name] = slide.associated_image(name)
        except SmseError as error:
            problem = error
    if problem is not None and not found:
        raise problem
    return found
