"""The case IDs of the slides in a viewer: stated by the user, or guessed from their names."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from napari.layers import Layer

from napari_smse.annotations.case_id import guess_case, tidy_case
from napari_smse.errors import SmseError
from napari_smse.slides import Slide
from napari_smse.widgets.autosave import remember_case, remembered_case
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.tile_notes import notes_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseId:
    """The case of a slide.

    Attributes
    ----------
    text
        As hold-outs take it.
    stated
        Whether somebody stated it; else it is guessed from the name.
    """

    text: str
    stated: bool


def case_id(slide: Slide, stated: str) -> CaseId:
    """Return the case of a slide, of which this was stated; nothing, if nobody said anything."""
    return CaseId(stated or guess_case(slide.name), bool(stated))


def case_of_layer(layer: Layer) -> CaseId:
    """Return the case of an open slide.

    Raises
    ------
    SlideError
        Its file cannot be opened.
    """
    return case_id(slide_of(layer), notes_of(layer).case)


def state_case(layer: Layer, text: str) -> None:
    """Say of which case an open slide is; an empty text leaves it to its name again.

    Raises
    ------
    OutputError
        It cannot be kept for the next time.
    """
    case = tidy_case(text)
    remember_case(slide_of(layer), case)
    notes_of(layer).state_case(case)


def keep_case(layer: Layer) -> None:
    """Give a slide that was opened the case that was stated before, and keep what is imported."""
    notes = notes_of(layer)
    try:
        slide = slide_of(layer)
        notes.state_case(remembered_case(slide) or notes.case)
    except (SmseError, OSError):  # choosing the slide says so
        return
    kept = notes.case

    def keep() -> None:
        nonlocal kept
        if notes.case != kept:
            kept = notes.case
            try:
                remember_case(slide, kept)
            except SmseError:
                logger.warning("the case of %s is not remembered", slide.name, exc_info=True)

    # A function of its own, as signals hold methods weakly: it lives as long as the notes.
    notes.changed.connect(keep)
