"""Labels of single tiles: the tile's square becomes an annotation, and may be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.annotations.tile_labels import is_ignored
from napari_smse.errors import OutputError, QueryError
from napari_smse.palette import Colour, annotation_colours
from napari_smse.slides import Region, Slide
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer, drawn_on
from napari_smse.widgets.layers.annotation_shapes import CLASS, IDENTITY
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import layer_with, level0_to_world
from napari_smse.workflows.scored_slide import TileOnSlide


@dataclass(frozen=True)
class TileLabel:
    """An annotation that a label made.

    Attributes
    ----------
    slide
        The slide.
    identity
        Of the annotation.
    class_name
        What it says.
    """

    slide: Slide
    identity: str
    class_name: str


class TileLabels:
    """Draws squares of tiles among the annotations of their slides.

    Where the Annotate dock shows the slide, they are drawn, counted and saved by it; elsewhere
    they are saved here, as it does, and it finds them when it comes to that slide.

    Parameters
    ----------
    viewer
        Where the slides are.
    show_message
        Hears why something that was drawn could not be saved.
    """

    def __init__(self, viewer: ViewerModel, show_message: Callable[[str], None]) -> None:
        self._viewer, self._session, self._show_message = viewer, session_of(viewer), show_message
        self._saves: dict[str, Autosave] = {}

    def classes(self, slide: Slide) -> dict[str, Colour]:
        """Return the classes of the Annotate dock, or else those of the slide or its model.

        A tile that is to be left out is skipped: there is no ``Ignore*`` among them.
        """
        known = self._known_classes(slide)
        return {name: colour for name, colour in known.items() if not is_ignored(name)}

    def _known_classes(self, slide: Slide) -> dict[str, Colour]:
        annotator = self._session.annotator
        if annotator is not None:
            return annotator.classes
        layer = layer_with(self._viewer, slide.quick_hash)
        if layer is None:
            return {}
        drawn = drawn_on(self._viewer, layer, slide)
        known = {name: drawn.class_colour(name) for name in drawn.classes}
        saved = Autosave(slide).classes
        run = self._session.run_of(layer)
        of_model = {}
        if run is not None and run.card.knows_classes:
            of_model = annotation_colours(run.card.classes)
        return {**of_model, **saved, **known}

    def label(self, tile: TileOnSlide, class_name: str) -> TileLabel:
        """Make a tile's square an annotation of a class.

        Raises
        ------
        QueryError
            Its slide is not in the viewer any more.
        """
        with self._drawing(tile.slide) as (slide_layer, drawing):
            layer = drawing.layer
            before = dict(layer.feature_defaults.iloc[0])
            layer.selected_data = set()
            layer.feature_defaults = {**before, CLASS: class_name, IDENTITY: ""}
            layer.add([_square(slide_layer, drawing, tile.region)], shape_type="polygon")
            layer.selected_data = set()
            layer.feature_defaults = before
            identity = str(layer.features[IDENTITY].iloc[-1])
        return TileLabel(tile.slide, identity, class_name)

    def take_back(self, label: TileLabel) -> None:
        """Remove the annotation that a label made, if it is still there.

        Raises
        ------
        QueryError
            Its slide is not in the viewer any more.
        """
        with self._drawing(label.slide) as (_, drawing):
            layer = drawing.layer
            rows = np.flatnonzero(layer.features[IDENTITY] == label.identity)
            if len(rows):
                layer.selected_data = {int(row) for row in rows}
                layer.remove_selected()

    @contextmanager
    def _drawing(self, slide: Slide) -> Iterator[tuple[Image, AnnotationLayer]]:
        slide_layer = layer_with(self._viewer, slide.quick_hash)
        if slide_layer is None:
            raise QueryError(f"{slide.name} is not in the viewer any more: open it again.")
        drawing = self._session.drawing_on(slide)
        if drawing is not None:
            self._saves.pop(slide.quick_hash, None)
            if drawing.layer not in self._viewer.layers:
                self._viewer.layers.append(drawing.layer)
            yield slide_layer, drawing
        else:
            with self._drawn_here(slide_layer, slide) as drawing:
                yield slide_layer, drawing
        self._viewer.layers.selection.active = slide_layer
        self._session.annotations_changed.emit()

    @contextmanager
    def _drawn_here(self, slide_layer: Image, slide: Slide) -> Iterator[AnnotationLayer]:
        """Draw on a slide that the Annotate dock does not show, and save it."""
        saved = self._saves.get(slide.quick_hash)
        if saved is None:
            saved = self._saves[slide.quick_hash] = Autosave(slide)
        drawing = AnnotationLayer(
            self._viewer, slide_layer, slide, self._colours(slide_layer, slide)
        )
        try:
            if saved.is_drawn(drawing.annotations()):
                # The Annotate dock, which showed the slide until a moment ago, saved it.
                saved.decided(drawing.annotations())
            yield drawing
            saved.save(drawing.annotations())
        except (OutputError, OSError) as error:
            self._show_message(
                f"What you labelled could not be saved to be safe from a crash: {error}"
            )
        finally:
            drawing.release()

    def _colours(self, layer: Image, slide: Slide) -> Mapping[str, Colour]:
        drawn = drawn_on(self._viewer, layer, slide)
        known = {name: drawn.class_colour(name) for name in drawn.classes}
        return {**self.classes(slide), **known}


def _square(slide_layer: Image, drawing: AnnotationLayer, region: Region) -> np.ndarray:
    right, bottom = region.x + region.width, region.y + region.height
    corners = [(region.x, region.y), (right, region.y), (right, bottom), (region.x, bottom)]
    world = level0_to_world(slide_layer, np.array(corners))
    return np.array([drawing.layer.world_to_data(point) for point in world])
