"""The dock *SMSE: Find similar*: tiles like these, and not like those, on one slide."""

from __future__ import annotations

import napari
import shapely
from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout

from napari_smse.errors import QueryError, SmseError
from napari_smse.reader import SLIDE_KEY
from napari_smse.scoring import describe_scale
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.index.hits import ExcludedRegion
from napari_smse.similarity.region_search import query_tiles
from napari_smse.slides import Region, Slide
from napari_smse.widgets.controls.copy_as import CopyAsButton
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.layers.example_layer import Side
from napari_smse.widgets.scored_slides import classes_for
from napari_smse.widgets.session import session_of
from napari_smse.widgets.similar.example_picker import ExamplePicker
from napari_smse.widgets.similar.hits_controller import HitsController
from napari_smse.widgets.similar.index_search_panel import IndexSearchPanel, QueryTuple
from napari_smse.widgets.similar.messages import (
    NO_QUERY,
    NO_SLIDE,
    NOT_SCORED,
    describe_new_run,
    describe_search,
    is_of_other_model,
)
from napari_smse.widgets.similar.panel import SimilarPanel
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.find_similar import RunSearchResult, SearchJob
from napari_smse.workflows.replay.script import Script, search_script, similar_script
from napari_smse.workflows.scored_slide import Run, ScoredSlide, TileOnSlide
from napari_smse.workflows.settings.embeddings import SearchSettings

