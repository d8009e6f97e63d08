"""How many tiles a run would have, told while the settings are changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QObject, QTimer, Signal

from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.models import ModelCard
from napari_smse.progress import run_task
from napari_smse.scoring import ScoreRequest, objective_power
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan, TissueMask, find_tissue
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.chosen_tissue import chosen_tissue, is_at_hand

_AFTER_MS = 300
_BY_NETWORK = "Tiles are counted once a network has found the tissue: press Show tissue, or Run."

Question = tuple[Slide, ModelCard, ScoreRequest]


class TileCounter(QObject):
    """Plans a run in the background, and remembers each slide's tissue.

    Parameters
    ----------
    ask
        Gives what is to be counted, or None if no slide is open; may raise
        `SmseError` for what cannot be counted.
    """

    described = Signal(str)
    """The count, or why there is none."""

    def __init__(self, ask: Callable[[], Question | None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.task = Worker()
        self._ask = ask
        self._masks: dict[tuple[str, float, bool], TissueMask] = {}
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_AFTER_MS)
        self._soon.timeout.connect(self.count)
        self.task.returned.connect(self._report)
        self.task.errored.connect(self.described)

    def count_soon(self) -> None:
        """Count once the user pauses."""
        self._soon.start()

    def count(self) -> None:
        """Count now, in the background."""
        try:
            question = self._ask()
        except SmseError as error:
            self.described.emit(str(error))
            return
        if question is None:
            self.described.emit("")
            return
        slide, _, request = question
        if not is_at_hand(slide, request):
            self.described.emit(_BY_NETWORK)
            return
        self.described.emit("Counting tiles …")
        self.task.start(partial(_plan, question, self._tissue_for(question)))

    def known_tissue(self, slide: Slide, *, icc: bool = False) -> TissueMask | None:
        """The slide's tissue, as it is or by its ICC profile, if it was looked for before."""
        return self._masks.get(_key(slide, icc=icc))

    def tissue(self, slide: Slide, *, icc: bool = False) -> TissueMask:
        """The slide's tissue; raises what `find_tissue` and `Slide.with_icc` raise."""
        key = _key(slide, icc=icc)
        if key not in self._masks:
            self._masks[key] = find_tissue(slide.with_icc() if icc else slide)
        return self._masks[key]

    def _tissue_for(self, question: Question) -> TissueMask | None:
        slide, _, request = question
        return self.known_tissue(slide, icc=request.icc)

    def _report(self, answer: tuple[Slide, TilePlan]) -> None:
        slide, plan = answer
        if plan.mask.left_out is None:  # by colour
            self._masks[_key(slide, icc=plan.icc)] = plan.mask
        each = ", ".join(
            f"{len(tiles):,} at {objective_power(tiles.grid.spec.mpp):.3g}x"
            for tiles in plan.scales
        )
        text = f"{counted(plan.tile_count, 'tiles')} to score: {each}"
        first = sum(block.tile_count for block in plan.blocks if block.coarse_first)
        if first < plan.tile_count:
            text += f". {first:,} of them first, the others as time allows."
        self.described.emit(text)


def _key(slide: Slide, *, icc: bool) -> tuple[str, float, bool]:
    return slide.quick_hash, slide.mpp, icc


def _plan(question: Question, mask: TissueMask | None) -> tuple[Slide, TilePlan]:
    slide, card, request = question
    chosen = run_task(chosen_tissue(slide, request))
    return slide, request.plan(slide, card, chosen or mask)
