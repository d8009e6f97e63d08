"""Brush, eraser and subtract: buttons, and the tools they switch on."""

from __future__ import annotations

from functools import partial

import napari
from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_smse.widgets.annotate.toolbar import FREEHAND
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.layers.annotation_editor import AnnotationEditor
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
from napari_smse.widgets.layers.brush import BRUSH_UM, Brush

_WIDTHS = 5, 5000
_STEP_UM = 10
_NOTHING_MET = (
    "No region of {name} lies there: choose the class to take away from, or tick All classes."
)
_NOTHING_AT_ALL = "No region lies there."


class EditTools(QWidget):
    """Changes regions that are drawn already, with a round brush or by cutting a shape out.

    Parameters
    ----------
    viewer
        Whose canvas is painted on.
    """

    no_slide = Signal()
    """A tool was asked for, but there is no slide to draw on."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._drawing: AnnotationLayer | None = None
        self._editor: AnnotationEditor | None = None
        self._tool: Brush | None = None
        self.brush = _toggle(
            "Brush",
            "Paint regions of the chosen class by dragging; hold Alt to erase, Space to move the "
            "view.",
        )
        self.eraser = _toggle("Eraser", "Erase from regions of the chosen class by dragging.")
        self.subtract = _toggle(
            "Subtract", "Cut the next shape you draw out of regions of the chosen class."
        )
        self.width_um = QSpinBox()
        self.width_um.setRange(*_WIDTHS)
        self.width_um.setSingleStep(_STEP_UM)
        self.width_um.setSuffix(" µm")
        self.width_um.setToolTip("How wide brush and eraser are.")
        self.width_um.setValue(BRUSH_UM)
        self.every_class = QCheckBox("All classes")
        self.every_class.setToolTip(
            "Erase and subtract from regions of every class, not only the chosen one."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            hbox(self.brush, self.eraser, self.subtract, self.width_um, self.every_class)
        )
        self.brush.toggled.connect(partial(self._switch_brush, self.brush))
        self.eraser.toggled.connect(partial(self._switch_brush, self.eraser))
        self.subtract.toggled.connect(self._switch_subtract)
        self.width_um.valueChanged.connect(self._set_width)
        self.every_class.toggled.connect(self._set_every_class)

    def follow(self, drawing: AnnotationLayer, slide_layer: Image) -> None:
        """Change what is drawn on this slide from now on."""
        self.release()
        self._drawing = drawing
        self._editor = AnnotationEditor(drawing, self)
        self._tool = Brush(self._viewer, drawing, self._editor, slide_layer, self)
        self._tool.switched_off.connect(self._untick)
        self._tool.missed.connect(self._explain_miss)
        self._editor.was_cut.connect(self._show_cut)
        self._set_width(self.width_um.value())
        self._set_every_class(self.every_class.isChecked())

    def release(self) -> None:
        """Let go of the mouse, and change nothing any more."""
        for button in (self.brush, self.eraser, self.subtract):
            button.setChecked(False)
        for one in (self._tool, self._editor):
            if one is not None:
                one.deleteLater()
        self._drawing = self._editor = self._tool = None

    def _switch_brush(self, pressed: QPushButton, on: bool) -> None:
        other = self.eraser if pressed is self.brush else self.brush
        if self._tool is None:
            self._refuse(pressed, on)
        elif on:
            _set_quietly(other, False)
            self.subtract.setChecked(False)
            self._tool.switch_on(erases=pressed is self.eraser)
        elif not other.isChecked():
            self._tool.switch_off()

    def _switch_subtract(self, on: bool) -> None:
        if self._editor is None or self._drawing is None:
            self._refuse(self.subtract, on)
            return
        self._editor.cut_next(on)
        if on and not self._drawing.layer.mode.startswith("add_"):
            self._drawing.draw(FREEHAND)

    def _refuse(self, pressed: QPushButton, on: bool) -> None:
        if on:
            _set_quietly(pressed, False)
            self.no_slide.emit()

    def _untick(self) -> None:
        for button in (self.brush, self.eraser):
            _set_quietly(button, False)

    def _show_cut(self, met: bool) -> None:
        _set_quietly(self.subtract, False)
        if not met:
            self._explain_miss()

    def _explain_miss(self) -> None:
        if self._drawing is None:
            return
        every = self.every_class.isChecked()
        show_info(_NOTHING_AT_ALL if every else _NOTHING_MET.format(name=self._drawing.class_name))

    def _set_width(self, um: int) -> None:
        if self._tool is not None:
            self._tool.set_width(um)

    def _set_every_class(self, every: bool) -> None:
        if self._editor is not None:
            self._editor.every_class = every


def _toggle(text: str, tooltip: str) -> QPushButton:
    made = push_button(text, tooltip)
    made.setCheckable(True)
    return made


def _set_quietly(button: QPushButton, checked: bool) -> None:
    with QSignalBlocker(button):
        button.setChecked(checked)
