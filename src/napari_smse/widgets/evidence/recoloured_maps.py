"""A slide's maps, coloured by the class head or by reference tiles; the class head's come back."""

from __future__ import annotations

from collections.abc import Mapping

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_smse.palette import Colour
from napari_smse.scoring import ScoreMaps
from napari_smse.scoring.calls import CallRule
from napari_smse.slides import Slide
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers, shown_map
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    layers_of_kind,
)


class RecolouredMaps(QObject):
    """Lays maps by reference tiles into the layers of a run, and remembers what was there.

    Parameters
    ----------
    viewer
        Where the maps are shown.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._session = viewer, session_of(viewer)
        self._shown: dict[str, HeatMapLayers] = {}
        self._before: dict[str, HeatMapLayers] = {}
        self._incomplete: list[tuple[HeatMapLayers, Slide]] = []
        self._adding = QTimer(self)
        self._adding.timeout.connect(self._add_next_layer)

    def is_coloured(self, layer: Image, slide: Slide) -> bool:
        """Whether the slide's maps are by reference tiles now."""
        shown = self._shown.get(slide.quick_hash)
        return shown is not None and self._session.maps_of(layer) is shown

    def show(
        self,
        layer: Image,
        slide: Slide,
        maps: ScoreMaps,
        colours: Mapping[str, Colour],
        by: str,
        bank: str,
    ) -> None:
        """Show these maps in place of those that are there.

        Parameters
        ----------
        layer, slide
            On what.
        maps
            By reference tiles.
        colours
            Of the classes.
        by
            What they are by, for the layers' names.
        bank
            Whose reference tiles they are, for the record of what is saved.
        """
        before = self._session.maps_of(layer)
        if not self.is_coloured(layer, slide) and before is not None:
            self._before[slide.quick_hash] = before
        shown = self._shown.get(slide.quick_hash)
        if (
            shown is not None
            and self.is_coloured(layer, slide)
            and shown.maps.classes == maps.classes
            and shown.maps.plan is maps.plan
        ):
            # The same layers with other values: nothing flickers, and the map looked at stays.
            shown.maps = maps
            shown.mark_stale()
            shown.refresh(hidden=True)
        else:
            shown = self._laid(layer, slide, maps, colours, by)
            self._shown[slide.quick_hash] = shown
        run = self._session.run_of(layer)
        shown.name_by(by if run is None else f"{by} of {run.card.label}")
        shown.classifier = f"{by} of {bank}"
        self._session.set_maps(layer, shown)

    def give_back(
        self, layer: Image, slide: Slide, own: ScoreMaps, colours: Mapping[str, Colour]
    ) -> None:
        """Show what was there before reference tiles coloured the maps.

        Parameters
        ----------
        layer, slide
            On what.
        own
            Maps of the run, for want of others.
        colours
            Of the classes.
        """
        coloured = self.is_coloured(layer, slide)
        before = self._before.pop(slide.quick_hash, None)
        self._shown.pop(slide.quick_hash, None)
        if not coloured:
            return
        if before is not None and before.maps.plan is own.plan:
            shown = self._laid(layer, slide, before.maps, colours, "")
            shown.unsaved = before.unsaved
        else:
            self._laid(layer, slide, own, colours, "")

    def release(self) -> None:
        """Add no more layers."""
        self._adding.stop()

    def _laid(
        self,
        layer: Image,
        slide: Slide,
        maps: ScoreMaps,
        colours: Mapping[str, Colour],
        by: str,
    ) -> HeatMapLayers:
        looked_at = _looked_at(self._viewer, slide)
        rule, run = None, self._session.run_of(layer)
        if not by and run is not None:
            by, rule = run.card.label, CallRule.from_card(run.card)
        shown = HeatMapLayers(self._viewer, layer, slide, maps, colours, by, rule)
        same = next((name for name in maps if (name.class_name, name.scale) == looked_at), None)
        if same is not None:
            shown.show_only(same)
        shown.refresh(hidden=True)
        self._incomplete = [one for one in self._incomplete if one[1] is not slide]
        self._incomplete.append((shown, slide))
        self._adding.start()
        return shown

    def _add_next_layer(self) -> None:
        """Add a map layer that is missing each time the viewer has nothing else to do."""
        while self._incomplete:
            shown, _ = self._incomplete[0]
            if shown.add_next():
                shown.refresh(hidden=True)
                return
            self._incomplete.pop(0)
        self._adding.stop()


def _looked_at(viewer: ViewerModel, slide: Slide) -> tuple[str, str] | None:
    """Class and scale of the map of a slide that is seen, if one is."""
    for layer in layers_of_kind(viewer, LayerKind.HEAT_MAP, slide.quick_hash):
        if session_of(viewer).is_shown(layer):
            shown = shown_map(layer)
            return shown.class_name, shown.scale
    return None
