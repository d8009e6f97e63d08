"""Search a folder of slides for what is looked for on one: part of a dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.palette import PROBLEM
from napari_smse.progress import Progress
from napari_smse.similarity.index.hits import (
    ExcludedRegion,
    Hit,
    SearchResult,
    SlideHits,
)
from napari_smse.similarity.index.shard import IndexedSlide, SlideState
from napari_smse.widgets.controls.layout import hbox, notice_label, push_button
from napari_smse.widgets.controls.settings_form import setting_field
from napari_smse.widgets.index.picker import NO_FOLDER, IndexPicker
from napari_smse.widgets.index.queue import REPLACE
from napari_smse.widgets.layers.isolate_slide import IsolateSlide
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.session import session_of
from napari_smse.widgets.similar.index_hits import IndexHits
from napari_smse.widgets.slide_layers import layer_with, set_scale, slide_layers, slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.index_slides import SlideAdded, SlideToAdd, WouldReplace, add_slide
from napari_smse.workflows.search_index import IndexQuery, IndexSearchJob, read_pictures
from napari_smse.workflows.settings.embeddings import SearchSettings

QueryTuple = tuple[NDArray[np.floating], float, str, str]
"""Embeddings ``(n, d)``, um/px, sha256 of the model's weights, the model's name."""


class IndexSearchPanel(QWidget):
    """Choose an index, search it, see where slides look alike, and add slides to it.

    Parameters
    ----------
    viewer
        Where slides are opened.
    query
        Returns what to look for: embeddings ``(n, d)``, their um/px, sha256 of the model's weights
        and its name. Raises `QueryError` if there is nothing.
    left_out
        Returns where that lies, which is no hit; None if nothing is to be left out.
    slide_layer
        Returns the layer of the slide to add; by default the selected slide, or else the first
        that was scored.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        query: Callable[[], QueryTuple],
        *,
        left_out: Callable[[], ExcludedRegion | None] = lambda: None,
        slide_layer: Callable[[], Image | None] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._query, self._left_out = viewer, query, left_out
        self._slide_layer = slide_layer or self._layer_in_viewer
        self._job: IndexSearchJob | None = None
        self._is_left = False
        self._view = IsolateSlide(viewer)
        self.answer: SearchResult | None = None
        # Without a parent, as workers may still speak while the dock is being destroyed.
        self.searching = Worker(doing="A folder of slides is being searched")
        self.adding = Worker(doing="A slide is being added to an index")
        self.picturing = Worker()
        self.index = IndexPicker()
        self.number = setting_field(SearchSettings, "k")
        self.search = QPushButton("Search the folder")
        self.add = QPushButton("Add this slide")
        self.replace = push_button(REPLACE, "Put the slide there with its settings of now.")
        self.bar = QProgressBar()
        self.state, self.problem = QLabel(), notice_label(PROBLEM)
        self.hits = IndexHits()
        self._arrange()
        self._connect()
        self._show_what_can_be_done()
        if self.index.folder is not None:
            self._take_folder()  # that of the last time, or of another dock

    @property
    def tasks(self) -> tuple[Worker, ...]:
        """All that works in the background, for the dock to stop when it is destroyed."""
        return self.searching, self.adding, self.index.looking, self.picturing

    @property
    def folder(self) -> Path | None:
        """The folder that was chosen."""
        return None if self._job is None else self._job.folder

    def _arrange(self) -> None:
        self.search.setToolTip("Look in all slides of the folder for what you look for here.")
        self.add.setToolTip("Let this slide be found, too: its scored tiles go into the folder.")
        self.state.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.index)
        layout.addLayout(hbox(self.search, self.number.native, self.add))
        for widget in (self.bar, self.problem, self.replace, self.state):
            layout.addWidget(widget)
        layout.addWidget(self.hits, stretch=1)
        layout.addStretch()  # keeps the buttons on top while there are no hits
        for widget in (self.bar, self.problem, self.replace, self.state, self.hits):
            widget.hide()

    def _connect(self) -> None:
        self.index.chosen.connect(self._take_folder)
        self.index.problem.connect(self._show_problem)
        self.search.clicked.connect(self.run)
        self.add.clicked.connect(lambda: self.add_slide())
        self.replace.clicked.connect(lambda: self.add_slide(replace=True))
        self.hits.chosen.connect(self.go_to)
        self.searching.progressed.connect(self._show_progress)
        self.searching.returned.connect(self._show_result)
        self.searching.errored.connect(self._fail)
        self.searching.finished.connect(self._end)
        self.adding.returned.connect(self._show_outcome)
        self.adding.errored.connect(self._fail_adding)
        self.adding.finished.connect(self._show_what_can_be_done)
        self.picturing.progressed.connect(lambda progress: self.hits.show_pictures(progress.detail))

    # -- the folder --------------------------------------------------------------------

    def set_folder(self, folder: Path) -> None:
        """Take another index; what was found in the last one is no longer shown."""
        self.index.set_folder(folder)

    def _take_folder(self) -> None:
        self.cancel()
        folder = self.index.folder
        self._job = None if folder is None else IndexSearchJob(folder)
        self.hits.show_groups(())
        self.hits.hide()
        self._show_state("")
        self._show_problem("")
        self._show_what_can_be_done()

    # -- searching ---------------------------------------------------------------------

    def run(self) -> None:
        """Search; while a search runs, stop it."""
        if self.searching.is_running:
            self.cancel()
            self._show_state("Stopped.")
            return
        if self._job is None:
            self._show_problem(NO_FOLDER)
            return
        self._show_problem("")
        try:
            embeddings, mpp, model, model_name = self._query()
            query = IndexQuery(embeddings, mpp, model, model_name, self._left_out())
        except SmseError as error:
            self._show_problem(str(error))
            return
        job, k = self._job, self.number.value
        self.picturing.cancel()
        self._show_state("Searching…")
        self.bar.setRange(0, 0)
        self.bar.show()
        self.searching.start(lambda: job.search(query, k))
        self._show_what_can_be_done()

    def cancel(self) -> None:
        """Stop searching; what is shown stays."""
        self.searching.cancel()
        self.picturing.cancel()
        self._end()

    def _show_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * progress.done / max(1, progress.total)))

    def _show_result(self, result: SearchResult) -> None:
        self.answer = result
        self.hits.show_groups(result.slides)
        self.hits.setVisible(bool(result.slides))
        self._show_state(_describe(result))
        self._show_problem("\n".join(result.warnings))
        groups = list(self.hits.keyed())
        self.picturing.start(lambda: read_pictures(groups))

    def _fail(self, reason: str) -> None:
        self._end()
        self._show_state("")
        self._show_problem(reason)

    def _end(self) -> None:
        self.bar.hide()
        self._show_what_can_be_done()

    # -- adding ------------------------------------------------------------------------

    def add_slide(self, *, replace: bool = False) -> None:
        """Add the chosen slide of the viewer to the index.

        Parameters
        ----------
        replace
            Also where it is there with other settings.
        """
        folder = self.folder
        if folder is None:
            self._show_problem(NO_FOLDER)
            return
        layer = self._slide_layer()
        run = None if layer is None else session_of(self._viewer).run_of(layer)
        if layer is None or run is None:
            what = "Open a slide and score it" if layer is None else f"Score {layer.name}"
            self._show_problem(f"{what} first (SMSE: Score slide), then add it.")
            return
        try:
            slide = slide_of(layer)
        except SmseError as error:
            self._show_problem(str(error))
            return
        self._show_problem("")
        self._show_state(f"Adding {slide.name}…")
        wanted = SlideToAdd(folder, slide, run.store, run.plan.tile_count, replace)
        self.adding.start(lambda: add_slide(wanted))
        self._show_what_can_be_done()

    def _show_outcome(self, outcome: SlideAdded | WouldReplace) -> None:
        if isinstance(outcome, WouldReplace):
            self._fail_adding(outcome.text)
            self.replace.show()
            return
        how = f"now, {outcome.tiles:,} tiles" if outcome.new else "already"
        name = outcome.wanted.slide.name
        self._show_state(f"{name} is in the index {how}. {outcome.notice}".strip())
        self.index.show_growth(outcome.wanted.key)

    def _fail_adding(self, reason: str) -> None:
        self._show_state("")
        self._show_problem(reason)
        self._show_what_can_be_done()

    def _layer_in_viewer(self) -> Image | None:
        layers = list(slide_layers(self._viewer))
        chosen = [one for one in layers if one in self._viewer.layers.selection]
        scored = [one.layer for one in session_of(self._viewer).scored_layers()]
        return next(iter([*chosen, *scored, *layers]), None)

    # -- going to a hit ----------------------------------------------------------------

    def go_to(self, found: SlideHits, hit: Hit) -> None:
        """Show a hit on its slide, which is opened unless it is open."""
        self._show_problem("")
        self._view.remember()
        try:
            layer = layer_with(self._viewer, found.slide.quick_hash) or self._open(found.slide)
            if layer is None:
                return
            slide = slide_of(layer)
        except (SmseError, OSError) as error:
            self._show_problem(str(error))
            return
        self._view.show(layer, slide, maps=True)
        fly_to(self._viewer, layer, hit.region)

    def _open(self, indexed: IndexedSlide) -> Image | None:
        state = indexed.state()
        if state is not SlideState.SAME:
            become = "is gone" if state is SlideState.GONE else "changed since it was indexed"
            self._show_problem(
                f"{indexed.path} {become}: index the slide again to see the tile where it lies."
            )
            return None
        (layer,) = self._viewer.open(indexed.path, plugin="napari-smse")
        slide = slide_of(layer)
        if slide.scale.mpp != indexed.mpp:
            # Whoever scored it stated another um/px.
            set_scale(layer, slide.with_mpp(indexed.mpp))
        return layer

    # -- what there is to say ----------------------------------------------------------

    def _show_what_can_be_done(self) -> None:
        there = self._job is not None
        running = self.searching.is_running
        self.search.setText("Stop" if running else "Search the folder")
        self.search.setEnabled(there)
        self.number.native.setEnabled(there and not running)
        self.add.setEnabled(there and not self.adding.is_running)

    def _show_state(self, text: str) -> None:
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def _show_problem(self, text: str) -> None:
        self.replace.hide()
        self.problem.setText(text)
        self.problem.setVisible(bool(text))

    def release(self) -> None:
        """Let go of everything; calling it again does nothing."""
        if not self._is_left:
            self._is_left = True
            self.index.release()
        for task in self.tasks:
            task.cancel()
        self._view.restore()
        self._job = None
        self._show_what_can_be_done()


def _describe(answer: SearchResult) -> str:
    hits = sum(len(found.hits) for found in answer.slides)
    if not hits:
        return "Nothing else at this scale is in the folder."
    tiles = counted(hits, "tiles")
    slides = counted(len(answer.slides), "slides")
    how = ", approximately," if answer.approximate else ""
    return f"The {tiles} most alike{how} of {answer.tiles:,}, on {slides}. Double-click one."
