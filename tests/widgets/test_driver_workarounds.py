import sys

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_smse.widgets.driver_workarounds import guard_against_triton


@pytest.fixture
def no_triton(monkeypatch):
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    yield
    sys.modules.pop("triton", None)


def test_triton_is_kept_out_where_opengl_brought_an_llvm(tmp_path, no_triton):
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 00:00 0 /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1\n")
    assert guard_against_triton(maps)
    with pytest.raises(ImportError):
        import triton  # noqa: F401
    assert guard_against_triton(maps)


def test_it_is_left_alone_elsewhere(tmp_path, no_triton):
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 00:00 0 /usr/lib/libllvmlite.so\n")
    assert not guard_against_triton(maps)
    assert not guard_against_triton(tmp_path / "no such file")
    assert "triton" not in sys.modules


pytestmark = [pytest.mark.gui, pytest.mark.shown]


def test_removing_a_lower_layer_does_not_end_the_process(viewer):
    """On Mesa's software renderer plain napari dies of a segmentation fault here."""

    def add():
        viewer.add_image(np.zeros((500, 500, 3), np.uint8), rgb=True)
        for _ in range(5):
            QApplication.processEvents()

    add()
    add()
    viewer.layers.remove(viewer.layers[0])
    for _ in range(5):
        QApplication.processEvents()
    add()
    assert len(viewer.layers) == 2
