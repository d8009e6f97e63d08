"""Every setting of every dock is to be seen, and says what it does when the mouse rests on it."""

import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QWidget,
)

from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.controls.settings_form import SettingField
from napari_smse.widgets.embedding_map.dock import EmbeddingMapDock
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.finetune.dock import FineTuneDock
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.similar.dock import SimilarDock
from napari_smse.widgets.slides.dock import SlidesDock
from napari_smse.widgets.suggest.dock import SuggestDock

pytestmark = pytest.mark.gui

DOCKS = [
    AnnotateDock,
    EmbeddingMapDock,
    EvidenceDock,
    FineTuneDock,
    ScoreDock,
    SimilarDock,
    SlidesDock,
    SuggestDock,
]
CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
)
PARTS_OF = (QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QTabBar)


def is_control(widget: QWidget) -> bool:
    """Whether a person can use it, and it is not part of a control, nor what scrolls."""
    if not isinstance(widget, CONTROLS) or isinstance(widget, QScrollBar):
        return False
    parent = widget.parent()
    while parent is not None:
        if isinstance(parent, (*PARTS_OF, QScrollBar)):
            return False
        parent = parent.parent()
    return True


def explanation(control: QWidget) -> str:
    """Return its tooltip, or that of the compound control whose part it is."""
    parent = control.parentWidget()
    inside = parent is not None and type(parent).__module__.startswith("superqt")
    return control.toolTip() or (parent.toolTip() if inside else "")


@pytest.mark.parametrize("dock", DOCKS)
def test_every_control_has_a_tooltip(dock, viewer):
    made = dock(viewer)
    viewer.window.add_dock_widget(made)
    controls = [widget for widget in made.findChildren(QWidget) if is_control(widget)]
    assert len(controls) > 5
    silent = [
        f"{type(control).__name__} {getattr(control, 'text', str)()!r}"
        for control in controls
        if not explanation(control)
    ]
    made.close()
    assert not silent


@pytest.mark.parametrize("dock", DOCKS)
def test_every_setting_that_is_made_is_in_the_dock(dock, viewer, monkeypatch):
    fields = []
    made_before = SettingField.__init__

    def record(field, setting):
        made_before(field, setting)
        fields.append(field)

    monkeypatch.setattr(SettingField, "__init__", record)
    made = dock(viewer)
    viewer.window.add_dock_widget(made)
    hidden = [field for field in fields if not made.isAncestorOf(field.native)]
    made.close()
    assert bool(fields) is (dock not in (AnnotateDock, SlidesDock))
    assert not hidden