_SOON_MS = 100


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
        self.searched: RunSearchResult | None = None
        self._layer: Image | None = None
        self._run: Run | None = None
        self._grew_meanwhile = False
        self._notice = ""
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
        self.copy = CopyAsButton(self._script)
        layout.addWidget(self.copy)
        self.examples = ExamplePicker(self.viewer, self.panel.buttons, self._searched_tile, self)
        self.hits = HitsController(self.viewer, self.panel, self)
        self.searching = Worker()
        pictures = self.panel.strip.pictures.task
        self.cancel_on_destroy((self.searching, self.hits.adding, pictures, *self.folder.tasks))
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._connect()
        self.panel.show_query(NO_SLIDE)
        self._find_slides()

    def _connect(self) -> None:
        panel = self.panel
        panel.slides.chosen.connect(self._choose_slide)
        panel.scales.currentIndexChanged.connect(self._choose_scale)
        panel.strip.marked.connect(self._mark)
        self.examples.changed.connect(self._change)
        self.examples.problem.connect(panel.show_problem)
        self.searching.returned.connect(self._show_result)
        self.searching.errored.connect(self._fail)
        self._soon.timeout.connect(self._search)
        self.viewer.layers.events.inserted.connect(self._find_slides)
        self.viewer.layers.events.removed.connect(self._find_slides)
        self.session.run_changed.connect(self._take_other_run)
        self.session.run_grew.connect(self._take_growth)
        self.session.classes_changed.connect(self._offer_classes)

    # -- slide and run ---------------------------------------------------------------

    def _find_slides(self, _event: object = None) -> None:
        self.panel.slides.show_slides(self.viewer)
        self.refresh()

    def _choose_slide(self) -> None:
        self._let_go()
        layer = self.panel.slides.layer
        try:
            self.slide = None if layer is None else slide_of(layer)
        except SmseError as error:
            self.panel.show_problem(str(error))
        if layer is None or self.slide is None:
            self.panel.show_query(NO_SLIDE if layer is None else "")
            return
        self._layer = layer
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
        assert self.slide is not None
        self.panel.show_problem("")
        before, self._run = self._run, self.session.run_of(self._layer)
        # The user may have typed another um/px.
        found = self._layer.metadata.get(SLIDE_KEY)
        self.slide = found if isinstance(found, Slide) else self.slide
        self.hits.follow(self._layer, self.slide)
        self._notice = ""
        if before is not None and self._run is not None:
            self._notice = describe_new_run(before, self._run)
            if is_of_other_model(before, self._run):
                self.hits.forget_radius()
        scales = [] if self._run is None else [t.grid.spec.mpp for t in self._run.plan.scales]
        self.panel.show_scales([(describe_scale(mpp), mpp) for mpp in sorted(scales)])
        self._forget_answer()
        self._search()

    def _let_go(self) -> None:
        self._soon.stop()
        self._forget_answer()
        self.hits.let_go()
        self.examples.let_go()
        self.slide = self._layer = self._run = None
        self._notice = ""
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
            self._show_nothing(NOT_SCORED)
            return
        like, unlike = (self.examples.areas(side) for side in (Side.LIKE, Side.UNLIKE))
        if not like:
            self.hits.forget_radius()
            self._show_nothing(NO_QUERY)
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
        self.hits.forget_radius()
        self._search()

    def _known_tiles(self) -> TileTable | None:
        """Return the tiles read before, if no more can have been scored since."""
        before = self.searched
        if before is None or self._run is None or before.run is not self._run:
            return None
        return before.tiles if len(before.tiles) == self._run.plan.tile_count else None

    def _show_result(self, searched: RunSearchResult | None) -> None:
        """Show what was found, unless nothing new was scored to find it in."""
        if searched is not None and searched.run is self._run:
            self._show_found(searched)
        if self._grew_meanwhile:
            self._search_what_is_new()

    def _show_found(self, searched: RunSearchResult) -> None:
        self.panel.show_problem("")
        self.searched = searched
        self.hits.show(searched)
        self.panel.show_query(f"{describe_search(searched)} {self._notice}".strip())

    def _fail(self, reason: str) -> None:
        self._show_nothing("")
        self.panel.show_problem(reason)

    def _show_nothing(self, sentences: str) -> None:
        self._forget_answer()
        self.hits.hide_map()
        self.panel.show_query(f"{sentences} {self._notice}".strip())

    def _forget_answer(self) -> None:
        self.searching.cancel()
        self.searched = None
        self.hits.clear()

    # -- other slides ----------------------------------------------------------------

    def _examples(self) -> QueryTuple:
        """Return what to look for in other slides; raises `QueryError` if there is nothing."""
        searched = self.searched
        if searched is None:
            raise QueryError(NO_QUERY if self._run is not None else NOT_SCORED)
        mpps = [tiles.grid.spec.mpp for tiles in searched.tiles.scales]
        first = searched.tiles.rows_of(mpps.index(searched.mpp)).start
        card = searched.run.card
        embeddings = searched.tiles.embeddings[first + searched.found.like.rows]
        return embeddings, searched.mpp, card.weights_sha256, card.name

    def _script(self) -> Script:
        """Return the search of the folder, if one is chosen, else that of the slide."""
        like, unlike = (self.examples.areas(side) for side in (Side.LIKE, Side.UNLIKE))
        if self.slide is None or self._run is None or not like:
            raise QueryError(NO_QUERY if self._run is not None else NOT_SCORED)
        one, mpp = ScoredSlide(self.slide, self._run), self.panel.mpp
        left_out, folder = self._where_examples_lie(), self.folder.folder
        if folder is None or left_out is None:
            return similar_script(one, like, unlike, mpp)
        settings = SearchSettings(self.folder.number.value, mpp)
        return search_script(folder, one, left_out.region, settings)

    def _where_examples_lie(self) -> ExcludedRegion | None:
        """Return what need not be found; between several areas there may be hits."""
        areas = self.examples.areas(Side.LIKE)
        if self.slide is None or len(areas) != 1:
            return None
        left, top, right, bottom = (round(edge) for edge in areas[0].bounds)
        region = Region(left, top, max(1, right - left), max(1, bottom - top))
        return ExcludedRegion(self.slide.quick_hash, region)

    # -- leaving ---------------------------------------------------------------------

    def _disconnect(self) -> None:
        self._soon.stop()
        for task in (self.searching, self.hits.adding):
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
