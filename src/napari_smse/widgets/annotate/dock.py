"""The dock *SMSE: Annotate*: regions with classes, counted, never lost."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import napari
from app_model.types import KeyBinding, KeyCode, KeyMod
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_smse.annotations import AnnotationSet
from napari_smse.errors import SmseError
from napari_smse.palette import Colour
from napari_smse.reader import SLIDE_KEY
from napari_smse.slides import Slide
from napari_smse.widgets.annotate.annotation_counts import AnnotationCountsLabel
from napari_smse.widgets.annotate.annotation_files import NO_SLIDE, AnnotationFiles
from napari_smse.widgets.annotate.annotations_beside import AnnotationsBeside
from napari_smse.widgets.annotate.class_presets import ClassPresets
from napari_smse.widgets.annotate.class_table import ClassTable
from napari_smse.widgets.annotate.edit_tools import EditTools
from napari_smse.widgets.annotate.pair_constraints_panel import PairConstraintsPanel
from napari_smse.widgets.annotate.toolbar import DrawButtons, beside_bar, recovery_bar
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.controls.layout import folded, hbox, push_button, scroll_area
from napari_smse.widgets.controls.slide_combo import SlideCombo
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.key_bindings import (
    Action,
    KeyBindings,
    bind_class_keys,
    unbind_class_keys,
)
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer, follow_scale
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_of

_HINT = (
    "Keys 1 to 9 give the selected shapes a class, or else the next ones; 0 is Ignore*, for what "
    "is to be left out. Draw at least two regions of each class, on several slides if you can."
)


_UNDO_KEY = KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.KeyZ)
_REDO_KEYS = (
    KeyBinding.from_int(KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ),
    KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.KeyY),
)


class AnnotateDock(SlideDock):
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
        self._layer: Image | None = None
        self._keys = KeyBindings()
        self._make_widgets()
        self.tally = AnnotationCountsLabel(self.table, self)
        self.beside = AnnotationsBeside(self.beside_bar, self)
        self.cancel_on_destroy((self.tally.task, self.links.pictures.task, self.beside.reading))
        self.lists = ClassPresets(self.table, napari_viewer)
        self.files = AnnotationFiles(self.table, self.lists, self.recovery, self)
        self._connect()
        self._session.annotator = self
        for changed in (self.table.renamed, self.table.recoloured, self.table.itemChanged):
            changed.connect(self._announce_classes)
        self._find_slides()

    @property
    def classes(self) -> dict[str, Colour]:
        """The classes to draw with, in order, and their colours."""
        return self.table.colours

    def add_class(self, name: str, colour: Colour | None = None) -> None:
        """Add a class to them, unless it is there; of this colour, or of one that is free."""
        self.table.add_class(name, colour)
        self._announce_classes()

    def show_classes(self, colours: dict[str, Colour]) -> None:
        """Show classes in place of the usual ones, or beside those that somebody made."""
        self._select_nothing()
        self.lists.go_on_with(colours, [one.class_name for one in self._drawn().annotations])
        self._recolour()
        self._announce_classes()

    def _announce_classes(self, *_: object) -> None:
        self._session.classes_changed.emit()

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self._session = session_of(self.viewer)
        self.slides = SlideCombo(self._session)
        self.facts = QLabel(NO_SLIDE)
        self.recovery, self.beside_bar = recovery_bar(), beside_bar()
        self.table = ClassTable()
        self.add = push_button("Add class", "Add a class and draw it next.")
        self.colour = push_button("Colour …", "Choose the colour of the chosen class.")
        self.remove = push_button("Remove class", "Remove the chosen class and its regions.")
        self.drawing_modes = DrawButtons()
        self.modes = self.drawing_modes.buttons
        self.editing = EditTools(self.viewer)
        self.undo = push_button("Undo", "Take the last change back: Ctrl+Z on the slide.")
        self.redo = push_button(
            "Redo", "Do again what was taken back: Ctrl+Shift+Z or Ctrl+Y on the slide."
        )
        self.load = push_button("Import …", "Read regions from a GeoJSON file, as from QuPath.")
        self.save = push_button(
            "Save for QuPath …",
            "Write the regions as GeoJSON, for QuPath and the shell.",
        )
        self.note = QLabel()
        self.links = PairConstraintsPanel(self.viewer)
        hint = QLabel(_HINT)
        column, outer = QWidget(), QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        # In a small window it scrolls: napari's window would grow beyond the screen.
        outer.addWidget(scroll_area([column]))
        layout = QVBoxLayout(column)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.slides, self.facts, self.recovery, self.beside_bar, self.table):
            layout.addWidget(widget)
        layout.addLayout(hbox(self.add, self.colour, self.remove))
        layout.addWidget(self.drawing_modes)
        layout.addWidget(self.editing)
        layout.addLayout(hbox(self.undo, self.redo, self.load, self.save))
        layout.addWidget(self.note)
        layout.addWidget(hint)
        layout.addWidget(folded("Must-link / Cannot-link", self.links))
        layout.addStretch()
        for label in (self.facts, self.note, hint):
            label.setWordWrap(True)
        self.setMinimumWidth(400)

    def _connect(self) -> None:
        self.slides.chosen.connect(self._choose_slide)
        self.table.chosen.connect(self._choose_class)
        self.table.renamed.connect(self._rename_class)
        self.table.recoloured.connect(self._recolour)
        self.table.refused.connect(show_error)
        self.add.clicked.connect(self._add_class)
        self.colour.clicked.connect(self.table.ask_colour)
        self.remove.clicked.connect(self._remove_class)
        self.drawing_modes.wanted.connect(self._draw)
        self.editing.no_slide.connect(partial(show_error, NO_SLIDE))
        self.undo.clicked.connect(self._undo)
        self.redo.clicked.connect(self._redo)
        self.load.clicked.connect(self.files.ask_what_to_import)
        self.save.clicked.connect(self.files.ask_where_to_save)
        self.files.problem.connect(show_error)
        self.files.decided.connect(self.beside.go_on)
        self.beside.wanted.connect(self.files.add)
        self.tally.described.connect(self.note.setText)
        self.links.problem.connect(show_error)
        self.viewer.layers.events.inserted.connect(self._find_slides)
        self.viewer.layers.events.removed.connect(self._find_slides)
        bind_class_keys(self.viewer, self.table.choose_key)

    # -- slide -----------------------------------------------------------------------

    def _find_slides(self, _event: object = None) -> None:
        self.slides.show_slides(self.viewer)

    def _choose_slide(self) -> None:
        self._let_go()
        layer = self.slides.layer
        if layer is None:
            self.facts.setText(NO_SLIDE)
            return
        try:
            slide = slide_of(layer)
            facts = f"{slide.width:,} x {slide.height:,} px, {slide.mpp:.4g} µm/px"
        except SmseError as error:
            self.facts.setText(str(error))
            return
        self.slide = slide
        self.facts.setText(facts)
        autosave = Autosave(slide)
        self.lists.bring(slide, autosave)
        drawing = self._layer_of(layer, slide)
        self.files.follow_slide(slide, drawing, autosave)
        self.beside.look(drawing, waits=self.recovery.is_asking)

    def _layer_of(self, layer: Image, slide: Slide) -> AnnotationLayer:
        self.drawing = AnnotationLayer(self.viewer, layer, slide, self.table.colours)
        self._select_nothing()
        for name in self.drawing.annotations().classes:
            self.table.add_class(name)
        self.table.choose(0)
        self.drawing.set_colours(self.table.colours)
        # Before these layers' own keys, some of which are digits.
        for owner in (self.drawing.layer, layer):
            bind_class_keys(owner, self.table.choose_key)
            self._keys.take(owner, self._step_keys())
        self.editing.follow(self.drawing, layer)
        self.drawing.changed.connect(self._change)
        self._layer = layer
        layer.events.scale.connect(self._take_other_mpp)
        self.links.show_slide(layer)
        self._count()
        self._announce_classes()
        self._session.annotations_changed.emit()
        return self.drawing

    def _take_other_mpp(self) -> None:
        """The user typed another um/px."""
        layer = self.slides.layer
        if layer is not None and layer.metadata.get(SLIDE_KEY) is not self.slide:
            follow_scale(self.viewer, layer, slide_of(layer))
            self._choose_slide()

    def _let_go(self) -> None:
        self.editing.release()
        self.beside.stop()
        self._keys.give_back()
        if self._layer is not None:
            self._layer.events.scale.disconnect(self._take_other_mpp)
            unbind_class_keys(self._layer)
            self._layer = None
        self.files.leave_slide()
        if self.drawing is not None:
            unbind_class_keys(self.drawing.layer)
            self.drawing.release()
        self.slide = self.drawing = None
        self.links.show_slide(None)
        self.tally.stop()

    # -- classes ---------------------------------------------------------------------

    def _select_nothing(self) -> None:
        """Choosing a class gives it to selected shapes, which only the user may mean."""
        if self.drawing is not None:
            self.drawing.deselect()

    def _choose_class(self, name: str) -> None:
        if self.drawing is not None:
            self.drawing.choose_class(name)

    def _add_class(self) -> None:
        self._select_nothing()
        self.table.add_class()
        self._recolour()
        self._announce_classes()
        self.table.edit_current()

    def _remove_class(self) -> None:
        name = self.table.current
        used = Counter(one.class_name for one in self._drawn().annotations)
        if used[name]:
            show_error(
                f"{used[name]} regions are of class {name}: give them another class, or remove "
                "them, first."
            )
            return
        self._select_nothing()
        self.table.remove_current()
        self._recolour()
        self._announce_classes()

    def _rename_class(self, old: str, new: str) -> None:
        if self.drawing is not None:
            # In this order, or the class to draw next would be gone for a moment, and be another.
            self.drawing.rename_class(old, new)
            self.drawing.set_colours(self.table.colours)

    def _recolour(self) -> None:
        if self.drawing is not None:
            self.drawing.set_colours(self.table.colours)
            self._change()

    # -- drawing ---------------------------------------------------------------------

    def _draw(self, mode: str) -> None:
        if self.drawing is None:
            show_error(NO_SLIDE)
        else:
            self.drawing.draw(mode)

    def _undo(self) -> None:
        if self.drawing is not None and not self.drawing.undo():
            show_info("Nothing to take back.")

    def _redo(self) -> None:
        if self.drawing is not None and not self.drawing.redo():
            show_info("Nothing to do again.")

    def _step_keys(self) -> dict[KeyBinding, Action]:
        # Functions, as napari asks what it binds for its name.
        def undo_annotation(_layer: object) -> None:
            self._undo()

        def redo_annotation(_layer: object) -> None:
            self._redo()

        return {
            _UNDO_KEY: undo_annotation,
            **{key: redo_annotation for key in _REDO_KEYS},
        }

    def _change(self) -> None:
        self.files.save_soon()
        self.beside.follow_drawing()
        self._session.annotations_changed.emit()
        self._count()

    def _drawn(self) -> AnnotationSet:
        return AnnotationSet() if self.drawing is None else self.drawing.annotations()

    def _count(self) -> None:
        if self.slide is not None and self.drawing is not None:
            drawn = self._drawn()
            self.tally.count(self.slide, drawn, self.drawing.left_out(drawn))

    # -- files -----------------------------------------------------------------------

    def import_from(self, path: Path) -> None:
        """Add the annotations in a file to what is drawn."""
        self.files.import_from(path)

    def save_to(self, path: Path) -> None:
        """Write what is drawn as QuPath reads it."""
        self.files.save_to(path)

    # -- leaving ---------------------------------------------------------------------

    def _disconnect(self) -> None:
        self.lists.remember()
        if self._session.annotator is self:
            self._session.annotator = None
            self._announce_classes()
        self.slides.release()
        self._let_go()
        self.links.release()
        self.viewer.layers.events.inserted.disconnect(self._find_slides)
        self.viewer.layers.events.removed.disconnect(self._find_slides)
        unbind_class_keys(self.viewer)
