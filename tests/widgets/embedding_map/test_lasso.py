import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest

from napari_smse.widgets.embedding_map.lasso import lassoed
from napari_smse.widgets.embedding_map.scatter_plot import ScatterPlot

COORDINATES = st.integers(-20, 20)


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=12))
def test_a_line_takes_in_every_loop_it_makes(path):
    region = lassoed(np.array(path, dtype=float))
    assert region.is_valid
    hull = shapely.MultiPoint(path).convex_hull
    assert region.difference(hull.buffer(1e-6)).is_empty
    ring = shapely.Polygon(path)
    if ring.is_valid:
        assert region.equals(ring)


def test_both_halves_of_an_eight_are_taken_and_what_is_gone_round_twice():
    eight = lassoed(np.array([(0, 0), (2, 2), (2, 0), (0, 2)], dtype=float))
    assert eight.covers(shapely.MultiPoint([(0.3, 1), (1.7, 1)]))
    inner = [(1, 1), (3, 1), (3, 3), (1, 3)]
    twice = lassoed(np.array([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), *inner, (1, 1)], dtype=float))
    assert twice.area == pytest.approx(16)


@pytest.mark.parametrize("path", [[(0, 0)], [(0, 0), (1, 1)], [(0, 0), (1, 1), (2, 2)]])
def test_a_line_that_goes_round_nothing_takes_nothing(path):
    assert lassoed(np.array(path, dtype=float)).area == 0


@pytest.fixture
def plot(qtbot):
    made = ScatterPlot()
    made.resize(500, 400)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    made.show_points(grid.astype(np.float32))
    made.grab()
    return made


def on_widget(plot, x, y):
    return plot.mapFromScene(plot.box.mapViewToScene(QPointF(x, y)))


def drag(plot, path, button=Qt.MouseButton.LeftButton, keys=Qt.KeyboardModifier.NoModifier):
    port = plot.viewport()
    places = [on_widget(plot, *place) for place in path]
    QTest.mousePress(port, button, keys, places[0])
    for place in places[1:]:
        move(port, place, button, keys)
    QTest.mouseRelease(port, button, keys, places[-1])


def move(port, place, button, keys):
    """Move with a button held, which QTest cannot."""
    from qtpy.QtCore import QEvent
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    for step in (QPoint(1, 1), QPoint(0, 0)):
        at = QPointF(place + step)
        event = QMouseEvent(
            QEvent.Type.MouseMove, at, port.mapToGlobal(at), Qt.MouseButton.NoButton, button, keys
        )
        QApplication.sendEvent(port, event)
        # pyqtgraph passes over moves that come faster than 100 a second.
        QTest.qWait(15)


SQUARE = [(0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 2.5), (0.5, 0.7)]
CORNER = [(3.5, 3.5), (4.3, 3.5), (4.3, 4.3), (3.5, 4.3), (3.5, 3.7)]


@pytest.mark.gui
def test_dragging_chooses_and_with_shift_adds(plot, qtbot):
    with qtbot.waitSignal(plot.chosen):
        drag(plot, SQUARE)
    assert np.flatnonzero(plot.selection).tolist() == [6, 7, 11, 12]
    assert len(plot.box.outline.getData()[0]) == 0
    with qtbot.waitSignal(plot.chosen):
        drag(plot, CORNER, keys=Qt.KeyboardModifier.ShiftModifier)
    assert np.flatnonzero(plot.selection).tolist() == [6, 7, 11, 12, 24]
    with qtbot.waitSignal(plot.chosen):
        drag(plot, CORNER)
    assert np.flatnonzero(plot.selection).tolist() == [24]


@pytest.mark.gui
def test_the_right_button_moves_the_view_with_the_mouse(plot):
    before = plot.box.viewRect()
    drag(plot, [(1, 1), (1.5, 1.2), (2, 1.5)], button=Qt.MouseButton.RightButton)
    after = plot.box.viewRect()
    assert after.width() == pytest.approx(before.width())
    assert after.x() - before.x() == pytest.approx(-1, abs=0.05)
    assert after.y() - before.y() == pytest.approx(-0.5, abs=0.05)
    assert not plot.selection.any()


@pytest.mark.gui
def test_a_click_tells_which_point_it_hit_an_exemplar_first(plot, qtbot):
    with qtbot.waitSignal(plot.clicked) as told:
        QTest.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=on_widget(plot, 3, 2))
    assert told.args == [13, None]
    plot.show_exemplars(np.float32([[9, 9], [3, 2]]), np.uint8([[1, 2, 3], [4, 5, 6]]))
    # Two clicks in short order would be a double click.
    qtbot.wait(500)
    with qtbot.waitSignal(plot.clicked) as told:
        QTest.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=on_widget(plot, 3, 2))
    assert told.args == [None, 1]
    plot.exemplars.setVisible(False)
    with qtbot.waitSignal(plot.hovered) as told:
        plot._hover(plot.box.mapViewToScene(QPointF(3, 2)))
    assert told.args == [13, None]
