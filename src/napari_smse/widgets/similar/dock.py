"""The dock *SMSE: Find similar*: tiles like these, and not like those, on one slide."""

from __future__ import annotations

import napari
import numpy as np
import shapely
from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout
from shapely import Polygon

from napari_smse.errors import QueryError, SmseError
from napari_smse.reader import SLIDE_KEY
from napari_smse.scoring import describe_scale
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.index.search import ExcludedRegion
from napari_smse.similarity.region_search import QueryTiles, query_tiles
from napari_smse.similarity.tile_outlines import middles
from napari_smse.slides import Region, Slide
from napari_smse.widgets.annotated_slides import classes_for
from napari_smse.widgets.controls.thumbnail_strip import MOST_PICTURES
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.hit_annotations import add_as_points, add_as_regions
from napari_smse.widgets.layers.example_layer import Side
from napari_smse.widgets.layers.similarity_layer import SimilarityLayer
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.session import session_of
from napari_smse.widgets.similar.example_picker import ExamplePicker
from napari_smse.widgets.similar.index_search_panel import IndexSearchPanel, QueryTuple
from napari_smse.widgets.similar.panel import SimilarPanel
from napari_smse.widgets.slide_layers import slide_layers, slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.find_similar import Searched, SearchJob, regions_within
from napari_smse.workflows.scored_slide import Run, TileOnSlide

_NO_SLIDE = "Open a slide first: File > Open."
_NOT_SCORED = "Score this slide first (SMSE: Score slide): what is searched are its scored tiles."
_NO_QUERY = "Draw around what you are looking for, or click a tile, under “Positive examples”."
_SOON_MS = 100
MOST_REGIONS = 500


