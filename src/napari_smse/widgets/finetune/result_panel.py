"""What came out of a fine-tuning: maps before and after, figures, tiles; keep it or roll back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_smse.models import read_card
from napari_smse.palette import WARNING, Colour
from napari_smse.scoring import ScoreMaps
from napari_smse.scoring.calls import CallRule
from napari_smse.scoring.open_run import model_facts
from napari_smse.widgets.controls.layout import notice_label, push_button
from napari_smse.widgets.finetune.changed_calls_list import ChangedCallsList
from napari_smse.widgets.finetune.comparison_panel import ComparisonPanel
from napari_smse.widgets.finetune.hard_triplets_panel import HardTripletsPanel
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.layers.overlays import difference_of, hide_difference, show_difference
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import COLOUR_MAPS, layer_with, maps_on
from napari_smse.workflows.fine_tune import FineTuneOutcome, SlideComparison
from napari_smse.workflows.scored_slide import Run, TileOnSlide

_UNSAVED = (
    "The maps are a fine-tuned model's, whose scores could not be written: see the warning in "
    "SMSE: Fine-tune, mend that and fine-tune again, or choose “Before” there to save the others."
)
_OUTDATED = "From the fine-tuning before: a new one runs, whose result will take its place."
BEFORE, AFTER, CHANGE = "Before", "After", "Change"
_PART_MS = 40


class ResultPanel(QWidget):
    """Hidden until there is a result, and again once it was rolled back.

    Parameters
    ----------
    viewer
        Where the maps are shown.
    """

    keep_wanted = Signal()
    """Keep the tuned model as a file."""

    rolled_back = Signal(int)
    """The result is dropped, and the maps are the model's own again."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result: FineTuneOutcome | None = None
        self._viewer, self._session = viewer, session_of(viewer)
        self._runs: dict[str, Run | None] = {}
        self._incomplete: list[HeatMapLayers] = []
        self._adding = QTimer(self)
        self._adding.timeout.connect(self._add_next_layer)
        self._parts: list[Callable[[], None]] = []
        self._filling = QTimer(self)
        self._filling.setInterval(_PART_MS)
        self._filling.timeout.connect(self._show_next_part)
        self.view = QComboBox()
        self.view.addItems([AFTER, BEFORE, CHANGE])
        self.view.setToolTip("Which maps the slide shows.")
        self.save = push_button(
            "Keep as a model …", "Write the fine-tuned model to a file, to score other slides with."
        )
        self.back = push_button(
            "Roll back", "Show the maps of the model before, and drop the fine-tuned one."
        )
        self.figures, self.flipped, self.triplets = (
            ComparisonPanel(),
            ChangedCallsList(),
            HardTripletsPanel(),
        )
        self.outdated = notice_label(WARNING)
        self.outdated.setText(_OUTDATED)
        self.tabs = QTabWidget()
        for widget, title, meaning in (
            (self.figures, "Performance", "What was held out, before and after."),
            (self.flipped, "Changed predictions", "Tiles of another class than before."),
            (self.triplets, "Hard triplets", "Tiles far from their own class, near to another."),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(widget, title), meaning)
        buttons = QHBoxLayout()
        buttons.addWidget(QLabel("Maps"))
        for widget in (self.view, self.save, self.back):
            buttons.addWidget(widget, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.outdated)
        layout.addLayout(buttons)
        layout.addWidget(self.tabs)
        self.view.currentTextChanged.connect(self.show_maps)
        self.save.clicked.connect(self.keep_wanted)
        self.back.clicked.connect(self.roll_back)
        for pictures in (self.flipped, self.triplets):
            pictures.tile_chosen.connect(self._fly_to)
        self.hide()

    @property
    def is_filling(self) -> bool:
        """Whether parts of a result are still to be shown."""
        return bool(self._parts)

    def show_result(self, result: FineTuneOutcome) -> None:
        """Show a result part by part, its new maps first.

        All at once would hold the viewer up for longer than one notices.
        """
        self.result = result
        self._runs = {one.scored.slide.quick_hash: one.run for one in result.slides}
        same = all(one.before.classes == one.after.classes for one in result.slides)
        self.view.model().item(2).setEnabled(same)
        with QSignalBlocker(self.view):
            self.view.setCurrentText(AFTER)
        self._parts = [
            lambda: self.show_maps(AFTER),
            lambda: self.figures.show_comparison(result.comparison),
            self.show,
            lambda: self.flipped.show_slides(result.slides),
            lambda: self.triplets.show_triplets(result),
        ]
        self._filling.start()

    def set_outdated(self, outdated: bool) -> None:
        """Grey the result while a new fine-tuning runs, whose result will replace it."""
        self.outdated.setVisible(outdated and self.result is not None)
        for widget in (self.tabs, self.view, self.save, self.back):
            widget.setEnabled(not outdated)

    def _show_next_part(self) -> None:
        if self._parts:
            self._parts.pop(0)()
        if not self._parts:
            self._filling.stop()

    def name_model(self, path: Path) -> None:
        """Let the scores say that they are by the model in this file, which is the tuned one."""
        card = read_card(path)
        for quick_hash, run in self._runs.items():
            if run is None:
                continue
            run.store.name_model(model_facts(card))
            named = self._runs[quick_hash] = replace(run, card=card, model=str(path))
            layer = layer_with(self._viewer, quick_hash)
            if layer is not None and self._session.run_of(layer) is run:
                self._session.set_run(layer, named)

    def show_maps(self, which: str) -> None:
        """Show the maps before or after, or what changed, and put the run they are of in force."""
        if self.result is None:
            return
        self._incomplete.clear()
        for one in self.result.slides:
            layer = layer_with(self._viewer, one.scored.slide.quick_hash)
            if layer is None:
                continue
            if which == CHANGE:
                self._show_change(layer, one)
            else:
                hide_difference(self._viewer, one.scored.slide)
                self._show(layer, one, one.before if which == BEFORE else one.after)

    def describe(self) -> str:
        """Say from how much was learnt, and whether maps show it; nothing without a result."""
        if self.result is None:
            return ""
        tuning, steps = self.result.tuning, self.result.tuned.steps
        early = "" if steps >= tuning.recipe.steps else f" in {steps:,} steps"
        slides = (one.scored.slide.quick_hash for one in self.result.slides)
        is_open = any(layer_with(self._viewer, slide) is not None for slide in slides)
        shown = "The maps show" if is_open else "Its slides are closed, and no map shows"
        return (
            f"Learnt from {len(tuning.training):,} tiles{early}, {len(tuning.testing):,} held "
            f"out. {shown} the tuned model: keep it, or roll back."
        )

    def _is_in_force(self, one: SlideComparison) -> bool:
        """Whether the slide's run in force is the one that was learnt from, or came of it."""
        layer = layer_with(self._viewer, one.scored.slide.quick_hash)
        run = None if layer is None else self._session.run_of(layer)
        return run is not None and (run.base or run).store.path == one.scored.run.store.path

    def roll_back(self) -> None:
        """Show the maps of the model that scored the slides again, and drop the result.

        A slide that was scored anew since keeps its new maps.
        """
        if self.result is None:
            return
        mine = [one for one in self.result.slides if self._is_in_force(one)]
        self.result = replace(self.result, slides=mine)
        self.show_maps(BEFORE)
        self.drop()
        self.rolled_back.emit(len(mine))

    def drop(self) -> None:
        """Forget the result; the maps stay as they are."""
        self.result = None
        self._parts.clear()
        self.flipped.pictures.stop()
        self.triplets.pictures.stop()
        self.hide()

    def release(self) -> None:
        """Read no more pictures, and show no more of the result."""
        self._parts.clear()
        self._filling.stop()
        self._adding.stop()
        self.flipped.pictures.stop()
        self.triplets.pictures.stop()

    def _show(self, layer: Image, one: SlideComparison, maps: ScoreMaps) -> None:
        tuned = self._runs.get(one.scored.slide.quick_hash)
        run = one.scored.run if maps is one.before or tuned is None else tuned
        unsaved = maps is one.after and tuned is None
        by = f"{run.card.label}, fine-tuned" if unsaved else run.card.label
        same = maps.classes == run.card.classes
        rule = CallRule.from_card(run.card) if same else None
        colours = self._colours(maps, one)
        slide = one.scored.slide
        shown = HeatMapLayers(self._viewer, layer, slide, maps, colours, by, rule)
        shown.mark_stale()
        shown.refresh(hidden=True)
        if unsaved:
            shown.unsaved = _UNSAVED
        self._session.set_run(layer, run)
        self._incomplete.append(shown)
        self._adding.start()

    def _add_next_layer(self) -> None:
        """Add a map layer that is missing each time the viewer has nothing else to do."""
        while self._incomplete:
            shown = self._incomplete[0]
            if shown.add_next():
                shown.refresh(hidden=True)
                return
            self._incomplete.pop(0)
        self._adding.stop()

    def _colours(self, maps: ScoreMaps, one: SlideComparison) -> Mapping[str, Colour]:
        if maps is one.before or self.result is None:
            return one.scored.run.card.class_colours
        return self.result.colours

    def _show_change(self, layer: Image, one: SlideComparison) -> None:
        slide = one.scored.slide
        found = difference_of(self._viewer, slide) or show_difference(
            self._viewer, layer, slide, one.before, one.after
        )
        if found is not None:
            self._show(layer, one, one.after)
            for other in maps_on(self._viewer, slide.quick_hash, COLOUR_MAPS):
                self._session.set_shown(other, False)
            self._session.set_shown(found, True)

    def _fly_to(self, tile: TileOnSlide) -> None:
        layer = layer_with(self._viewer, tile.slide.quick_hash)
        if layer is not None:
            fly_to(self._viewer, layer, tile.region)
