"""Buttons and notices; widgets side by side, below each other, and folded away."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush
from qtpy.QtWidgets import (
    QFrame,
    QGraphicsView,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_smse.palette import NOTICE_STYLE


def folded(title: str, content: QWidget) -> QCollapsible:
    """Return a widget under a title that unfolds it."""
    made = QCollapsible(title, expandedIcon="▼", collapsedIcon="▶")
    made.layout().setContentsMargins(0, 0, 0, 0)
    made.setContent(content)
    made.toggleButton().setToolTip("Click to show or hide.")
    # Only now: folding hides the content that is there.
    made.collapse(animate=False)
    return made


def push_button(text: str, tooltip: str) -> QPushButton:
    """Return a button that says what it does when the mouse rests on it."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    return made


def notice_label(colour: str) -> QLabel:
    """Return a hidden line of white words on this colour."""
    made = QLabel()
    made.setWordWrap(True)
    made.setStyleSheet(f"background: {colour}; {NOTICE_STYLE}")
    made.hide()
    return made


def let_theme_through(plot: QGraphicsView) -> None:
    """Show napari's own background behind a plot, also after another theme was chosen."""
    plot.setBackgroundBrush(QBrush(Qt.BrushStyle.NoBrush))
    plot.setStyleSheet("background: transparent; border: 0px;")


def hbox(*widgets: QWidget) -> QHBoxLayout:
    """Return a layout of these, from left to right."""
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def scroll_area(widgets: Sequence[QWidget]) -> QScrollArea:
    """Return widgets in a column that scrolls upright only; the last takes what height is left."""
    column = QWidget()
    layout = QVBoxLayout(column)
    for widget in widgets:
        layout.addWidget(widget, stretch=1 if widget is widgets[-1] else 0)
    # What the last cannot take, as it is folded up: else gaps open between all of them.
    layout.addStretch()
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(column)
    return area
