import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QPointF

from napari_smse.widgets.embedding_map.point_cloud import turns_seen
from napari_smse.widgets.embedding_map.scatter_plot import ScatterPlot

VIEW, SIZE = (-1.0, -2.0, 1.0, 2.0), (80, 60)


def pixel_of(x, y):
    """Column and line of a point, by the plainest way."""
    return int((x + 1) / 2 * SIZE[0]), int((2 - y) / 4 * SIZE[1])


@given(st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(-2.5, 2.5)), max_size=30))
def test_what_is_seen_at_a_points_pixel_is_it_or_a_later_one_that_is_near(places):
    points = np.array(places, dtype=np.float32).reshape(-1, 2)
    numbers = turns_seen(points, VIEW, SIZE)
    assert numbers.shape == SIZE[::-1]
    for row, (x, y) in enumerate(points.astype(np.float64)):
        if not (-1 <= x < 1 and -2 < y <= 2):
            assert not (numbers == row + 1).any()
            continue
        column, line = pixel_of(x, y)
        seen = numbers[min(line, SIZE[1] - 1), min(column, SIZE[0] - 1)] - 1
        assert seen >= row
        off = np.subtract(pixel_of(*points[seen].astype(np.float64)), (column, line))
        assert np.abs(off).max() <= 4


@pytest.mark.parametrize("number", [1, 3_000, 30_000])
def test_points_are_the_smaller_the_more_are_seen(number):
    # All in one place, which is as large as a point.
    points = np.zeros((number, 2), np.float32)
    numbers = turns_seen(points, VIEW, SIZE)
    assert np.count_nonzero(numbers) == {1: 37, 3_000: 21, 30_000: 5}[number]


@pytest.fixture
def plot(qtbot):
    made = ScatterPlot()
    made.resize(500, 400)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def spread(seed=0, number=40):
    return np.random.default_rng(seed).uniform(-3, 3, (number, 2)).astype(np.float32)


def colour_at(plot, x, y):
    at = plot.mapFromScene(plot.box.mapViewToScene(QPointF(x, y)))
    return plot.grab().toImage().pixelColor(at).getRgb()[:3]


@pytest.mark.gui
def test_points_are_drawn_in_their_colours_where_they_are(plot):
    points = np.float32([[0, 0], [1, 1], [2, 0]])
    plot.show_points(points)
    plot.set_colours(np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255]]))
    for point, colour in zip(points, [(255, 0, 0), (0, 255, 0), (0, 0, 255)], strict=True):
        assert colour_at(plot, *map(float, point)) == colour
    plot.box.translateBy(x=0.3, y=-0.2)
    assert colour_at(plot, 1, 1) == (0, 255, 0)
    plot.select(np.array([False, False, True]))
    assert max(colour_at(plot, 1, 1)) < 128
    assert colour_at(plot, 2, 0) == (0, 0, 255)


@pytest.mark.gui
def test_the_point_under_the_mouse_is_known_after_zooming_too(plot):
    points = spread()
    plot.show_points(points)
    for _ in range(2):
        plot.grab()
        for row, point in enumerate(points):
            assert plot.cloud.row_at(QPointF(*map(float, point))) is not None, row
        assert plot.cloud.row_at(QPointF(50, 50)) is None
        plot.box.scaleBy((0.5, 0.5))
        points = points[np.abs(points).max(axis=1) < 1]
    assert len(points)
    alone = np.float32([[0, 0], [1, 0]])
    plot.show_points(alone)
    plot.grab()
    assert [plot.cloud.row_at(QPointF(x, 0)) for x in (0.0, 1.0, 0.5)] == [0, 1, None]


@pytest.mark.gui
def test_chosen_points_are_bright_and_in_front(plot):
    # All in one place: chance decides which is seen until one is chosen.
    plot.show_points(np.zeros((50, 2), np.float32))
    plot.set_colours(np.full((50, 3), 200, np.uint8))
    chosen = np.arange(50) == 17
    plot.select(chosen)
    plot.grab()
    assert plot.cloud.row_at(QPointF(0, 0)) == 17
    assert colour_at(plot, 0, 0) == (200, 200, 200)
    plot.select(np.zeros(50, bool))
    plot.select(np.arange(50) == 3)
    plot.grab()
    assert plot.cloud.row_at(QPointF(0, 0)) == 3


@pytest.mark.gui
def test_an_empty_plot_draws_and_answers(plot):
    plot.show_points(np.empty((0, 2), np.float32))
    plot.set_colours(np.empty((0, 3), np.uint8))
    plot.grab()
    assert plot.cloud.row_at(QPointF(0, 0)) is None
