import gc
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_smse.scoring import TileScores
from napari_smse.widgets.event_loop import CallWhenIdle, EventLoopStall, LowLatencyMode
from napari_smse.widgets.score import live_results
from napari_smse.widgets.score.live_results import LiveResults
from napari_smse.widgets.score.map_controls import MapControls
from napari_smse.widgets.score.tile_table import TileTableView
from napari_smse.widgets.session import session_of


@pytest.fixture(autouse=True)
def as_before():
    interval = sys.getswitchinterval()
    gc.unfreeze()
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()


def test_the_gui_thread_is_favoured_from_begin_to_end():
    sys.setswitchinterval(0.005)
    responsive = LowLatencyMode()
    responsive.begin()
    responsive.begin()
    assert sys.getswitchinterval() == pytest.approx(0.001)
    assert gc.get_freeze_count() > 0
    responsive.end()
    assert sys.getswitchinterval() == pytest.approx(0.005)
    assert gc.get_freeze_count() == 0
    responsive.end()
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_the_last_of_two_puts_everything_back():
    sys.setswitchinterval(0.005)
    first, second = LowLatencyMode(), LowLatencyMode()
    first.begin()
    second.begin()
    first.end()
    assert sys.getswitchinterval() == pytest.approx(0.001)
    second.end()
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_what_others_chose_is_kept():
    sys.setswitchinterval(0.0005)
    gc.freeze()
    responsive = LowLatencyMode()
    responsive.begin()
    assert sys.getswitchinterval() == pytest.approx(0.0005)
    responsive.end()
    assert gc.get_freeze_count() > 0


def test_quiet_comes_only_after_the_event_loop_has_caught_up(qtbot, until):
    said = []
    waiting = CallWhenIdle(lambda: said.append(time.perf_counter()))
    busy_until = time.perf_counter() + 0.3
    busy = QTimer()
    busy.timeout.connect(lambda: time.sleep(0.06) if time.perf_counter() < busy_until else None)
    busy.start(0)
    until(lambda: bool(said))
    busy.stop()
    assert said[0] >= busy_until
    qtbot.wait(200)
    assert len(said) == 1
    del waiting


def test_what_holds_the_event_loop_up_is_measured_with_what_follows_from_it(until):
    held_up = EventLoopStall()
    held_up.watch()
    time.sleep(0.1)  # something is shown,
    QTimer.singleShot(0, lambda: time.sleep(0.2))  # which is drawn a moment later
    until(lambda: held_up.seconds > 0)
    assert held_up.seconds >= 0.3


def test_maps_are_drawn_less_often_where_drawing_takes_long(viewer, monkeypatch):
    now, drawn = [100.0], []
    monkeypatch.setattr(live_results, "time", SimpleNamespace(monotonic=lambda: now[0]))
    live = LiveResults(viewer, MapControls(session_of(viewer)), TileTableView())
    live._refresh_maps = lambda: drawn.append(now[0])
    scores = TileScores(0, np.arange(1), np.zeros((1, 2), np.float32))
    for held_up, apart in ((0.0, 0.2), (0.1, 0.1 / 0.05)):
        live._held_up.seconds = held_up
        drawn.clear()
        for _ in range(1000):
            now[0] += 0.01
            live.take((scores,))
        # At the first results after that time.
        assert np.diff(drawn) == pytest.approx(apart, abs=0.011)
        assert len(drawn) == pytest.approx(1000 * 0.01 / apart, abs=3)
    live.release()


def test_a_progress_without_results_does_not_put_off_the_first_cell(viewer, monkeypatch):
    now, drawn = [100.0], []
    monkeypatch.setattr(live_results, "time", SimpleNamespace(monotonic=lambda: now[0]))
    live = LiveResults(viewer, MapControls(session_of(viewer)), TileTableView())
    live._refresh_maps = lambda: drawn.append(now[0])
    live._held_up.seconds = 0.3  # a map took so long to draw in the run before
    live.take(())
    now[0] += 0.01
    live.take((TileScores(0, np.arange(1), np.zeros((1, 2), np.float32)),))
    assert drawn == [now[0]]
    live.release()