class SimilarDock(SlideDock):
    """Say what to look for, see where the slide looks like it, refine it, keep it.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.slide: Slide | None = None
        self.searched: Searched | None = None
        self._layer: Image | None = None
        self._run: Run | None = None
        self._map: SimilarityLayer | None = None
        self._radius_chosen = self._grew_meanwhile = False
        self._notice = self._class_name = ""
        self.folder = IndexSearchPanel(
            self.viewer,
            self._examples,
            left_out=self._where_examples_lie,
            slide_layer=lambda: self._layer,
        )
        self.session = session_of(self.viewer)
        self.panel = SimilarPanel(self.session, self.folder)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self.examples = ExamplePicker(self.viewer, self.panel.buttons, self._searched_tile, self)
        self.searching, self.adding = Worker(), Worker()
        pictures = self.panel.strip.pictures.task
        self.cancel_on_destroy((self.searching, self.adding, pictures, *self.folder.tasks))
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._connect()
        self.panel.show_query(_NO_SLIDE)
        self._find_slides()

    def _connect(self) -> None:
        panel = self.panel
        panel.slides.chosen.connect(self._choose_slide)
        panel.scales.currentIndexChanged.connect(self._choose_scale)
        panel.radius.valueChanged.connect(self._choose_radius)
        panel.strip.tile_chosen.connect(self._fly_to)
        panel.strip.marked.connect(self._mark)
        panel.actions.regions_wanted.connect(self._make_regions)
        panel.actions.points_wanted.connect(self._make_points)
        self.examples.changed.connect(self._change)
        self.examples.problem.connect(panel.show_problem)
        self.searching.returned.connect(self._show_result)
        self.searching.errored.connect(self._fail)
        self.adding.errored.connect(panel.show_problem)
        self.adding.returned.connect(self._add_regions)
        self._soon.timeout.connect(self._search)
        self.viewer.layers.events.inserted.connect(self._find_slides)
        self.viewer.layers.events.removed.connect(self._find_slides)
        self.session.run_changed.connect(self._take_other_run)
        self.session.run_grew.connect(self._take_growth)
        self.session.classes_changed.connect(self._offer_classes)

    # -- slide and run ---------------------------------------------------------------

    def _find_slides(self, _event: object = None) -> None:
        self.panel.slides.show_layers(list(slide_layers(self.viewer)))
        self.refresh()

    def _choose_slide(self) -> None:
        self._let_go()
        layer = self.panel.slides.layer
        try:
            self.slide = None if layer is None else slide_of(layer)
        except SmseError as error:
            self.panel.show_problem(str(error))
        if layer is None or self.slide is None:
            self.panel.show_query(_NO_SLIDE if layer is None else "")
            return
        self._layer = layer
        self._map = SimilarityLayer(self.viewer, layer, self.slide)
        self.examples.follow(layer, self.slide)
        self._take_run()
        self._offer_classes()

    def _take_other_run(self, layer: Image) -> None:
        if layer is self._layer:
            self.refresh()

    def refresh(self) -> None:
        """See whether the slide was scored, or scored again, since."""
        if self._layer is None or self.slide is None:
            return
        if self.session.run_of(self._layer) is not self._run:
            self._take_run()
        self._offer_classes()
        self._search_what_is_new()

    def _take_growth(self, layer: Image) -> None:
        if layer is self._layer:
            self._search_what_is_new()

    def _offer_classes(self) -> None:
        if self._layer is not None and self.slide is not None:
            known = classes_for(self.viewer, self._layer, self.slide)
            self.panel.actions.show_classes(known)

    def _take_run(self) -> None:
        assert self._layer is not None
        before, self._run = self._run, self.session.run_of(self._layer)
        # The user may have typed another um/px.
        found = self._layer.metadata.get(SLIDE_KEY)
        self.slide = found if isinstance(found, Slide) else self.slide
        self._notice = ""
        if before is not None and self._run is not None:
            other = before.card.weights_sha256 != self._run.card.weights_sha256
            by = f" by another model, {self._run.card.name}" if other else ""
            self._notice = f"The slide was scored again{by}; this is searched now."
            self._radius_chosen = self._radius_chosen and not other
        scales = [] if self._run is None else [t.grid.spec.mpp for t in self._run.plan.scales]
        self.panel.show_scales([(describe_scale(mpp), mpp) for mpp in sorted(scales)])
        self._forget_answer()
        self._search()

    def _let_go(self) -> None:
        self._soon.stop()
        self._forget_answer()
        if self._map is not None:
            self._map.hide()
        self.examples.let_go()
        self.slide = self._layer = self._run = self._map = None
        self._radius_chosen, self._notice = False, ""
        self.panel.show_scales([])
        self.panel.show_problem("")

    # -- examples --------------------------------------------------------------------

    def _searched_tile(self, region: Region) -> Region:
        """Return the tile of the scale that is searched where a tile of the finest lies."""
        scales = () if self._run is None else self._run.plan.scales
        for tiles in scales:
            if tiles.grid.spec.mpp == self.panel.mpp:
                around = shapely.Point(region.x + region.width / 2, region.y + region.height / 2)
                rows = query_tiles(tiles, [around.buffer(0.1)]).rows
                return tiles.region(int(rows[0])) if len(rows) else region
        return region

    def _mark(self, tile: TileOnSlide, wanted: bool) -> None:
        self.examples.add_tile(Side.LIKE if wanted else Side.UNLIKE, tile.region)

    def _change(self) -> None:
        self.panel.show_problem("")
        self._notice = ""
        self._soon.start()

    # -- searching -------------------------------------------------------------------

    def _search(self, *, seen: int = -1) -> None:
        self._soon.stop()
        if self._layer is None:
            return
        mpp = self.panel.mpp
        if self._run is None or mpp is None:
            self._show_nothing(_NOT_SCORED)
            return
        like, unlike = (self.examples.areas(side) for side in (Side.LIKE, Side.UNLIKE))
        if not like:
            self._radius_chosen = False
            self._show_nothing(_NO_QUERY)
            return
        job = SearchJob(self._run, mpp, like, unlike, self._known_tiles(), seen)
        self.searching.start(job.run_search)

    def _search_what_is_new(self) -> None:
        """Search again if more was scored since, as while a run goes on."""
        if not self._is_partial:
            return
        self._grew_meanwhile = self.searching.is_running
        if not self._grew_meanwhile:
            self._search(seen=-1 if self.searched is None else self.searched.blocks)

    @property
    def _is_partial(self) -> bool:
        """Whether there is something to look for, and less than the whole run to find it in."""
        there = self._run is not None and bool(self.examples.areas(Side.LIKE))
        return there and (
            self.searched is None or len(self.searched.tiles) < self.searched.run.plan.tile_count
        )

    def _choose_scale(self) -> None:
        # Distances of another scale are others.
        self._radius_chosen = False
        self._search()

    def _known_tiles(self) -> TileTable | None:
        """Return the tiles read before, if no more can have been scored since."""
        before = self.searched
        if before is None or self._run is None or before.run is not self._run:
            return None
        return before.tiles if len(before.tiles) == self._run.plan.tile_count else None

    def _show_result(self, searched: Searched | None) -> None:
        """Show what was found, unless nothing new was scored to find it in."""
        if searched is not None and searched.run is self._run:
            self._show_found(searched)
        if self._grew_meanwhile:
            self._search_what_is_new()

    def _show_found(self, searched: Searched) -> None:
        assert self._map is not None
        self.panel.show_problem("")
        self.searched = searched
        found = searched.found
        self._map.show(searched.distances, found.reach)
        self.panel.show_query(self._describe(searched))
        self._show_strip(searched)
        self.panel.show_reach(found.reach, None if self._radius_chosen else found.first_radius)
        self._show_radius()

    def _fail(self, reason: str) -> None:
        self._show_nothing("")
        self.panel.show_problem(reason)

    def _describe(self, searched: Searched) -> str:
        like, unlike = searched.found.like, searched.found.unlike
        sentences = [f"{_tiles(len(like))} like this" + _not_like(unlike) + "."]
        beside = like.beside + unlike.beside
        if beside:
            areas = "1 area holds" if beside == 1 else f"{beside} areas hold"
            sentences.append(f"{areas} no scored tissue and counts for nothing.")
        planned = searched.run.plan.tile_count
        if len(searched.tiles) < planned:
            sentences.append(
                f"Only {len(searched.tiles) / planned:.0%} of the slide's tiles are scored."
            )
        return " ".join([*sentences, self._notice]).strip()

    def _show_strip(self, searched: Searched) -> None:
        assert self.slide is not None
        rows = searched.found.order[:MOST_PICTURES]
        tiles = [
            TileOnSlide(self.slide, searched.found.tiles.region(int(r)), searched.mpp) for r in rows
        ]
        self.panel.strip.show_tiles(tiles, [float(d) for d in searched.found.distances[rows]])

    def _show_nothing(self, sentences: str) -> None:
        self._forget_answer()
        if self._map is not None:
            self._map.hide()
        self.panel.show_query(f"{sentences} {self._notice}".strip())

    def _forget_answer(self) -> None:
        self.searching.cancel()
        self.adding.cancel()
        self.searched = None
        self.panel.show_no_answer()

    @property
    def _radius(self) -> float:
        """The radius that is chosen, as exact as distances are."""
        return float(np.float32(self.panel.radius.value()))

    # -- other slides ----------------------------------------------------------------

    def _examples(self) -> QueryTuple:
        """Return what to look for in other slides; raises `QueryError` if there is nothing."""
        searched = self.searched
        if searched is None:
            raise QueryError(_NO_QUERY if self._run is not None else _NOT_SCORED)
        mpps = [tiles.grid.spec.mpp for tiles in searched.tiles.scales]
        first = searched.tiles.rows_of(mpps.index(searched.mpp)).start
        card = searched.run.card
        embeddings = searched.tiles.embeddings[first + searched.found.like.rows]
        return embeddings, searched.mpp, card.weights_sha256, card.name

    def _where_examples_lie(self) -> ExcludedRegion | None:
        """Return what need not be found; between several areas there may be hits."""
        areas = self.examples.areas(Side.LIKE)
        if self.slide is None or len(areas) != 1:
            return None
        left, top, right, bottom = (round(edge) for edge in areas[0].bounds)
        region = Region(left, top, max(1, right - left), max(1, bottom - top))
        return ExcludedRegion(self.slide.quick_hash, region)

    # -- hits ------------------------------------------------------------------------

    def _choose_radius(self) -> None:
        self._radius_chosen = True
        self._show_radius()

    def _show_radius(self) -> None:
        if self.searched is None or self._map is None or self.slide is None:
            return
        found, radius = self.searched.found, self._radius
        number = int(found.hits(radius).sum())
        mm2 = found.area(radius) * (self.slide.mpp / 1000) ** 2
        self._map.show_radius(radius, found.reach)
        others = int(np.searchsorted(found.nearest, radius, side="right"))
        self.panel.show_hits(number, mm2, radius, others)

    def _fly_to(self, tile: TileOnSlide) -> None:
        if self._layer in self.viewer.layers:
            fly_to(self.viewer, self._layer, tile.region)

    def _make_regions(self, class_name: str) -> None:
        if not class_name:
            self.panel.show_problem("Choose a class for the regions, or type a new one.")
        elif self.searched is not None:
            found, radius = self.searched.found, self._radius
            self._class_name = class_name
            self.adding.start(lambda: regions_within(found, radius, MOST_REGIONS))

    def _add_regions(self, polygons: list[Polygon]) -> None:
        if self._layer is None or self.slide is None:
            return
        name = self._class_name
        annotated = add_as_regions(self.viewer, self._layer, self.slide, name, polygons)
        self.panel.show_problem("")
        regions = "1 region" if len(polygons) == 1 else f"{len(polygons)} regions"
        self.panel.show_outcome(
            f"{regions} of class {name} added to the layer {annotated.name!r}. Change or save them "
            "in SMSE: Annotate."
        )

    def _make_points(self) -> None:
        if self.searched is None or self._layer is None or self.slide is None:
            return
        found = self.searched.found
        hits = np.flatnonzero(found.hits(self._radius))
        where, edge = middles(found.tiles)[hits], float(found.tiles.grid.edge)
        far = found.distances[hits]
        made = add_as_points(self.viewer, self._layer, self.slide, where, far, edge)
        self.panel.show_outcome(f"{_tiles(len(hits))} are points in the layer {made.name!r}.")

    # -- leaving ---------------------------------------------------------------------

    def _disconnect(self) -> None:
        self._soon.stop()
        for task in (self.searching, self.adding):
            task.cancel()
        self.panel.strip.pictures.stop()
        self.folder.release()
        self.panel.slides.release()
        self.session.run_changed.disconnect(self._take_other_run, missing_ok=True)
        self.session.run_grew.disconnect(self._take_growth, missing_ok=True)
        self.session.classes_changed.disconnect(self._offer_classes, missing_ok=True)
        self.examples.let_go()
        self.viewer.layers.events.inserted.disconnect(self._find_slides)
        self.viewer.layers.events.removed.disconnect(self._find_slides)


def _tiles(number: int) -> str:
    return "1 tile" if number == 1 else f"{number:,} tiles"


def _not_like(examples: QueryTiles) -> str:
    return f", {len(examples):,} not like this" if len(examples) else ""
