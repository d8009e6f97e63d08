"""Which scales an image can be learnt from at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.datasets.scale_range import MPP_LIMITS, enlargement, is_tiny, supported_range
from napari_smse.errors import DataError

FRAME = (700, 460)


@pytest.mark.parametrize(
    ("size", "mpp", "detail", "expected"),
    [
        (FRAME, 0.492, None, (0.45, 0.6)),
        (FRAME, 0.197, None, (0.2, 0.6)),
        (FRAME, 0.098, None, (0.2, 0.4)),
        (FRAME, 0.049, None, (0.2, 0.25)),
        ((700, 456), 0.197, None, (0.2, 0.6)),
        ((341, 224), 0.201, 0.306, (0.31, 0.4)),
        ((224, 224), 1.1, None, (0.48, 0.6)),
        ((224, 224), 1.5, None, (0.6, 0.6)),
        ((2000, 2000), 0.25, None, (0.23, 0.6)),
    ],
    ids=["40X", "100X", "200X", "400X", "short", "copy", "coarse", "coarsest", "scan"],
)
def test_known_images(
    size: tuple[int, int], mpp: float, detail: float | None, expected: tuple[float, float]
) -> None:
    assert supported_range(size, mpp, detail) == pytest.approx(expected)


def test_an_image_too_coarse_is_refused() -> None:
    with pytest.raises(DataError, match="too coarse"):
        supported_range((500, 500), 1.51)
    with pytest.raises(DataError, match="too coarse"):
        supported_range((500, 500), 0.5, detail=1.6)


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.floats(0.02, 10),
    st.none() | st.floats(0.02, 10),
    st.tuples(st.floats(0.05, 2), st.floats(1, 8)).map(lambda t: (t[0], t[0] * t[1])),
)
def test_a_range_rises_within_the_limits_and_invents_little(
    size: tuple[int, int], mpp: float, detail: float | None, limits: tuple[float, float]
) -> None:
    real = max(mpp, detail or 0)
    try:
        low, high = supported_range(size, mpp, detail, limits)
    except DataError:
        assert real > 2.5 * limits[1]
        return
    assert limits[0] <= low <= high <= limits[1]
    # Ranges are rounded to 0.01 um/px.
    assert real / (low + 0.0051) <= 2.5 + 1e-9
    if real <= limits[1] / 1.25:
        assert real / (low + 0.0051) <= 1.1 + 1e-9


@given(st.floats(0.02, 1.5), st.integers(1, 2000))
def test_no_image_is_tied_to_one_scale_if_it_need_not_be(mpp: float, side: int) -> None:
    low, high = supported_range((side, side), mpp)
    if mpp <= 1.2:
        assert high / low >= 1.2 or high == MPP_LIMITS[1]


def test_enlargement_counts_from_the_real_detail() -> None:
    assert enlargement(1.2, None, (0.5, 0.6)) == pytest.approx(2.4)
    assert enlargement(0.2, 0.6, (0.4, 0.6)) == pytest.approx(1.5)
    assert enlargement(0.1, None, (0.2, 0.6)) == pytest.approx(0.5)


def test_a_tiny_image_leaves_most_of_a_tile_empty() -> None:
    assert is_tiny((50, 500), 0.2, (0.2, 0.25))
    assert not is_tiny((60, 500), 0.2, (0.2, 0.25))
