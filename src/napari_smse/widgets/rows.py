"""Widgets side by side."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QWidget


def row_of(*widgets: QWidget) -> QHBoxLayout:
    """Return a layout of these, from left to right."""
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    return layout
