"""A clear view of one slide: what lies over it is hidden for a while."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Layer

from napari_smse.slides import Slide
from napari_smse.widgets.annotation_layer import ANNOTATIONS_KEY
from napari_smse.widgets.heat_layers import MAP_KEY
from napari_smse.widgets.slide_layers import slide_layers


class ClearView:
    """Hides other slides, what is drawn on them, and heat maps; brings back what it hid.

    Slides lie on each other in the viewer, so that only one can be seen at a place.

    Parameters
    ----------
    viewer
        Whose layers are hidden.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._before: dict[Layer, bool] = {}

    def show(self, slide_layer: Layer, slide: Slide, *, maps: bool) -> None:
        """Show a slide, with its heat maps or without."""
        others = [one for one in slide_layers(self._viewer) if one is not slide_layer]
        for layer in list(self._viewer.layers):
            mark = layer.metadata.get(MAP_KEY, {})
            of = mark.get("slide") or layer.metadata.get(ANNOTATIONS_KEY)
            elsewhere = of is not None and of != slide.quick_hash
            if layer in others or elsewhere or (mark and not maps):
                self._set(layer, False)
        self._set(slide_layer, True)

    def restore(self) -> None:
        """Bring back what was hidden."""
        for layer, visible in self._before.items():
            if layer in self._viewer.layers:
                layer.visible = visible
        self._before.clear()

    def _set(self, layer: Layer, visible: bool) -> None:
        if layer.visible != visible:
            self._before.setdefault(layer, layer.visible)
            layer.visible = visible
