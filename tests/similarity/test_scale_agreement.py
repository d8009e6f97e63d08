import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import QueryError
from napari_smse.similarity.scale_agreement import scale_agreement
from support.exemplar_banks import made_scale, made_tiles

FINE = made_scale(0.5, [0, 1, 2, 4], [0, 0, 0, 0])
COARSE = made_scale(1.0, [0, 1, 3], [0, 0, 0])


def found(fine, coarse):
    tiles = made_tiles((FINE, COARSE), [[1 - p, p] for p in (*fine, *coarse)])
    return scale_agreement(tiles)


def test_agreement_lies_on_the_finest_grid():
    agreement = found((0.9, 0.2, 0.6, 0.7), (0.7, 0.1, 0.5))
    assert agreement.agree.cell == 64
    # The first coarse tile covers two fine ones, the second the third and a place never scored.
    np.testing.assert_array_equal(agreement.agree.values[0, :4], [1, 0, 0, np.nan])
    np.testing.assert_array_equal(agreement.decided.values[0, :4], [0, 0, 1, np.nan])
    np.testing.assert_array_equal(agreement.called.values[0, :4], [1, 0, 0, np.nan])
    assert np.isnan(agreement.agree.values[0, 4:]).all()
    assert agreement.share == pytest.approx(1 / 3)
    assert agreement.decided_share(0) == pytest.approx(2 / 3)
    assert agreement.decided_share(1) == pytest.approx(1 / 3)


def test_of_scales_as_sure_the_finest_decides():
    agreement = found((0.75, 0.25, 0.5, 0.5), (0.25, 0.75, 0.5))
    np.testing.assert_array_equal(agreement.decided.values[0, :2], [0, 0])
    np.testing.assert_array_equal(agreement.agree.values[0, :2], [0, 1])


def test_one_scale_has_nothing_to_agree_with():
    with pytest.raises(QueryError, match="two or more"):
        scale_agreement(made_tiles((FINE,), np.full((4, 2), 0.5)))
    none = made_scale(1.0, [], [])
    with pytest.raises(QueryError):
        scale_agreement(made_tiles((FINE, none), np.full((4, 2), 0.5)))


def test_scales_that_never_meet_share_nothing():
    apart = made_tiles(
        (made_scale(0.5, [9], [9]), made_scale(1.0, [0], [0])), [[0.1, 0.9], [0.9, 0.1]]
    )
    assert np.isnan(scale_agreement(apart).share)
    assert np.isnan(scale_agreement(apart).decided_share(0))


@given(values=st.lists(st.floats(0.01, 0.99), min_size=7, max_size=7))
def test_each_place_is_as_a_slow_loop_says(values):
    tiles = made_tiles((FINE, COARSE), [[1 - p, p] for p in values])
    agreement = scale_agreement(tiles)
    for column in range(agreement.agree.values.shape[1]):
        rows = tiles.at(column * 64 + 32, 32)
        agree, decided = agreement.agree.values[0, column], agreement.decided.values[0, column]
        if len(rows) < 2:
            assert np.isnan(agree)
            assert np.isnan(decided)
            continue
        said = tiles.probability[rows]
        assert agree == (said.argmax(axis=1) == said[0].argmax()).all()
        assert said.max(axis=1)[int(decided)] == pytest.approx(said.max(), abs=1e-6)
