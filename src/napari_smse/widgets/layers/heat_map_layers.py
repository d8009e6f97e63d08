"""The heat maps of a run as napari layers, filled in while it runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_smse.palette import Colour, map_colours
from napari_smse.scoring import MULTI_SCALE_MEAN, MapName, ScoreMaps, shown_class
from napari_smse.scoring.calls import CallRule
from napari_smse.scoring.map_raster import MapRaster
from napari_smse.slides import Slide
from napari_smse.widgets.layers.colormaps import CLASS_COLOURS, map_colormap
from napari_smse.widgets.layers.coordinates import place, placement
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LAYER_KEY,
    LayerKind,
    LayerMark,
    layers_of_kind,
)
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.viewer_session.record import MapDisplay

_LEAST_RANGE: Final = 0.01
LEGEND_POSITION: Final = "top_left"
_numbers = itertools.count(1)


@dataclass
class ShownMap:
    """What a map layer shows, the `detail` of its mark.

    Attributes
    ----------
    map
        Class and scale.
    owner
        Number of the `HeatMapLayers` that it belongs to.
    layer_name
        What the layer was called by these; another name is the user's.
    """

    map: MapName
    owner: int
    layer_name: str = ""


class HeatMapLayers:
    """One image layer per map.

    Layers of an earlier run on the slide are used again, as napari takes long
    to remove one. New layers are added one at a time, by `add_next`, so that
    the viewer is never held up for all of them at once.

    Parameters
    ----------
    viewer
        Where the layers go.
    slide_layer, slide
        The slide they lie on.
    maps
        What they show.
    colours
        Of the classes, RGB 0..255; classes without one get a usual colour.
    by
        What the maps are by, for the layers' names: model and version, or another classifier.
    rule
        How tiles are called; probabilities that it leaves undecided are grey.

    Attributes
    ----------
    rule, call_colours
        How tiles are called, and the colours of all that may be called, RGB 0..255.
    classifier
        What gave the probabilities, for the record of what is saved; nothing for the class head of
        the run in force.
    unsaved
        Why the maps cannot be saved; nothing if they can.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        slide_layer: Layer,
        slide: Slide,
        maps: ScoreMaps,
        colours: Mapping[str, Colour] | None = None,
        by: str = "",
        rule: CallRule | None = None,
    ) -> None:
        self.maps = maps
        self.by = by
        self.classifier = ""
        self.unsaved = ""
        self.rule = rule or CallRule(maps.classes)
        self.call_colours = self.rule.colours(colours)
        self.colours = {
            name: map_colours(maps.classes, name, colours, self.rule.band_of(name))
            for name in maps.classes
        }
        self._smooth = session_of(viewer).display.smooth
        self._rasters: dict[str, MapRaster] = {}
        self.layers: dict[MapName, Image] = {}
        self._number = next(_numbers)
        self._viewer, self._slide_layer, self._slide = viewer, slide_layer, slide
        self._session = session_of(viewer)
        self._to_add = sorted(maps, key=partial(_most_telling_first, shown_class(maps.classes)))
        self._stale: set[MapName] = set()
        first = next(iter(self._to_add), None)
        self._use_old_layers()
        if first is not None:
            self.show_only(first)
        if first is not None and self._session.is_in_view(slide_layer):
            viewer.layers.selection.active = self._shown()
        self._session.set_maps(slide_layer, self)

    @classmethod
    def of_run(
        cls, viewer: ViewerModel, slide_layer: Layer, slide: Slide, maps: ScoreMaps, run: Run
    ) -> HeatMapLayers:
        """Lay the maps of a run by its model's own class head, in the colours of its card."""
        card = run.card
        rule = CallRule.from_card(card)
        return cls(viewer, slide_layer, slide, maps, card.class_colours, card.label, rule)

    @property
    def is_current(self) -> bool:
        """Whether no other maps have taken the slide over."""
        return self._session.maps_of(self._slide_layer) is self

    @property
    def shown(self) -> MapName | None:
        """The map that is seen when the slide is in view, if any is."""
        shown = self._session.is_shown
        return next((name for name, layer in self.layers.items() if shown(layer)), None)

    @property
    def slide(self) -> Slide:
        """The slide they lie on."""
        return self._slide

    @property
    def smooth(self) -> bool:
        """Whether maps are interpolated between the middles of their cells."""
        return self._smooth

    @smooth.setter
    def smooth(self, smooth: bool) -> None:
        if smooth != self._smooth:
            self._smooth = smooth
            self.mark_stale()
            self.refresh(hidden=True)

    def dress(self, display: MapDisplay) -> None:
        """Show every layer that is there in this way."""
        self.smooth = display.smooth
        for name in self.layers:
            self._dress(name, display)

    def _dress(self, name: MapName, display: MapDisplay) -> None:
        layer = self.layers[name]
        limits = (display.low, max(display.high, display.low + _LEAST_RANGE))
        colours = map_colormap(
            display.colours,
            name.class_name,
            self.colours[name.class_name],
            threshold=display.threshold,
            limits=limits,
        )
        # Only what differs, as each is a redraw even if it is the same.
        if tuple(layer.contrast_limits) != limits:
            layer.contrast_limits = limits
        if layer.opacity != display.fill:
            layer.opacity = display.fill
        if layer.colormap.name != colours.name:
            layer.colormap = colours

    def add_next(self) -> bool:
        """Add one layer that is missing; False when all are there."""
        if not self._to_add:
            return False
        name = self._to_add.pop(0)
        layer = self.layers[name] = self._made(name)
        self._dress(name, self._session.display)
        layer.events.visible.connect(self._on_visible)
        active = self._viewer.layers.selection.active
        # Just above the slide: the most telling map, which came first, stays on top.
        at = 0
        if self._slide_layer in self._viewer.layers:
            at = self._viewer.layers.index(self._slide_layer) + 1
        self._viewer.layers.insert(at, layer)
        # The viewer numbers what has the same name, as the maps of two slides called alike.
        layer.metadata[LAYER_KEY].detail.layer_name = layer.name
        self._viewer.layers.selection.active = active
        self._stale.add(name)
        return True

    def mark_stale(self) -> None:
        """Say that the maps have new values; `refresh` shows them."""
        self._stale.update(self.layers)

    def _on_visible(self, event: Any) -> None:
        # One legend is enough, that of the map which is seen.
        event.source.colorbar.visible = event.source.visible
        event.source.colorbar.position = LEGEND_POSITION
        self.refresh()
        if self.is_current:
            self._session.map_shown.emit(self._slide_layer)

    def refresh(self, *, hidden: bool = False) -> None:
        """Show what is new, in hidden layers only on request."""
        for name in list(self._stale):
            layer = self.layers[name]
            # Another model's maps may have taken the layer over.
            ours = layer.metadata[LAYER_KEY].detail.owner == self._number
            if not ours or layer not in self._viewer.layers:
                self._stale.discard(name)
            elif layer.visible or hidden:
                # In place, as setting the data would have napari measure the layer anew each time.
                layer.data[...] = self._drawn(name)
                layer.refresh(extent=False, highlight=False, thumbnail=hidden)
                self._stale.discard(name)

    def show_only(self, name: MapName) -> None:
        """Show one map and hide the others; a map that is still to be added comes next."""
        if name in self._to_add:
            self._to_add.sort(key=lambda other: other != name)
            self.add_next()
        for other, layer in self.layers.items():
            self._session.set_shown(layer, other == name)
        self.refresh()

    def name_by(self, by: str) -> None:
        """Say in the layers' names what the maps are by."""
        self.by = by
        for name, layer in self.layers.items():
            self._rename(layer, name)

    def remove(self) -> None:
        """Remove the layers, as what they show holds no longer."""
        for layer in self.layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._to_add.clear()
        self._session.set_maps(self._slide_layer, None)

    def _shown(self) -> Image | None:
        return None if self.shown is None else self.layers[self.shown]

    def _use_old_layers(self) -> None:
        """Take over the layers of an earlier run on this slide, and remove those without use."""
        wanted = {(name.class_name, name.scale): name for name in self._to_add}
        for layer in layers_of_kind(self._viewer, LayerKind.HEAT_MAP, self._slide.quick_hash):
            shown = layer.metadata[LAYER_KEY].detail
            name = wanted.pop((shown.map.class_name, shown.map.scale), None)
            if name is None:
                self._viewer.layers.remove(layer)
                continue
            self._rename(layer, name)
            layer.metadata.update(self._mark(name, shown.layer_name).metadata)
            self._lay(layer, name)
            layer.events.visible.connect(self._on_visible)
            self.layers[name] = layer
            self._to_add.remove(name)
        self.mark_stale()

    def _lay(self, layer: Image, name: MapName) -> None:
        """Lay another map into a layer, touching only what differs: each touch is a redraw."""
        raster = self.raster(name)
        if layer.data.shape != raster.shape:
            layer.data = self._drawn(name)
        place(layer, placement(raster.outline, self._slide_layer, raster.parts))

    def raster(self, name: MapName) -> MapRaster:
        """Return what draws the maps of a scale."""
        raster = self._rasters.get(name.scale)
        if raster is None:
            raster = MapRaster(self.maps.heat_map(name), self.maps.plan.mask)
            self._rasters[name.scale] = raster
        return raster

    def _drawn(self, name: MapName) -> NDArray[np.float32]:
        return self.raster(name).draw(self.maps.heat_map(name), smooth=self._smooth)

    def _made(self, name: MapName) -> Image:
        raster = self.raster(name)
        return Image(
            self._drawn(name),
            name=self._name_of(name),
            **placement(raster.outline, self._slide_layer, raster.parts),
            colormap=map_colormap(CLASS_COLOURS, name.class_name, self.colours[name.class_name]),
            contrast_limits=(0, 1),
            interpolation2d="nearest",
            blending="translucent",
            visible=False,
            metadata=self._mark(name).metadata,
        )

    def _name_of(self, name: MapName) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"{name}{by} · {self._slide.name}"

    def _rename(self, layer: Image, name: MapName) -> None:
        """Say what a layer shows; a name that the user gave it stays."""
        shown, wanted = layer.metadata[LAYER_KEY].detail, self._name_of(name)
        if layer.name == shown.layer_name and _without_number(layer.name) != wanted:
            layer.name = wanted
            shown.layer_name = layer.name

    def _mark(self, name: MapName, layer_name: str = "") -> LayerMark:
        shown = ShownMap(name, self._number, layer_name)
        return LayerMark(LayerKind.HEAT_MAP, self._slide.quick_hash, shown)


def shown_map(layer: Layer) -> MapName:
    """Return class and scale of the map that a layer of `HeatMapLayers` shows."""
    shown: MapName = layer.metadata[LAYER_KEY].detail.map
    return shown


def _without_number(name: str) -> str:
    return re.sub(r" \[\d+\]$", "", name)


def _most_telling_first(shown: str, name: MapName) -> tuple[bool, bool]:
    """Sort key: the class shown first before others, fused before single scales."""
    return name.class_name != shown, name.scale != MULTI_SCALE_MEAN
