"""Docks from the plugin menu are tabs of one place, and Tab goes through them as the eye does."""

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QScrollArea, QTabBar

from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.embedding_map.dock import EmbeddingMapDock
from napari_smse.widgets.finetune.dock import FineTuneDock

pytestmark = [pytest.mark.gui, pytest.mark.shown]

NAMES = {
    "SMSE: Score slide": "Score",
    "SMSE: Annotate": "Annotate",
    "SMSE: Fine-tune": "Tune",
    "SMSE: Evidence": "Evidence",
    "SMSE: Find similar": "Similar",
    "SMSE: Embedding map": "Map",
    "SMSE: Annotate next": "Next",
}


def test_docks_from_the_menu_are_tabs_with_short_titles(viewer, qtbot):
    frames = {}
    for name in NAMES:
        frames[name], _ = viewer.window.add_plugin_dock_widget("napari-smse", name)
        qtbot.wait(50)
    window = viewer.window._qt_window
    first = frames["SMSE: Score slide"]
    assert set(window.tabifiedDockWidgets(first)) == {*frames.values()} - {first}
    (bar,) = (
        bar
        for bar in window.findChildren(QTabBar)
        if "Annotate" in [bar.tabText(tab) for tab in range(bar.count())]
    )
    assert sorted(bar.tabText(tab) for tab in range(bar.count())) == sorted(NAMES.values())
    # The one that was opened last is in front.
    assert bar.tabText(bar.currentIndex()) == "Next"
    needed = sum(bar.fontMetrics().horizontalAdvance(title) for title in NAMES.values())
    assert needed < bar.width()
    for frame in frames.values():
        viewer.window.remove_dock_widget(frame)


def test_a_dock_that_was_dragged_elsewhere_stays_there(viewer, qtbot):
    score, _ = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Score slide")
    qtbot.wait(50)
    window = viewer.window._qt_window
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, score)
    tune, _ = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Fine-tune")
    qtbot.wait(50)
    assert not window.tabifiedDockWidgets(tune)
    score.setFloating(True)
    qtbot.wait(50)
    assert score.isFloating()
    for frame in (score, tune):
        viewer.window.remove_dock_widget(frame)


def test_what_a_script_places_is_left_where_it_is(viewer, qtbot):
    frames = [
        viewer.window.add_dock_widget(kind(viewer), name=kind.__name__)
        for kind in (AnnotateDock, FineTuneDock)
    ]
    qtbot.wait(50)
    assert not viewer.window._qt_window.tabifiedDockWidgets(frames[0])
    for frame in frames:
        viewer.window.remove_dock_widget(frame)


@pytest.mark.parametrize("kind", [AnnotateDock, FineTuneDock, EmbeddingMapDock])
def test_the_tab_key_goes_from_top_to_bottom(kind, viewer, slide_path, settle):
    viewer.open(slide_path, plugin="napari-smse")
    dock = kind(viewer)
    viewer.window.add_dock_widget(dock, name=kind.__name__)
    settle()
    stops, widget = [], dock.nextInFocusChain()
    while widget is not dock and dock.isAncestorOf(widget):
        stops_here = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisibleTo(dock)
        # The scrolled column is around all of them.
        if stops_here and not isinstance(widget, QScrollArea):
            stops.append(widget)
        widget = widget.nextInFocusChain()
    assert len(stops) > 5
    tops = [one.mapTo(dock, QPoint()).y() for one in stops]
    # Of what stands side by side, one may be a little higher.
    backwards = [
        (stops[i], stops[i + 1]) for i in range(len(tops) - 1) if tops[i + 1] < tops[i] - 20
    ]
    dock.close()
    assert not backwards
