"""What one viewer shows: which slide, which run of it is in force, which maps, and what is drawn.

Docks ask the session and listen to it, and to nothing else: so all of them answer for the same
slide and model. It knows no Qt.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal, SignalInstance

from napari_smse.errors import SmseError
from napari_smse.palette import Colour
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.slides import Slide
from napari_smse.widgets.camera_views import CameraViews
from napari_smse.widgets.case_ids import keep_case
from napari_smse.widgets.preferences import preferred_scoring
from napari_smse.widgets.slide_layers import (
    is_slide_layer,
    mark_of,
    slide_key,
    slide_layers,
    slide_of,
    tell_why_hidden,
)
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.workflows.batch.score_queue import ScoreChoice
from napari_smse.workflows.out_of_distribution import RunOod
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.viewer_session.record import MapDisplay

if TYPE_CHECKING:
    from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
    from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers


@dataclass(frozen=True)
class ScoredLayer:
    """A slide in the viewer that was scored.

    Attributes
    ----------
    layer, slide, run
        Its layer, the slide, and the run in force, which may still go on.
    """

    layer: Image
    slide: Slide
    run: Run


class Annotator(Protocol):
    """Who draws on the slide in view: the Annotate dock, while it is open."""

    slide: Slide | None
    drawing: AnnotationLayer | None

    @property
    def classes(self) -> dict[str, Colour]:
        """The classes to draw with, in order, and their colours."""

    def add_class(self, name: str, colour: Colour | None = None) -> None:
        """Add a class to them, unless it is there; of this colour, or of one that is free."""

    def show_classes(self, colours: dict[str, Colour]) -> None:
        """Show classes in place of the usual ones, or beside those that somebody made."""


class Session:
    """The slide in view, and the run in force of each slide; `session_of` gives that of a viewer.

    Slides lie on each other in the viewer, so that only one can be seen at a place: choosing one
    hides the others with all that lies on them, and a slide comes back as it was, its zoom too.

    Parameters
    ----------
    viewer
        Whose layers they are.
    """

    slide_changed = Signal()
    """Another slide is in view, or none."""

    run_changed = Signal(object)
    """The run in force of this slide layer is another one, or there is none any more."""

    maps_changed = Signal(object)
    """Other maps, or other values, are shown on this slide layer."""

    map_shown = Signal(object)
    """Another map of this slide layer is looked at, or none."""

    run_grew = Signal(object)
    """More tiles of this slide layer are scored; comes about every second while a run goes on."""

    ood_changed = Signal(object)
    """It is known anew how far this slide layer's tiles are out of distribution."""

    known_changed = Signal(object)
    """Other exemplars count as known on this slide layer, besides what its model knows."""

    annotations_changed = Signal()
    """Something else is drawn on a slide, or said of its tiles."""

    display_changed = Signal()
    """Maps are to be shown in another way."""

    classes_changed = Signal()
    """There are other classes to draw with."""

    model_wanted = Signal(str)
    """Slides should be scored by this model: a name, or the path of its weights."""

    score_choice_changed = Signal()
    """Slides are to be scored by another model, or in another way."""

    exemplars_offered = Signal(object)
    """A bank of exemplars is offered, to be learnt from besides what is drawn."""

    def __init__(self, viewer: ViewerModel) -> None:
        # Weak, as layers and viewer know each other, and sessions are found from a table.
        self._viewer = weakref.ref(viewer)
        self._layer: weakref.ref[Image] | None = None
        self._hidden: dict[str, weakref.WeakSet[Layer]] = {}
        self.cameras = CameraViews(viewer)
        self._runs: weakref.WeakKeyDictionary[Layer, Run] = weakref.WeakKeyDictionary()
        self._maps: weakref.WeakKeyDictionary[Layer, HeatMapLayers] = weakref.WeakKeyDictionary()
        self._ood: weakref.WeakKeyDictionary[Layer, RunOod] = weakref.WeakKeyDictionary()
        self._known: weakref.WeakKeyDictionary[Layer, ExemplarBank] = weakref.WeakKeyDictionary()
        self._being_scored: weakref.ref[Layer] | None = None
        self.annotator: Annotator | None = None
        self.score_choice = preferred_scoring()
        self.display = MapDisplay()
        self.bank_files: dict[str, Path] = {}
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        self._choosing = False
        slides = list(slide_layers(viewer))
        for layer in slides:
            self._watch(layer)
        self._layer = weakref.ref(slides[0]) if slides else None  # which napari fits its view to
        self.choose(next(reversed([one for one in slides if one.visible] or slides), None))

    # -- the slide in view -------------------------------------------------------------

    @property
    def slide_layer(self) -> Image | None:
        """Layer of the slide in view; None if no slide is open."""
        return None if self._layer is None else self._layer()

    @property
    def signals_of_what_is_shown(self) -> tuple[SignalInstance, ...]:
        """Emitted when another slide, run, map or scale is seen, or more is known of it."""
        run = self.run_changed, self.maps_changed, self.map_shown
        return self.slide_changed, *run, self.ood_changed

    def choose(self, layer: Image | None) -> None:
        """Show this slide alone, with what lay on it."""
        before = self.slide_layer
        if before is not None and layer is not before:
            self.cameras.keep(slide_key(before))
        self._layer = None if layer is None else weakref.ref(layer)
        if layer is not None:
            self._choosing = True
            self._show_alone(layer)
            self._choosing = False
        if layer is not before:
            if layer is not None and before is not None:
                self.cameras.bring(slide_key(layer), layer)
            self.slide_changed.emit()

    def is_in_view(self, layer: Layer) -> bool:
        """Whether a layer is the slide in view, lies on it, or belongs to no slide."""
        chosen = self.slide_layer
        if layer is chosen or chosen is None:
            return True
        if is_slide_layer(layer):
            return False
        mark = mark_of(layer)
        return mark is None or mark.slide in (None, slide_key(chosen))

    def is_shown(self, layer: Layer) -> bool:
        """Whether a layer is seen, or will be once its slide is in view again."""
        return bool(layer.visible) or any(layer in hidden for hidden in self._hidden.values())

    def set_shown(self, layer: Layer, shown: bool) -> None:
        """Show or hide what lies on a slide, at once or when that slide is in view again."""
        if self.is_in_view(layer):
            if layer.visible != shown:
                layer.visible = shown
            return
        hidden = self._hidden.setdefault(slide_key(layer), weakref.WeakSet())
        (hidden.add if shown else hidden.discard)(layer)

    # -- runs and maps -----------------------------------------------------------------

    def run_of(self, layer: Layer) -> Run | None:
        """Return the run in force of a slide, which its maps and table show and Save writes."""
        return self._runs.get(layer)

    def set_run(self, layer: Layer, run: Run | None) -> None:
        """Put a run in force on a slide."""
        if self._runs.get(layer) is run:
            return
        self._ood.pop(layer, None)
        if run is None:
            self._runs.pop(layer, None)
        else:
            self._runs[layer] = run
        self.run_changed.emit(layer)

    def maps_of(self, layer: Layer) -> HeatMapLayers | None:
        """Return the map layers of a slide; None if it has none."""
        return self._maps.get(layer)

    def set_maps(self, layer: Layer, maps: HeatMapLayers | None) -> None:
        """Take note of the maps that a slide shows now, also if only their values changed."""
        if maps is None:
            self._maps.pop(layer, None)
        else:
            self._maps[layer] = maps
        self.maps_changed.emit(layer)

    def show_maps(self, display: MapDisplay) -> None:
        """Show the maps of all slides in this way."""
        if display != self.display:
            self.display = display
            self.display_changed.emit()

    def ood_of(self, layer: Layer) -> RunOod | None:
        """Return how far the tiles of a slide's run are out of distribution, once measured."""
        return self._ood.get(layer)

    def set_ood(self, layer: Layer, scores: RunOod) -> None:
        """Take note of how far the tiles of a slide's run are out of distribution."""
        self._ood[layer] = scores
        self.ood_changed.emit(layer)

    def known_of(self, layer: Layer) -> ExemplarBank | None:
        """Return the exemplars that count as known on a slide besides what its model knows."""
        return self._known.get(layer)

    def set_known(self, layer: Layer, bank: ExemplarBank) -> None:
        """Have exemplars count as known on a slide, as far as it is known how they look."""
        if self._known.get(layer) is not bank:
            self._known[layer] = bank
            self.known_changed.emit(layer)

    def is_scoring(self, layer: Layer | None) -> bool:
        """Whether this slide is being scored."""
        scored = None if self._being_scored is None else self._being_scored()
        return layer is not None and scored is layer

    def set_scoring(self, layer: Layer | None) -> None:
        """Take note of the slide that is being scored; None if no slide is any more."""
        self._being_scored = None if layer is None else weakref.ref(layer)

    def scored_layers(self) -> list[ScoredLayer]:
        """Return the slides that were scored; one whose file is gone is left out."""
        viewer = self._viewer()
        scored = []
        for layer in () if viewer is None else slide_layers(viewer):
            run = self.run_of(layer)
            if run is None:
                continue
            try:
                scored.append(ScoredLayer(layer, slide_of(layer), run))
            except SmseError:
                continue
        return scored

    def choose_scoring(self, choice: ScoreChoice) -> None:
        """Take note of the model and the settings that slides are to be scored with."""
        if choice != self.score_choice:
            self.score_choice = choice
            self.score_choice_changed.emit()

    # -- annotations -------------------------------------------------------------------

    def drawing_on(self, slide: Slide) -> AnnotationLayer | None:
        """Return the layer that the Annotate dock draws on this slide in, if it does."""
        annotator = self.annotator
        if annotator is None or annotator.slide is None:
            return None
        return annotator.drawing if annotator.slide.quick_hash == slide.quick_hash else None

    # -- layers ------------------------------------------------------------------------

    def _show_alone(self, slide_layer: Image) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        for layer in list(viewer.layers):
            if not self.is_in_view(layer):
                self._put_away(layer)
        for layer in self._hidden.pop(slide_key(slide_layer), ()):
            if layer in viewer.layers and self.is_in_view(layer):
                layer.visible = True
        slide_layer.visible = True
        active = viewer.layers.selection.active
        if active is not None and not self.is_in_view(active):
            viewer.layers.selection.active = slide_layer

    def _put_away(self, layer: Layer) -> None:
        if layer.visible:
            self._hidden.setdefault(slide_key(layer), weakref.WeakSet()).add(layer)
            layer.visible = False

    def _on_inserted(self, event: Any) -> None:
        if is_slide_layer(event.value):
            self._watch(event.value)
            # What is opened is looked at.
            self.choose(event.value)
        elif not self.is_in_view(event.value):
            self._put_away(event.value)
            tell_why_hidden(event.value)

    def _watch(self, layer: Image) -> None:
        layer.events.visible.connect(self._on_visible)
        keep_case(layer)
        notes_of(layer).changed.connect(self.annotations_changed.emit)

    def _on_visible(self, event: Any) -> None:
        """Choose the slide that the user shows in napari's list of layers."""
        if event.source.visible and not self._choosing:
            self.choose(event.source)

    def _on_removed(self, event: Any) -> None:
        viewer = self._viewer()
        event.value.events.visible.disconnect(self._on_visible)
        if viewer is not None and event.value is self.slide_layer:
            self.choose(next(reversed(list(slide_layers(viewer))), None))


_sessions: weakref.WeakKeyDictionary[ViewerModel, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: ViewerModel) -> Session:
    """Return the session of a viewer, made when it is first asked for."""
    found = _sessions.get(viewer)
    if found is None:
        found = _sessions[viewer] = Session(viewer)
    return found
