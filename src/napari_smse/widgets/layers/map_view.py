"""What goes with the map that is looked at: its name and colours on the canvas, paler tissue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_smse.slides.pyramid import LevelArray
from napari_smse.widgets.key_bindings import KeyBindings
from napari_smse.widgets.layers.heat_map_layers import LEGEND_POSITION, HeatMapLayers
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import is_slide_layer, mark_of

PALE: Final = 0.15
"""How much of the tissue's colour is left under a map."""

HIDE_KEY: Final = "H"
"""Held down, it hides all that lies on the slide."""


class MapView:
    """Names the map that is seen, shows its colour bar, and takes the colour from the tissue.

    Blue and orange can be told from a stain only if the tissue below is grey.

    Parameters
    ----------
    viewer
        Whose canvas it is.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer, self._session = viewer, session_of(viewer)
        self._pale = True
        self._keys = KeyBindings()
        self._keys.take(viewer, {HIDE_KEY: self._hide_while_held})
        self._session.slide_changed.connect(self.refresh)
        self._session.maps_changed.connect(self.refresh)
        self._session.map_shown.connect(self.refresh)
        self.refresh()

    @property
    def pale(self) -> bool:
        """Whether tissue under a map is shown in grey."""
        return self._pale

    @pale.setter
    def pale(self, pale: bool) -> None:
        if pale != self._pale:
            self._pale = pale
            self.refresh()

    def refresh(self, _slide_layer: object = None) -> None:
        """Follow the map that is seen."""
        slide_layer = self._session.slide_layer
        maps = None if slide_layer is None else self._session.maps_of(slide_layer)
        seen = None if maps is None else next(_seen(maps), None)
        self._name(maps, seen)
        if slide_layer is not None:
            set_saturation(slide_layer, PALE if self._pale and seen is not None else 1.0)

    def release(self) -> None:
        """Leave canvas and slides as they were."""
        self._keys.give_back()
        for signal in (
            self._session.slide_changed,
            self._session.maps_changed,
            self._session.map_shown,
        ):
            signal.disconnect(self.refresh, missing_ok=True)
        self._name(None, None)
        for layer in self._viewer.layers:
            set_saturation(layer, 1.0)

    def _name(self, maps: HeatMapLayers | None, seen: Image | None) -> None:
        text = self._viewer.canvas.overlays.text
        text.visible = seen is not None
        if maps is None or seen is None:
            return
        text.position = LEGEND_POSITION
        text.text = _description(maps, seen)

    def _hide_while_held(self, _viewer: object) -> Iterator[None]:
        """Hide what lies on the slide until the key is let go."""
        hidden = [
            layer
            for layer in self._viewer.layers
            if layer.visible and not is_slide_layer(layer) and mark_of(layer) is not None
        ]
        for layer in hidden:
            layer.visible = False
        yield
        for layer in hidden:
            if layer in self._viewer.layers:
                layer.visible = True


def set_saturation(layer: Layer, saturation: float) -> None:
    """Show a slide's layer with less colour, 0 to 1; what is not read lazily stays as it is."""
    data: Any = layer.data if isinstance(layer, Image) and layer.multiscale else ()
    levels = [level for level in data if isinstance(level, LevelArray)]
    if any(level.saturation != saturation for level in levels):
        for level in levels:
            level.saturation = saturation
        # A refresh does not do: napari keeps the pixels of the coarsest level.
        layer.data = data


def _seen(maps: HeatMapLayers) -> Iterator[Image]:
    return (layer for layer in maps.layers.values() if layer.visible)


def _description(maps: HeatMapLayers, seen: Image) -> str:
    name = next(name for name, layer in maps.layers.items() if layer is seen)
    # A line for each, as a canvas beside docks may be narrow.
    by = f"\nby {maps.by}" if maps.by else ""
    band = maps.colours[name.class_name].band
    grey = "" if band is None else f"\ngrey: indeterminate ({band[0]:.2f} to {band[1]:.2f})"
    return f"{name}{by}{grey}"
