import numpy as np
import pytest

from napari_smse.scoring import HeatMap
from napari_smse.slides import Region
from napari_smse.tiles import Ground, TissueMask
from napari_smse.widgets.layers.overlays import (
    hatching,
    hide_out_of_distribution,
    show_out_of_distribution,
)
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
    slide_layers,
    slide_of,
)

pytestmark = pytest.mark.gui


def test_cells_that_are_unknown_are_hatched_and_no_other():
    unknown = np.array([[True, False], [False, True]])
    drawn = hatching(np.kron(unknown, np.ones((8, 8))) > 0, 8)
    assert drawn.shape == (16, 16)
    assert not drawn[:8, 8:].any()
    assert not drawn[8:, :8].any()
    assert set(np.unique(drawn[:8, :8])) == {1, 2}
    # Stripes go on from one cell to the next.
    assert np.array_equal(drawn[:8, :8], drawn[8:, 8:])


def test_only_tissue_is_hatched(viewer, slide_path):
    viewer.open(slide_path, plugin="napari-smse")
    (slide_layer,) = slide_layers(viewer)
    ground = np.zeros((8, 8), np.uint8)
    ground[:4] = Ground.TISSUE
    mask = TissueMask(ground, Region(0, 0, 128, 128))
    unknown = HeatMap(np.ones((2, 2), np.float32), 0, 0, 64)
    slide = slide_of(slide_layer)
    layer = show_out_of_distribution(viewer, slide_layer, slide, unknown, mask)
    assert layer.data.shape == (8, 8)
    assert (layer.data[:4] > 0).all()
    assert not layer.data[4:].any()
    # Another map takes the layer over, as removing one takes long.
    none = HeatMap(np.zeros((2, 2), np.float32), 0, 0, 64)
    assert show_out_of_distribution(viewer, slide_layer, slide, none, mask) is layer
    assert not layer.data.any()


def test_the_hatching_covers_its_cells_exactly(viewer, slide_path):
    viewer.open(slide_path, plugin="napari-smse")
    (slide_layer,) = slide_layers(viewer)
    slide = slide_of(slide_layer)
    values = np.full((3, 4), np.nan, np.float32)
    values[1, 2] = 1
    layer = show_out_of_distribution(viewer, slide_layer, slide, HeatMap(values, 10, 20, 64))
    rows, columns = np.nonzero(layer.data)
    corners = np.array([[rows.min(), columns.min()], [rows.max(), columns.max()]])
    low, high = (np.asarray(layer.data_to_world(one)) for one in corners)
    pixel = np.asarray(layer.scale)
    um = 0.25
    # Edges of the cell: x 138 to 202 and y 84 to 148 level-0 px, whose centres lie at half px.
    np.testing.assert_allclose(low - pixel / 2, [(84 - 0.5) * um, (138 - 0.5) * um])
    np.testing.assert_allclose(high + pixel / 2, [(148 - 0.5) * um, (202 - 0.5) * um])
    show_out_of_distribution(viewer, slide_layer, slide, HeatMap(values, 10, 20, 64))
    assert sum(is_of_kind(one, LayerKind.OUT_OF_DISTRIBUTION) for one in viewer.layers) == 1
    hide_out_of_distribution(viewer, slide)
    assert not any(is_of_kind(one, LayerKind.OUT_OF_DISTRIBUTION) for one in viewer.layers)
