"""A clear view of one slide: it is in view, and all maps on it are hidden for a while."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_smse.slides import Slide
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import maps_on


class IsolateSlide:
    """Brings a slide into view without what maps say of it; brings back what was seen before.

    Parameters
    ----------
    viewer
        Whose layers are hidden.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer, self._session = viewer, session_of(viewer)
        self._hidden: list[Layer] = []
        self._before: Image | None = None
        self._showing: Image | None = None

    def remember(self) -> None:
        """Come back to the slide in view now, as when another is opened before it is shown."""
        if self._before is None:
            self._before = self._session.slide_layer

    def show(self, slide_layer: Image, slide: Slide, *, maps: bool) -> None:
        """Show a slide, with the maps on it or without."""
        self.remember()
        self._showing = slide_layer
        self._session.choose(slide_layer)
        for layer in [] if maps else maps_on(self._viewer, slide.quick_hash):
            if self._session.is_shown(layer):
                self._session.set_shown(layer, False)
                self._hidden.append(layer)

    def restore(self) -> None:
        """Bring back the maps, and the slide before unless another was chosen meanwhile."""
        for layer in self._hidden:
            if layer in self._viewer.layers:
                self._session.set_shown(layer, True)
        self._hidden.clear()
        showing, before = self._showing, self._before
        self._showing = self._before = None
        if showing is not None and self._session.slide_layer is showing and self._is_open(before):
            self._session.choose(before)

    def _is_open(self, layer: Image | None) -> bool:
        return layer is not None and layer in self._viewer.layers
