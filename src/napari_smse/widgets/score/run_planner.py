"""What the Score dock's form asks for: the tiles, the tissue they lie on, and the job to run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import napari
from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import QueryError
from napari_smse.progress import Progress
from napari_smse.slides import Slide
from napari_smse.tiles import TissueMask
from napari_smse.widgets.controls.model_picker import ModelSelection
from napari_smse.widgets.event_loop import CallWhenIdle, LowLatencyMode
from napari_smse.widgets.layers.overlays import describe_tissue, hide_tissue, show_tissue
from napari_smse.widgets.layers.regions import chosen_region
from napari_smse.widgets.score.form import ScoreForm
from napari_smse.widgets.score.messages import NO_SLIDE
from napari_smse.widgets.score.tile_counter import Question, TileCounter
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.batch.score_queue import ScoreChoice
from napari_smse.workflows.chosen_tissue import chosen_tissue
from napari_smse.workflows.replay.script import Script, score_script
from napari_smse.workflows.score_slide import ScoreJob, settle_runtime, spare_threads
from napari_smse.workflows.scored_slide import Run


class RunPlanner(QObject):
    """Counts the tiles of what the form asks for, shows the tissue, and makes the job.

    Parameters
    ----------
    viewer
        Where slides and regions are.
    form, models
        What is asked for, and the model that is chosen.

    Attributes
    ----------
    measuring
        Finds, after a first run on this computer, what the next ones run fastest on.
    finding
        Finds the tissue of a slide by a file.
    """

    described = Signal(str)
    """How far the search for tissue is, and what was found."""

    problem = Signal(str)
    """Why tissue cannot be found by a file."""

    def __init__(
        self,
        viewer: napari.Viewer,
        form: ScoreForm,
        models: ModelSelection,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._form, self._models = viewer, form, models
        self.counter = TileCounter(self._question, self)
        # Without a parent, as a worker may still speak while its dock is being destroyed.
        self.measuring, self._responsive = Worker(), LowLatencyMode()
        self.measuring.finished.connect(self._responsive.end)
        self.finding = Worker()
        self.finding.progressed.connect(self._tell)
        self.finding.returned.connect(self._lay_found)
        self.finding.errored.connect(self.problem)
        form.changed.connect(self._announce)
        models.changed.connect(self._announce)
        form.again.toggled.connect(self._announce)
        form.device.currentIndexChanged.connect(self._announce)

    @property
    def tasks(self) -> tuple[Worker, ...]:
        """All that it may be doing."""
        return self.counter.task, self.measuring, self.finding

    def toggle_tissue(self, layer: Image) -> None:
        """Lay a slide's tissue over it, or take it away; raises what opening and finding raise.

        What a network finds comes later; asked again before, it stops.
        """
        slide = slide_of(layer)
        if self.finding.cancel():
            self.described.emit("")
        elif not hide_tissue(self._viewer, slide):
            settings = self._form.settings
            request = settings.request(slide=slide)
            if request.mask is None:
                self._lay(layer, slide, self.counter.tissue(slide, icc=settings.icc))
                return
            self._sought = layer, slide
            threads = spare_threads()
            self.finding.start(partial(chosen_tissue, slide, request, settings.device, threads))

    def _lay(self, layer: Image, slide: Slide, mask: TissueMask) -> None:
        show_tissue(self._viewer, layer, slide, mask)
        self.described.emit(describe_tissue(mask, slide.mpp))

    def _lay_found(self, mask: TissueMask) -> None:
        layer, slide = self._sought
        if layer in self._viewer.layers:
            self._lay(layer, slide, mask)
            self.counter.count_soon()

    def _tell(self, progress: Progress) -> None:
        if progress.message:
            self.described.emit(f"{progress.message}. Show tissue stops it.")

    def job(self, layer: Image, before_first_tile: Callable[[Run], object]) -> ScoreJob:
        """Return what the form asks for, on a slide.

        Parameters
        ----------
        layer
            The slide's.
        before_first_tile
            As for `ScoreJob`.

        Raises
        ------
        SlideError, ScaleError, RegionError
            The slide cannot be read, a scale is impossible, or no region is drawn.
        """
        slide, region = slide_of(layer), self._region(layer)
        settings = self._form.settings
        settings.request(region, slide)
        return ScoreJob(
            slide,
            self._form.model_name,
            settings,
            region,
            self.counter.known_tissue(slide, icc=settings.icc),
            self._form.again.isChecked(),
            before_first_tile=before_first_tile,
            at_once=True,
        )

    def script(self) -> Script:
        """Return what the form asks for as a command and as Python; raises as `job` does.

        Also `QueryError` if there is no slide.
        """
        layer = self._form.slide_layer
        if layer is None:
            raise QueryError(NO_SLIDE)
        job = self.job(layer, lambda _run: None)
        return score_script(job.slide, job.model, job.settings, job.roi)

    def settle_runtime(self, run: Run) -> None:
        """Find what later runs of a model run fastest on, once the maps of this one are drawn."""
        CallWhenIdle(partial(self._measure, run), self)

    def _measure(self, run: Run) -> None:
        if not self.measuring.is_running:
            self._responsive.begin()
            self.measuring.start(partial(settle_runtime, run))

    def release(self) -> None:
        """Let go of everything."""
        self.measuring.cancel()
        self.finding.cancel()
        self._responsive.end()

    def _announce(self, *_: object) -> None:
        """Let a queue of slides be scored as the form says."""
        card, form = self._models.card, self._form
        if card is not None:
            choice = ScoreChoice(
                self._models.name, card.name, form.settings, form.again.isChecked()
            )
            session_of(self._viewer).choose_scoring(choice)

    def _question(self) -> Question | None:
        """Return what the tile counter is to count."""
        card, layer = self._models.card, self._form.slide_layer
        if layer is None or card is None:
            return None
        slide = slide_of(layer)
        slide.mpp  # noqa: B018 - raises if the um/px is not known
        return slide, card, self._form.settings.request(self._region(layer), slide)

    def _region(self, layer: Image) -> BaseGeometry | None:
        """Return where to score; raises `RegionError` if no region is drawn."""
        return chosen_region(self._form.region_choice, self._viewer, layer)
