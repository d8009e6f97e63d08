"""Shows the hits of a search within the distance threshold, and keeps them in layers."""

from __future__ import annotations

import napari
import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject
from shapely import Polygon

from napari_smse.similarity.region_search import SimilarityResult
from napari_smse.similarity.tile_outlines import middles
from napari_smse.slides import Slide
from napari_smse.widgets.controls.thumbnail_strip import MOST_PICTURES
from napari_smse.widgets.hit_annotations import add_as_points, add_as_regions
from napari_smse.widgets.layers.similarity_layer import SimilarityLayer
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.similar.messages import describe_points, describe_regions
from napari_smse.widgets.similar.panel import SimilarPanel
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.find_similar import RunSearchResult, regions_within
from napari_smse.workflows.scored_slide import TileOnSlide

MOST_REGIONS = 500


class HitsController(QObject):
    """The hits on the chosen slide: their map and pictures, and the layers that are made of them.

    Parameters
    ----------
    viewer
        Where the slide is.
    panel
        Where the distance threshold is chosen, and layers are asked for.
    """

    def __init__(
        self, viewer: napari.Viewer, panel: SimilarPanel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._panel = viewer, panel
        self._layer: Image | None = None
        self._slide: Slide | None = None
        self._map: SimilarityLayer | None = None
        self._found: SimilarityResult | None = None
        self._model_name = ""
        self._radius_chosen = False
        self._class_name = ""
        # Without a parent, as a worker may still speak while the dock is being destroyed.
        self.adding = Worker()
        self.adding.returned.connect(self._add_regions)
        self.adding.errored.connect(panel.show_problem)
        panel.radius.valueChanged.connect(self._choose_radius)
        panel.strip.tile_chosen.connect(self._fly_to)
        panel.actions.regions_wanted.connect(self._make_regions)
        panel.actions.points_wanted.connect(self._make_points)

    # -- what is shown ---------------------------------------------------------------

    def follow(self, layer: Image, slide: Slide) -> None:
        """Show hits on this slide from now on; on the same layer the map stays."""
        if self._map is None or layer is not self._layer:
            self._map = SimilarityLayer(self._viewer, layer, slide)
        self._layer, self._slide = layer, slide

    def let_go(self) -> None:
        """Show nothing, and follow no slide any more."""
        self.clear()
        self.hide_map()
        self._layer = self._slide = self._map = None
        self.forget_radius()

    def show(self, searched: RunSearchResult) -> None:
        """Show what a search of the slide found."""
        assert self._map is not None
        found = self._found = searched.found
        self._model_name = searched.run.card.name
        self._map.show(searched.distances, found.reach)
        self._show_strip(searched)
        self._panel.show_reach(found.reach, None if self._radius_chosen else found.first_radius)
        self._show_radius()

    def clear(self) -> None:
        """Show no hits; the map stays until other hits are shown, or it is hidden."""
        self.adding.cancel()
        self._found = None
        self._panel.show_no_answer()

    def hide_map(self) -> None:
        """Show the slide without the map."""
        if self._map is not None:
            self._map.hide()

    def _show_strip(self, searched: RunSearchResult) -> None:
        assert self._slide is not None
        found = searched.found
        rows = found.order[:MOST_PICTURES]
        tiles = [TileOnSlide(self._slide, found.tiles.region(int(r)), searched.mpp) for r in rows]
        self._panel.strip.show_tiles(tiles, [float(d) for d in found.distances[rows]])

    def _fly_to(self, tile: TileOnSlide) -> None:
        if self._layer in self._viewer.layers:
            fly_to(self._viewer, self._layer, tile.region)

    # -- radius ----------------------------------------------------------------------

    def forget_radius(self) -> None:
        """Let the next search choose the radius, as distances of other tiles are others."""
        self._radius_chosen = False

    @property
    def _radius(self) -> float:
        """The radius that is chosen, as exact as distances are."""
        return float(np.float32(self._panel.radius.value()))

    def _choose_radius(self) -> None:
        self._radius_chosen = True
        self._show_radius()

    def _show_radius(self) -> None:
        if self._found is None or self._map is None or self._slide is None:
            return
        found, radius = self._found, self._radius
        number = int(found.hits(radius).sum())
        mm2 = found.area(radius) * (self._slide.mpp / 1000) ** 2
        self._map.show_radius(radius, found.reach)
        others = int(np.searchsorted(found.nearest, radius, side="right"))
        self._panel.show_hits(number, mm2, radius, others, self._model_name)

    # -- keeping hits ----------------------------------------------------------------

    def _make_regions(self, class_name: str) -> None:
        if not class_name:
            self._panel.show_problem("Choose a class for the regions, or type a new one.")
        elif self._found is not None:
            found, radius = self._found, self._radius
            self._class_name = class_name
            self.adding.start(lambda: regions_within(found, radius, MOST_REGIONS))

    def _add_regions(self, polygons: list[Polygon]) -> None:
        if self._layer is None or self._slide is None:
            return
        name = self._class_name
        annotated = add_as_regions(self._viewer, self._layer, self._slide, name, polygons)
        self._panel.show_problem("")
        self._panel.show_outcome(describe_regions(len(polygons), name, annotated.name))

    def _make_points(self) -> None:
        if self._found is None or self._layer is None or self._slide is None:
            return
        found = self._found
        hits = np.flatnonzero(found.hits(self._radius))
        where, edge = middles(found.tiles)[hits], float(found.tiles.grid.edge)
        far = found.distances[hits]
        made = add_as_points(self._viewer, self._layer, self._slide, where, far, edge)
        self._panel.show_outcome(describe_points(len(hits), made.name))
