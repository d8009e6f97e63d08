"""The dock *SMSE: Annotate*: regions with classes, counted, never lost."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import napari
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_smse.errors import SmseError
from napari_smse.exchange import AnnotationSet, class_colours, read_annotations, write_annotations
from napari_smse.exchange.colours import Colour
from napari_smse.slides import Slide
from napari_smse.widgets.annotation_autosave import Autosave
from napari_smse.widgets.annotation_layer import AnnotationLayer
from napari_smse.widgets.annotation_tally import AnnotationTally
from napari_smse.widgets.class_keys import bind_class_keys, unbind_class_keys
from napari_smse.widgets.class_memory import last_classes, remember_classes
from napari_smse.widgets.class_table import ClassTable
from napari_smse.widgets.recovery_bar import RecoveryBar
from napari_smse.widgets.score_job import RUN_KEY
from napari_smse.widgets.slide_layers import slide_layers, slide_of

_FIRST_CLASSES = ("benign", "malignant")
_MODES = {
    "Rectangle": "add_rectangle",
    "Polygon": "add_polygon",
    "Freehand": "add_polygon_lasso",
    "Ellipse": "add_ellipse",
    "Select": "select",
}
_HINT = (
    "Keys 1 to 9 give the selected shapes a class, or else the next ones. Draw at least two "
    "regions of each class, on several slides if you can."
)
_SOON_MS = 400
_FILES = "GeoJSON (*.geojson *.json)"


class AnnotateDock(QWidget):
    """Draw regions, say what they are, and see how many tiles that makes.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.slide: Slide | None = None
        self.drawing: AnnotationLayer | None = None
        self._autosave: Autosave | None = None
        self._met: set[str] = set()
        self._dirty = self._left = False
        self._make_widgets()
        self.tally = AnnotationTally(self.table, self)
        # See the score dock: collected together with the dock, the event would be half gone.
        self.destroyed.connect(weakref.finalize(self, _set_all, (self.tally.task.closing,)))
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._connect()
        self._show_last_classes()
        self._find_slides()

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.slides = QComboBox()
        self.facts = QLabel("Open a slide first: File > Open.")
        self.recovery = RecoveryBar()
        self.table = ClassTable()
        self.table.setMinimumHeight(140)
        self.table.setMaximumHeight(300)
        self.add = QPushButton("Add class")
        self.colour = QPushButton("Colour …")
        self.remove = QPushButton("Remove class")
        self.modes = {name: QPushButton(name) for name in _MODES}
        self.undo = QPushButton("Undo")
        self.load = QPushButton("Import …")
        self.save = QPushButton("Save for QuPath …")
        self.note = QLabel()
        hint = QLabel(_HINT)
        layout = QVBoxLayout(self)
        for widget in (self.slides, self.facts, self.recovery, self.table):
            layout.addWidget(widget)
        layout.addLayout(_row(self.add, self.colour, self.remove))
        layout.addLayout(_row(*self.modes.values()))
        layout.addLayout(_row(self.undo, self.load, self.save))
        layout.addWidget(self.note)
        layout.addWidget(hint)
        layout.addStretch()
        for label in (self.facts, self.note, hint):
            label.setWordWrap(True)
        self.setMinimumWidth(400)

    def _connect(self) -> None:
        self.slides.currentIndexChanged.connect(self._choose_slide)
        self.table.chosen.connect(self._choose_class)
        self.table.renamed.connect(self._rename_class)
        self.table.recoloured.connect(self._recolour)
        self.table.refused.connect(show_error)
        self.add.clicked.connect(self._add_class)
        self.colour.clicked.connect(self.table.ask_colour)
        self.remove.clicked.connect(self._remove_class)
        for name, button in self.modes.items():
            button.clicked.connect(partial(self._draw, _MODES[name]))
        self.undo.clicked.connect(self._undo)
        self.load.clicked.connect(self._ask_what_to_import)
        self.save.clicked.connect(self._ask_where_to_save)
        self.recovery.wanted.connect(self._recover)
        self.recovery.unwanted.connect(self._discard)
        self._soon.timeout.connect(self._keep_up)
        self.tally.said.connect(self.note.setText)
        self.viewer.layers.events.inserted.connect(self._find_slides)
        self.viewer.layers.events.removed.connect(self._find_slides)
        bind_class_keys(self.viewer, self.table.choose)

    # -- slide -----------------------------------------------------------------------

    def _find_slides(self, _event: object = None) -> None:
        layers = list(slide_layers(self.viewer))
        known = [self.slides.itemData(i) for i in range(self.slides.count())]
        if layers == known:
            self._take_models_colours()
            return
        current = self.slides.currentData()
        self.slides.blockSignals(True)
        self.slides.clear()
        for layer in layers:
            self.slides.addItem(layer.name, layer)
        self.slides.setCurrentIndex(layers.index(current) if current in layers else 0)
        self.slides.blockSignals(False)
        if self.slides.currentData() is not current or current is None:
            self._choose_slide()

    def _choose_slide(self, _index: int = 0) -> None:
        self._let_go()
        layer = self.slides.currentData()
        if not isinstance(layer, Image):
            self.facts.setText("Open a slide first: File > Open.")
            return
        try:
            slide = slide_of(layer)
            facts = f"{slide.width:,} x {slide.height:,} px, {slide.mpp:.4g} um/px"
        except SmseError as error:
            self.facts.setText(str(error))
            return
        self.slide = slide
        self.facts.setText(facts)
        self._autosave = Autosave(slide)
        self._offer_recovery()
        self._bring_classes(slide, self._autosave)
        self._layer_of(layer, slide)

    def _layer_of(self, layer: Image, slide: Slide) -> None:
        self.drawing = AnnotationLayer(self.viewer, layer, slide, self.table.colours)
        for name in self.drawing.annotations().classes:
            self.table.add_class(name)
        self.table.choose(0)
        self.drawing.set_colours(self.table.colours)
        # Before the Shapes layer's own keys, some of which are digits.
        bind_class_keys(self.drawing.layer, self.table.choose)
        self.drawing.changed.connect(self._change)
        self._count()

    def _let_go(self) -> None:
        if self.drawing is not None:
            self._keep_up()
            self.drawing.leave()
        self.slide = self.drawing = self._autosave = None
        self._dirty = False
        self.recovery.hide()
        self.tally.stop()

    # -- classes ---------------------------------------------------------------------

    def _show_last_classes(self) -> None:
        usual = class_colours(_FIRST_CLASSES)
        last = last_classes(self.viewer) or usual
        self.table.show_classes(last, chosen=last != usual)

    def _bring_classes(self, slide: Slide, saved: Autosave) -> None:
        """Bring the classes back that the slide was annotated with, also those without a region."""
        met = slide.quick_hash in self._met
        self._met.add(slide.quick_hash)
        # Later on, a class that is missing was removed. What a crash left is asked for first.
        if not met and saved.left_behind is None:
            self._go_on_with(saved.classes)

    def _go_on_with(self, colours: Mapping[str, Colour], used: Iterable[str] = ()) -> None:
        """Take a slide's own classes: in place of the usual ones, or beside those in use."""
        if colours and list(self.table.colours) == list(_FIRST_CLASSES):
            self.table.show_classes(colours, chosen=True)
        for name in dict.fromkeys([*colours, *used]):
            self.table.add_class(name, colours.get(name))

    def _take_models_colours(self) -> None:
        """Show classes as in the heat maps, but for those whose colour was chosen here."""
        layer = self.slides.currentData()
        run = layer.metadata.get(RUN_KEY) if isinstance(layer, Image) else None
        differs = run is not None and self.table.suggest_colours(run.card.class_colours)
        if differs and self.drawing is not None:
            self.drawing.set_colours(self.table.colours)

    def _choose_class(self, name: str) -> None:
        if self.drawing is not None:
            self.drawing.choose_class(name)

    def _add_class(self) -> None:
        self.table.add_class()
        self._recolour()

    def _remove_class(self) -> None:
        name = self.table.current
        used = Counter(one.class_name for one in self._drawn().annotations)
        if used[name]:
            show_error(
                f"{used[name]} regions are of class {name}: give them another class, or remove "
                "them, first."
            )
            return
        self.table.remove_current()
        self._recolour()

    def _rename_class(self, old: str, new: str) -> None:
        if self.drawing is not None:
            self.drawing.set_colours(self.table.colours)
            self.drawing.rename_class(old, new)

    def _recolour(self) -> None:
        if self.drawing is not None:
            self.drawing.set_colours(self.table.colours)
            self.drawing.choose_class(self.table.current)
            self._change()

    # -- drawing ---------------------------------------------------------------------

    def _draw(self, mode: str) -> None:
        if self.drawing is None:
            show_error("Open a slide first: File > Open.")
        else:
            self.drawing.draw(mode)

    def _undo(self) -> None:
        if self.drawing is not None and not self.drawing.undo():
            show_info("Nothing to take back.")

    def _change(self) -> None:
        self._dirty = True
        self._count()
        self._soon.start()

    def _keep_up(self) -> None:
        """Save, so that a crash loses nothing."""
        self._soon.stop()
        if self.drawing is None or self._autosave is None or not self._dirty:
            return
        try:
            self._autosave.save(self.drawing.annotations())
        except SmseError as error:
            show_error(str(error))

    def _drawn(self) -> AnnotationSet:
        return AnnotationSet() if self.drawing is None else self.drawing.annotations()

    def _count(self) -> None:
        if self.slide is not None and self.drawing is not None:
            self._take_models_colours()
            self.tally.count(self.slide, self._drawn(), self.drawing.left_out)

    # -- files -----------------------------------------------------------------------

    def _offer_recovery(self) -> None:
        saved = self._autosave
        if saved is None or saved.left_behind is None:
            return
        when = f" of {saved.when:%d %b %Y, %H:%M}" if saved.when else ""
        number = len(saved.left_behind.annotations)
        self.recovery.ask(f"{number} regions{when} were not saved to a file.")

    def _recover(self) -> None:
        if self._autosave is None or self.drawing is None:
            return
        left = self._autosave.left_behind
        if left is not None:
            self._go_on_with(left.colours, [one.class_name for one in self._drawn().annotations])
            self._take_in(left)
        self._autosave.decided(self._drawn())

    def _discard(self) -> None:
        if self._autosave is not None:
            self._autosave.decided(self._drawn())

    def _ask_what_to_import(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Import annotations", "", _FILES)
        if chosen:
            self.import_from(Path(chosen))

    def import_from(self, path: Path) -> None:
        """Add the annotations in a file to what is drawn."""
        if self.slide is None:
            show_error("Open a slide first: File > Open.")
            return
        try:
            found = read_annotations(path, bounds_origin=(self.slide.bounds.x, self.slide.bounds.y))
        except SmseError as error:
            show_error(str(error))
            return
        self._take_in(found)
        show_info(f"{len(found.annotations)} regions imported from {path.name}.")

    def _take_in(self, found: AnnotationSet) -> None:
        assert self.drawing is not None
        for name in found.classes:
            self.table.add_class(name, found.colours.get(name))
        for row, name in enumerate(self.table.colours):
            if name in found.colours:
                self.table.set_colour(row, found.colours[name])
        self.drawing.set_colours(self.table.colours)
        self.drawing.add(found)
        self.table.choose(0)

    def _ask_where_to_save(self) -> None:
        if self.slide is None:
            show_error("Open a slide first: File > Open.")
            return
        usual = str(self.slide.path.with_suffix(".geojson"))
        chosen, _ = QFileDialog.getSaveFileName(self, "Save annotations", usual, _FILES)
        if chosen:
            self.save_to(Path(chosen))

    def save_to(self, path: Path) -> None:
        """Write what is drawn as QuPath reads it."""
        if self.slide is None:
            return
        origin = (self.slide.bounds.x, self.slide.bounds.y)
        try:
            write_annotations(path, self._drawn(), bounds_origin=origin)
        except SmseError as error:
            show_error(str(error))
            return
        self._dirty = False
        if self._autosave is not None and self._autosave.left_behind is None:
            self._autosave.forget(self.table.colours)
        show_info(f"Saved to {path}.")

    # -- leaving ---------------------------------------------------------------------

    def leave(self) -> None:
        """Let go of the viewer; the annotations stay, in it and on disk."""
        if self._left:
            return
        self._left = True
        remember_classes(self.viewer, self.table.colours)
        self._let_go()
        self.viewer.layers.events.inserted.disconnect(self._find_slides)
        self.viewer.layers.events.removed.disconnect(self._find_slides)
        unbind_class_keys(self.viewer)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Leave when the window closes."""
        self.leave()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """Leave when napari takes the dock out of its window, which it does without closing it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.leave()
        super().changeEvent(event)


def _row(*widgets: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def _set_all(events: Sequence[threading.Event]) -> None:
    for event in events:
        event.set()
