"""Whatever a person did before: what is saved is what the map, the table and Evidence show."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.finetune.result_panel import AFTER, BEFORE
from napari_smse.widgets.slide_layers import LayerKind, layers_of_kind, slide_layers
from support.annotated_slides import write_red_slide
from support.docks import Docks

pytestmark = [pytest.mark.gui, pytest.mark.slow]

SLIDES = ("first", "second")
SEQUENCES, STEPS = 2, 8
_ROUNDED = 0.0006
"""The table shows three decimals."""


class Sequence(RuleBasedStateMachine):
    """What one person does with two slides; `viewer`, `until` and `folder` are set by the test."""

    def __init__(self):
        super().__init__()
        self.docks = Docks(self.viewer, self.until)
        self.evidence = EvidenceDock(self.viewer)
        self.viewer.window.add_dock_widget(self.evidence)

    def teardown(self):
        for dock in (*self.docks.all, self.evidence):
            self.viewer.window.remove_dock_widget(dock)
            dock.close()
        self.viewer.layers.clear()
        for name in ("runs", "saved"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    # -- what is there ---------------------------------------------------------------

    @property
    def layer(self):
        return self.docks.score.form.slide_layer

    @property
    def run(self):
        return self.docks.score.shown_run

    @property
    def tuned(self):
        """Whether the last fine-tuning can be looked at."""
        return self.docks.tune.result is not None and self.docks.tune.outcome.view.isEnabled()

    def settle(self):
        docks, evidence = self.docks, self.evidence
        tasks = [*evidence._tasks, *docks.score._tasks, docks.tune.learning]
        self.until(
            lambda: (
                not any(task.is_running for task in tasks)
                and not docks.score.live._adding.isActive()
                and not evidence.colour_by.colouring._adding.isActive()
                and not docks.tune.outcome.is_filling
            )
        )

    # -- what is done ----------------------------------------------------------------

    @initialize()
    def begin(self):
        """All else needs a slide with scores, and much of it a tuned model."""
        self.open_or_choose(SLIDES[0], close=False)
        self.score()
        self.fine_tune(steps=20)

    @rule(name=st.sampled_from(SLIDES), close=st.sampled_from((False, False, True)))
    def open_or_choose(self, name, close):
        if close and self.layer is not None:
            self.viewer.layers.remove(self.layer)
            self.settle()
        there = {layer.name for layer in slide_layers(self.viewer)}
        if name in there:
            slides = self.docks.score.form.slide
            slides.setCurrentIndex(slides.findText(name))
        else:
            self.viewer.open(self.folder / f"{name}.tif", plugin="napari-smse")
            self.until(lambda: "to score:" in self.docks.score.panel.count.text())
        self.settle()

    @precondition(lambda self: self.layer is not None)
    @rule()
    def score(self):
        self.docks.run_score()
        self.settle()

    @precondition(lambda self: self.run is not None)
    @rule(steps=st.sampled_from((20, 60)))
    def fine_tune(self, steps):
        if not len(self.docks.annotate.drawing.layer.data):
            self.docks.draw_both()
        self.docks.tune.form.choose(steps=steps)
        self.docks.finetune()
        self.settle()
        assert self.tuned, self.docks.tune.panel.problem.text()

    @precondition(lambda self: self.tuned)
    @rule(which=st.sampled_from((BEFORE, AFTER)))
    def look_at(self, which):
        self.docks.tune.outcome.view.setCurrentText(which)
        self.settle()

    @precondition(lambda self: self.tuned)
    @rule()
    def roll_back(self):
        self.docks.tune.outcome.roll_back()
        self.settle()

    @precondition(lambda self: self.run is not None)
    @rule(row=st.integers(0, 2))
    def recolour(self, row):
        bank, colour_by = self.evidence.bank, self.evidence.colour_by
        if bank.add.isEnabled():
            bank.add.click()
            self.settle()
        if colour_by.isEnabled():
            colour_by.choice.setCurrentIndex(row)
            self.settle()

    # -- what holds ------------------------------------------------------------------

    @invariant()
    def what_is_saved_is_shown(self):
        score = self.docks.score
        if self.run is None:
            assert not score.save.isEnabled()
            assert score.table.tiles.rowCount() == 0
            return
        record, table = self.saved()
        run, slide = self.run, score.slide
        assert record["slide"]["quick_hash"] == slide.quick_hash
        model = record["model"]
        assert model["weights_sha256"] == run.card.weights_sha256
        assert self.evidence.read.model == run.card.weights_sha256
        assert self.evidence.read.slide.quick_hash == slide.quick_hash
        (by,) = set(table["model"])
        assert by.startswith(run.card.label)
        # Maps by reference tiles say so.
        assert (by == run.card.label) == (record["classifier"] == "class head")
        probability = np.asarray(table["p_malignant"])
        self.require_table(probability, table)
        self.require_map(probability, table)

    def saved(self):
        score = self.docks.score
        score.save_to(self.folder / "saved")
        self.until(lambda: not score.saver.task.is_running)
        assert not score.panel.problem.text()
        folder = self.folder / "saved" / score.slide.name
        table = pq.read_table(folder / "tiles.parquet").to_pydict()
        return json.loads((folder / "run.json").read_text()), table

    def require_table(self, probability, table):
        """The table of the dock lists the same tiles with the same probabilities."""
        tiles = self.docks.score.table.tiles
        column = tiles.headers.index("malignant")
        shown = {
            (tiles.tile(row).region.x, tiles.tile(row).region.y): float(
                tiles.data(tiles.index(row, column))
            )
            for row in range(tiles.rowCount())
        }
        wanted = dict(zip(zip(table["x"], table["y"], strict=True), probability, strict=True))
        assert shown.keys() == wanted.keys()
        for place, value in wanted.items():
            assert shown[place] == pytest.approx(value, abs=_ROUNDED)

    def require_map(self, probability, table):
        """The only map that is seen holds them, at the middles of the tiles, where tissue is."""
        (layer,) = (one for one in layers_of_kind(self.viewer, LayerKind.HEAT_MAP) if one.visible)
        half = np.asarray(table["width"]) / 2
        centres = np.stack([table["y"] + half, table["x"] + half], axis=1) - 0.5
        values = [layer.get_value(point * self.layer.scale[-2:], world=True) for point in centres]
        seen = np.array([np.nan if value is None else value for value in values], dtype=float)
        assert np.isfinite(seen).any()
        assert self.run.card.name in layer.name
        known = np.isfinite(seen)
        np.testing.assert_allclose(seen[known], probability[known], atol=1e-6)


def test_what_is_saved_is_what_is_shown_after_any_sequence(viewer, model, told, tmp_path, until):
    for seed, name in enumerate(SLIDES):
        write_red_slide(tmp_path, name, seed)

    class WithViewer(Sequence):
        pass

    WithViewer.viewer, WithViewer.until, WithViewer.folder = viewer, staticmethod(until), tmp_path
    run_state_machine_as_test(
        WithViewer,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            # Whatever fails takes minutes to make smaller, and names its steps anyway.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
