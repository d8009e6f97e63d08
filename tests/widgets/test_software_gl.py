import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.gui


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
