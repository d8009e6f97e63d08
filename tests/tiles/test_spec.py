import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import ScaleError
from napari_smse.tiles import TileSpec

mpps = st.floats(0.05, 10)


@given(size=st.integers(1, 4096), mpp=mpps, slide_mpp=mpps, overlap=st.floats(0, 0.9))
def test_every_size_is_the_same_piece_of_glass(size, mpp, slide_mpp, overlap):
    spec = TileSpec(size, mpp, slide_mpp, overlap)
    assert spec.size_um == pytest.approx(size * mpp)
    assert spec.size_level0 * slide_mpp == pytest.approx(spec.size_um)
    assert 0 < spec.stride_level0 <= spec.size_level0


@given(size=st.integers(1, 4096), mpp=st.floats(0.05, 2.5), times=st.sampled_from([1, 2, 4]))
def test_whole_ratios_give_whole_sizes(size, mpp, times):
    assert TileSpec(size, mpp * times, mpp).size_level0 == size * times


def test_a_20x_tile_on_a_40x_slide_covers_twice_its_pixels():
    spec = TileSpec(224, mpp=0.5, slide_mpp=0.25, overlap=0.5)
    assert (spec.size_level0, spec.stride_level0, spec.upsampling) == (448, 224, 0.5)


@pytest.mark.parametrize("mpp", [0, -1, 0.01, 11, float("nan"), float("inf")])
def test_scales_no_microscope_has_are_refused(mpp):
    with pytest.raises(ScaleError, match="µm/px"):
        TileSpec(224, mpp, 0.25)


@pytest.mark.parametrize("overlap", [-0.1, 0.95, 1, float("nan")])
def test_overlaps_that_never_end_are_refused(overlap):
    with pytest.raises(ScaleError, match="overlap"):
        TileSpec(224, 0.5, 0.25, overlap)
