import gc
import sys
import time

import pytest
from qtpy.QtCore import QTimer

from napari_smse.widgets.responsive import Responsive, WhenQuiet


@pytest.fixture(autouse=True)
def as_before():
    interval = sys.getswitchinterval()
    gc.unfreeze()
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()


def test_the_gui_thread_is_favoured_from_begin_to_end():
    sys.setswitchinterval(0.005)
    responsive = Responsive()
    responsive.begin()
    responsive.begin()
    assert sys.getswitchinterval() == pytest.approx(0.001)
    assert gc.get_freeze_count() > 0
    responsive.end()
    assert sys.getswitchinterval() == pytest.approx(0.005)
    assert gc.get_freeze_count() == 0
    responsive.end()
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_what_others_chose_is_kept():
    sys.setswitchinterval(0.0005)
    gc.freeze()
    responsive = Responsive()
    responsive.begin()
    assert sys.getswitchinterval() == pytest.approx(0.0005)
    responsive.end()
    assert gc.get_freeze_count() > 0


def test_quiet_comes_only_after_the_event_loop_has_caught_up(qtbot):
    said = []
    waiting = WhenQuiet(lambda: said.append(time.perf_counter()))
    busy_until = time.perf_counter() + 0.3
    busy = QTimer()
    busy.timeout.connect(lambda: time.sleep(0.06) if time.perf_counter() < busy_until else None)
    busy.start(0)
    qtbot.waitUntil(lambda: bool(said), timeout=5000)
    busy.stop()
    assert said[0] >= busy_until
    qtbot.wait(200)
    assert len(said) == 1
    del waiting
