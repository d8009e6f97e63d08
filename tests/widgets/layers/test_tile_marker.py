"""The outline of a tile is seen whole, however small the tile is on the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

from napari_smse.reader import slide_layer
from napari_smse.slides import Region, open_slide
from napari_smse.widgets.layers.tile_marker import MARKER_NAME, marked, outline
from napari_smse.widgets.slide_layers import level0_to_world

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.mark.parametrize("zoom", [20.0, 1.0, 0.2])
def test_every_side_is_at_least_a_pixel_of_the_screen_wide(slide_path: Path, zoom: float) -> None:
    viewer = ViewerModel()
    with open_slide(slide_path) as slide:
        data, arguments, _ = slide_layer(slide)
        layer = viewer.add_image(data, **arguments)
        for tile in (Region(0, 0, 64, 64), Region(256, 128, 224, 224)):
            viewer.scene.camera.zoom = zoom
            outline(viewer, layer, tile)
            frame = viewer.layers[MARKER_NAME].data[..., 3] > 0
            middle = len(frame) // 2
            assert frame[0].all()
            assert frame[:, -1].all()
            assert not frame[middle, middle]
            found = marked(viewer)
            assert found is not None
            corners = [[tile.x, tile.y], [tile.x + tile.width, tile.y + tile.height]]
            np.testing.assert_allclose(found, level0_to_world(layer, np.array(corners)))
            side = (found[1] - found[0])[0] * zoom
            line = int(frame[:middle, middle].sum()) / len(frame) * side
            # A tile of a few pixels has no room for two wide lines.
            assert line >= min(1.0, side / 5)


def test_the_line_follows_the_zoom(slide_path: Path, qtbot: QtBot) -> None:
    viewer = ViewerModel()
    with open_slide(slide_path) as slide:
        data, arguments, _ = slide_layer(slide)
        layer = viewer.add_image(data, **arguments)
        viewer.scene.camera.zoom = 20.0
        outline(viewer, layer, Region(0, 0, 224, 224))
        marker = viewer.layers[MARKER_NAME]
        assert marker.data[1, 20, 3] == 0
        viewer.scene.camera.zoom = 0.2
        qtbot.waitUntil(lambda: marker.data[1, 20, 3] > 0)
        viewer.layers.remove(marker)
        viewer.scene.camera.zoom = 20.0
        qtbot.wait(150)
