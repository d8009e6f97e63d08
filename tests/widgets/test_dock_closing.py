"""The close button of a dock: what runs goes on, and what was there is there again."""

import threading

import pytest
from napari._qt._qplugins._qnpe2 import _toggle_or_get_widget
from napari.plugins import menu_item_template
from qtpy.QtWidgets import QApplication

from napari_smse.slides import Slide
from napari_smse.widgets import dock as slide_dock
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slides import dock as slides_dock
from napari_smse.widgets.worker import ComputeLock
from support.annotated_slides import write_red_slide

pytestmark = [pytest.mark.gui, pytest.mark.shown]

SCORE, SLIDES, TUNE = "SMSE: Score slide", "SMSE: Slides", "SMSE: Fine-tune"
SIMILAR, ANNOTATE = "SMSE: Find similar", "SMSE: Annotate"


@pytest.fixture
def said(monkeypatch):
    """What the docks notified of."""
    texts = []
    monkeypatch.setattr(slide_dock, "show_info", texts.append)
    return texts


class Gate:
    """Lets a given number of reads through, then holds them back until it is opened."""

    def __init__(self, monkeypatch):
        self.permits = threading.Semaphore(0)
        window = Slide.window

        def held_back(slide, region, mpp):
            assert self.permits.acquire(timeout=60)
            return window(slide, region, mpp)

        monkeypatch.setattr(Slide, "window", held_back)
        monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 300)

    def let(self, reads):
        self.permits.release(reads)

    def open(self):
        self.let(1000)


@pytest.fixture
def gate(monkeypatch):
    made = Gate(monkeypatch)
    yield made
    made.open()


def opened(viewer, name, until):
    """Open a dock as the plugin menu does; return its frame and itself."""
    frame, dock = viewer.window.add_plugin_dock_widget("napari-smse", name)
    until(lambda: dock.isVisible())
    QApplication.processEvents()
    return frame, dock


def close(frame):
    """Press the close button in the title of a dock."""
    frame.title.close_button.click()
    QApplication.processEvents()


def reopened(viewer, name, until):
    """Choose a dock in the plugin menu, which shows it again if it is there."""
    full_name = menu_item_template.format("napari-smse", name)
    assert _toggle_or_get_widget("napari-smse", name, full_name) is None
    return opened(viewer, name, until)


@pytest.fixture
def score(viewer, redness, slide_path, until):
    viewer.open(slide_path, plugin="napari-smse")
    frame, dock = opened(viewer, SCORE, until)
    until(lambda: "to score:" in dock.panel.count.text())
    return frame, dock


def test_a_run_goes_on_while_its_dock_is_closed(score, viewer, until, gate, said):
    frame, dock = score
    gate.let(2)
    dock.panel.run.click()
    until(lambda: dock.live.layers is not None)
    close(frame)
    assert not dock.isVisible()
    assert dock.scoring.is_running
    assert said == [
        "A slide is being scored, which goes on: open SMSE: Score slide again to see how far it "
        "is, or to cancel it."
    ]
    frame, again = reopened(viewer, SCORE, until)
    assert again is dock
    assert again.panel.cancel.isEnabled()
    assert again.panel.bar.isVisible()
    close(frame)
    gate.open()
    until(lambda: not dock.scoring.is_running)
    assert said[-1] == "SMSE: Score slide is done: open it again to see what came of it."
    assert dock.shown_run.store.complete


def test_a_dock_opens_again_with_table_controls_and_what_was_chosen(score, viewer, until, said):
    frame, dock = score
    dock.form.scales.item(0).setCheckState(dock.form.scales.item(1).checkState())
    ticked = dock.form.scales.ticked
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)
    rows, state = dock.table.tiles.rowCount(), dock.panel.state.text()
    assert rows
    close(frame)
    assert not dock.isVisible()
    _, again = reopened(viewer, SCORE, until)
    assert again.table.tiles.rowCount() == rows
    assert again.panel.state.text() == state
    assert again.form.scales.ticked == ticked
    assert again.save.isEnabled()
    assert again.controls.isEnabled()
    assert said == []


def test_a_dock_that_is_opened_again_comes_to_the_front(score, viewer, until):
    frame, _ = score
    other, _ = opened(viewer, ANNOTATE, until)
    close(frame)
    _, dock = reopened(viewer, SCORE, until)
    until(lambda: not dock.visibleRegion().isEmpty())
    viewer.window.remove_dock_widget(other)


def test_a_queue_goes_on_while_its_dock_is_closed(
    viewer, redness, gate, until, said, tmp_path, monkeypatch
):
    monkeypatch.setattr(slides_dock, "read_card", lambda _name: redness.card)
    viewer.open(write_red_slide(tmp_path), plugin="napari-smse")
    frame, dock = opened(viewer, SLIDES, until)
    dock.table.tick(True)
    gate.let(1)
    dock.panel.run.click()
    until(lambda: bool(redness.network.batches))
    close(frame)
    assert dock.queue.is_running
    assert said[0].startswith("A queue of slides is being scored, which goes on: open SMSE: Slides")
    gate.open()
    until(lambda: not dock.queue.is_running)
    assert session_of(viewer).scored_layers()
    _, again = reopened(viewer, SLIDES, until)
    assert "1 slide scored." in again.panel.state.text()


def test_a_tuning_goes_on_and_what_was_learnt_is_still_to_be_decided_on(docks, until, said):
    docks.run_score()
    docks.draw_both()
    frame = docks.tune.parent()
    docks.tune.panel.run.click()
    close(frame)
    assert said[0].startswith("A model is being fine-tuned, which goes on: open SMSE: Fine-tune")
    until(lambda: not docks.tune.learning.is_running)
    until(lambda: not docks.tune.outcome.is_filling)
    _, again = reopened(docks.viewer, TUNE, until)
    assert again is docks.tune
    assert again.result is not None
    assert again.outcome.isVisible()


def test_an_idle_dock_with_tools_on_the_slide_lets_go_of_them(viewer, slide_path, until, said):
    viewer.open(slide_path, plugin="napari-smse")
    frame, dock = opened(viewer, SIMILAR, until)
    close(frame)
    assert dock._left
    assert said == []


def test_a_window_that_is_closed_ends_what_goes_on(score, viewer, until, gate):
    frame, dock = score
    gate.let(2)
    dock.panel.run.click()
    until(lambda: dock.live.layers is not None)
    close(frame)
    work = dock.scoring
    viewer.close()
    QApplication.processEvents()
    gate.open()
    assert work.closing.is_set()
    # Nobody waits for its turn, such as another window.
    other = ComputeLock("A model is being fine-tuned")
    assert other.take() == ""
    other.give_back()
