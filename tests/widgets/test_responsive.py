import gc
import sys

import pytest

from napari_smse.widgets.responsive import Responsive


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
