"""The slides of a viewer that were scored, with what is drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.annotations import AnnotationSet
from napari_smse.errors import QueryError, SmseError
from napari_smse.slides import Slide
from napari_smse.widgets.annotation_layer import drawn_on
from napari_smse.widgets.score_job import RUN_KEY, Started
from napari_smse.widgets.slide_layers import slide_layers, slide_of

NOT_SCORED = "Score a slide first (SMSE: Score slide)."


@dataclass(frozen=True)
class AskedSlide:
    """A slide that was scored, and what is drawn on it.

    Attributes
    ----------
    slide, started
        The slide and its last run, which may still go on.
    drawn
        Its annotations, and what was said of its tiles.
    """

    slide: Slide
    started: Started
    drawn: AnnotationSet

    def with_notes_of(self, other: AskedSlide) -> AskedSlide:
        """Return it with what was said of its tiles under another name besides."""
        links = tuple(dict.fromkeys([*self.drawn.links, *other.drawn.links]))
        remarks = tuple(dict.fromkeys([*self.drawn.remarks, *other.drawn.remarks]))
        return replace(self, drawn=replace(self.drawn, links=links, remarks=remarks))


def scored_layers(viewer: ViewerModel) -> list[tuple[Image, Slide, Started]]:
    """Return the layers of slides that were scored; one whose file is gone is left out."""
    found = []
    for layer in slide_layers(viewer):
        run = layer.metadata.get(RUN_KEY)
        if not isinstance(run, Started):
            continue
        try:
            found.append((layer, slide_of(layer), run))
        except SmseError:
            continue
    return found


def asked_slides(viewer: ViewerModel) -> list[AskedSlide]:
    """Return the slides that were scored, with what is drawn on them.

    A slide that is open under several names is one: its first run counts, and what was said of
    its tiles under any name.
    """
    found: dict[str, AskedSlide] = {}
    for layer, slide, run in scored_layers(viewer):
        one = AskedSlide(slide, run, drawn_on(viewer, layer, slide))
        same = found.get(slide.quick_hash)
        found[slide.quick_hash] = one if same is None else same.with_notes_of(one)
    return list(found.values())


def require_one_model(slides: Sequence[AskedSlide]) -> None:
    """Refuse to compare the embeddings of different models.

    Raises
    ------
    QueryError
        There is no slide, or two models scored them; the message names both.
    """
    if not slides:
        raise QueryError(NOT_SCORED)
    if len({one.started.card.weights_sha256 for one in slides}) > 1:
        names = ", ".join(
            dict.fromkeys(
                f"{one.slide.name} by {one.started.card.name} "
                f"({one.started.card.weights_sha256[:8]})"
                for one in slides
            )
        )
        raise QueryError(
            f"The slides were scored by different models ({names}), whose embeddings do not "
            "compare: score all of them with one."
        )
