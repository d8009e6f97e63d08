"""Maps as they are drawn: on the tissue alone, and smooth if asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.scoring import HeatMap
from napari_smse.scoring.map_raster import MapRaster
from napari_smse.slides import Region
from napari_smse.tiles import Ground, TissueMask

AREA = Region(100, 40, 800, 400)


def mask(tissue: np.ndarray) -> TissueMask:
    return TissueMask(np.where(tissue, Ground.TISSUE, Ground.GLASS).astype(np.uint8), AREA)


def heat_map(values: list[list[float]]) -> HeatMap:
    """Cells of 200 level-0 px, from the corner of the area."""
    return HeatMap(np.array(values, np.float32), AREA.x, AREA.y, 200)


def test_nothing_is_drawn_beside_the_tissue():
    tissue = np.zeros((8, 16), bool)
    tissue[2:6, 3:9] = True
    raster = MapRaster(heat_map([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]), mask(tissue))
    drawn = raster.draw(raster.outline)
    assert raster.parts == 4
    assert drawn.shape == raster.shape == tissue.shape
    np.testing.assert_array_equal(np.isfinite(drawn), tissue)
    assert drawn[2, 3] == np.float32(0.1)
    assert drawn[5, 8] == np.float32(0.7)


def test_without_a_mask_a_cell_is_a_pixel():
    whole = heat_map([[0.1, np.nan], [0.3, 0.4]])
    np.testing.assert_array_equal(MapRaster(whole, None).draw(whole), whole.values)


def test_what_was_not_scored_stays_empty_also_when_smooth():
    everywhere = mask(np.ones((8, 16), bool))
    values = [[0.2, np.nan, 0.4, 0.6], [0.2, 0.2, np.nan, np.nan]]
    raster = MapRaster(heat_map(values), everywhere)
    for smooth in (False, True):
        drawn = raster.draw(heat_map(values), smooth=smooth)
        np.testing.assert_array_equal(
            np.isnan(drawn), np.kron(np.isnan(values), np.ones((4, 4))) > 0
        )


def test_smooth_maps_rise_evenly_between_the_middles_of_cells():
    everywhere = mask(np.ones((8, 16), bool))
    values = [[0.0, 0.4, 0.8, 0.8], [0.0, 0.4, 0.8, 0.8]]
    drawn = MapRaster(heat_map(values), everywhere).draw(heat_map(values), smooth=True)
    # Middles lie between pixels 1 and 2, 5 and 6, 9 and 10.
    np.testing.assert_allclose(drawn[3, 1:11], np.linspace(-0.05, 0.85, 10).clip(0, 0.8), atol=1e-6)
    assert (drawn == drawn[0]).all()


@given(
    st.lists(
        st.lists(st.one_of(st.just(np.nan), st.floats(0, 1, width=32)), min_size=3, max_size=3),
        min_size=2,
        max_size=2,
    )
)
def test_smoothing_never_leaves_the_range_of_what_was_scored(values):
    everywhere = mask(np.ones((8, 16), bool))
    given_map = heat_map(values)
    drawn = MapRaster(given_map, everywhere).draw(given_map, smooth=True)
    scored = given_map.values[np.isfinite(given_map.values)]
    if scored.size:
        assert np.nanmin(drawn) >= scored.min() - 1e-6
        assert np.nanmax(drawn) <= scored.max() + 1e-6
    assert np.isfinite(drawn).sum() == 16 * scored.size


@pytest.mark.parametrize(("cells", "parts"), [(10, 32), (500, 3), (4000, 1)])
def test_large_maps_are_drawn_with_fewer_pixels_a_cell(cells, parts):
    fine = TissueMask(np.ones((4096, 4096), np.uint8), Region(0, 0, 4096, 4096))
    outline = HeatMap(np.zeros((2, cells), np.float32), 0, 0, 64)
    assert MapRaster(outline, fine).parts == parts


def test_a_map_that_reaches_over_the_slides_edge_is_empty_there():
    everywhere = mask(np.ones((8, 16), bool))
    values = heat_map([[0.5] * 5, [0.5] * 5])
    drawn = MapRaster(values, everywhere).draw(values)
    assert np.isfinite(drawn[:, :16]).all()
    assert np.isnan(drawn[:, 16:]).all()
