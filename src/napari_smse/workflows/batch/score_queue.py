"""What happens when a queue of slides is scored: one after the other, whatever becomes of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smse.errors import named_error
from napari_smse.progress import Progress, Task, map_progress
from napari_smse.scoring import ScoreMaps, describe_scale
from napari_smse.slides import Slide, open_slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.index_slides import SlideAdded, SlideToAdd, add_scored
from napari_smse.workflows.runs.stored_runs import maps_of_run
from napari_smse.workflows.score_slide import RUNS_KEPT, ScoreJob
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.settings.score import ScoreSettings

if TYPE_CHECKING:
    from napari_smse.models import Model

_STEPS = 1000
"""Of a slide in the progress of all: slides are of one size there, as their tiles are not known."""


@dataclass(frozen=True)
class ScoreChoice:
    """A model, and how to score with it.

    Attributes
    ----------
    model
        ``bundled`` or a path.
    name
        What it is called.
    settings
        Which tiles, on what, and for how long.
    again
        Whether tiles are scored, too, that an earlier run stored.
    """

    model: str = "bundled"
    name: str = "the bundled model"
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    again: bool = False

    @property
    def summary(self) -> str:
        """Model and scales, for a reader."""
        scales = " and ".join(describe_scale(mpp) for mpp in self.settings.mpp)
        return f"{self.name} at {scales or 'no scale'}"


@dataclass(frozen=True)
class SlideToScore:
    """A slide in the queue.

    Attributes
    ----------
    path
        Its file.
    slide
        If it is open; else it is opened for the time.
    """

    path: Path
    slide: Slide | None = None


@dataclass(frozen=True)
class SlideStep:
    """How far one slide is; the `detail` of a progress.

    Attributes
    ----------
    number
        Of the slide in the queue.
    share
        Of its tiles that are scored, 0 to 1.
    message
        What is done before the first tile.
    """

    number: int
    share: float
    message: str = ""


@dataclass(frozen=True)
class SlideOutcome:
    """What became of one slide; the `detail` of a progress, too.

    Attributes
    ----------
    number
        Of the slide in the queue.
    run
        Its run; None if it could not be scored.
    maps
        Of the run, if the slide is open.
    problem
        Why it could not be scored.
    index_problem
        Why it is not in the index, if it was to go there.
    """

    number: int
    run: Run | None = None
    maps: ScoreMaps | None = None
    problem: str = ""
    index_problem: str = ""


@dataclass(frozen=True)
class ScoreSlidesJob:
    """Slides to score one after the other, and how.

    Parameters
    ----------
    slides
        In this order.
    choice
        Model and settings, the same for all.
    index
        Where scored slides go, too; None for nowhere.
    """

    slides: Sequence[SlideToScore]
    choice: ScoreChoice = field(default_factory=ScoreChoice)
    index: Path | None = None

    def run(self) -> Task[list[SlideOutcome]]:
        """Score them; the `detail` of the progress is a `SlideStep` or a `SlideOutcome`.

        What is wrong with one slide is its outcome; the others go on.

        Raises
        ------
        ModelError, DeviceError, ScaleError, RequestError
            No slide can be scored like this.
        """
        self.choice.settings.request()
        self.choice.settings.require_masks(len(self.slides))
        yield self._progress(0, 0, message="Loading the model …")
        model = score_slide.load_cached_model(self.choice.model)
        outcomes = []
        for number, wanted in enumerate(self.slides):
            outcome = yield from self._one(number, wanted, model)
            outcomes.append(outcome)
            yield self._progress(number + 1, 0, detail=outcome)
        return outcomes

    def _one(self, number: int, wanted: SlideToScore, model: Model) -> Task[SlideOutcome]:
        try:
            with ExitStack() as stack:
                slide = wanted.slide or stack.enter_context(open_slide(wanted.path))
                job = ScoreJob(
                    slide,
                    self.choice.model,
                    self.choice.settings,
                    again=self.choice.again,
                    loaded=model,
                    runs_to_keep=RUNS_KEPT + len(self.slides),
                )
                run = yield from map_progress(job.run(), lambda at: self._step(number, wanted, at))
                maps = None if wanted.slide is None else maps_of_run(run)
                return SlideOutcome(number, run, maps, index_problem=self._indexed(slide, run))
        except Exception as error:
            return SlideOutcome(number, problem=str(named_error(error, wanted.path.name)))

    def _indexed(self, slide: Slide, run: Run) -> str:
        """Add a slide to the index, if there is one; return why it is not there."""
        if self.index is None:
            return ""
        added = add_scored(SlideToAdd(self.index, slide, run.store, run.plan.tile_count))
        return "" if isinstance(added, SlideAdded) else added.text

    def _step(self, number: int, wanted: SlideToScore, at: Progress) -> Progress:
        share = at.done / at.total if at.total else 0.0
        message = at.message or f"{at.done:,} of {at.total:,} tiles"
        text = f"Slide {number + 1} of {len(self.slides)}, {wanted.path.name}: {message}"
        return self._progress(number, share, text, SlideStep(number, share, at.message))

    def _progress(
        self, number: int, share: float, message: str = "", detail: object = None
    ) -> Progress:
        done = round(_STEPS * (number + share))
        return Progress(done, _STEPS * len(self.slides), message, detail=detail)
