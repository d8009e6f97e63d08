"""The dock *SMSE: Evidence*: why a tile is called what it is called, and what the model knows."""

from __future__ import annotations

from functools import partial

import napari
from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout

from napari_smse.errors import SmseError
from napari_smse.palette import Colour, chosen_colours, class_colours
from napari_smse.slides import Slide
from napari_smse.widgets.controls.copy_as import CopyAsButton
from napari_smse.widgets.controls.layout import hbox, scroll_area
from napari_smse.widgets.controls.slide_combo import SlideCombo
from napari_smse.widgets.dock import FINE_TUNE, SlideDock, open_dock
from napari_smse.widgets.driver_workarounds import guard_against_triton
from napari_smse.widgets.evidence.bank_controller import BankController
from napari_smse.widgets.evidence.bank_panel import BankPanel
from napari_smse.widgets.evidence.evidence_panel import EvidencePanel
from napari_smse.widgets.evidence.map_source import MapSource
from napari_smse.widgets.evidence.overlay_panel import OverlayPanel
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.layers.tile_marker import fly_to, outline
from napari_smse.widgets.layers.tile_picker import TilePointer
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import layer_with, slide_layers, slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.evidence import NamedBank, ScoredTiles, read_tiles
from napari_smse.workflows.replay.script import evidence_script
from napari_smse.workflows.scored_slide import Run, TileOnSlide

_NOTICE = "Research use only: not for diagnosis."
_QUESTION = "Why does it say malignant? {how} a tile on the slide to see what it is like."
_CLICK = _QUESTION.format(how="Click")
_TICK_FIRST = _QUESTION.format(how="Tick Click picks a tile, and click")
_NOTHING = "First score a slide (SMSE: Score slide)."
_FINE_TUNE = "SMSE: Fine-tune"


class EvidenceDock(SlideDock):
    """Show which reference tiles a tile is like, and colour the maps by them.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        guard_against_triton()
        self.viewer = napari_viewer
        self.read: ScoredTiles | None = None
        self._clicked: TileOnSlide | None = None
        self._make_widgets()
        self.reading = Worker()
        self._tasks = (
            self.reading,
            self.desk.task,
            self.desk.searching,
            self.colour_by.task,
            self.overlays.monitor.task,
            self.overlays.comparing,
            self.evidence.card.pictures.task,
            self.evidence.known.pictures.task,
        )
        self.cancel_on_destroy(self._tasks)
        self._connect()
        self.pointer.set_clicking(True)
        self._find_slides()

    @property
    def known(self) -> NamedBank | None:
        """The bank that the chosen slide is compared with."""
        return self.desk.known

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        notice, question = QLabel(_NOTICE), QLabel(_CLICK)
        notice.setStyleSheet("font-weight: bold; padding: 2px;")
        self.state, self.model = QLabel(), QLabel()
        for label in (question, self.state, self.model):
            label.setWordWrap(True)
        self.session = session_of(self.viewer)
        self.slides = SlideCombo(self.session)
        self.clicks = QCheckBox("Click picks a tile")
        self.clicks.setChecked(True)
        # Other docks take the clicks, too.
        self.clicks.toggled.connect(lambda on: question.setText(_CLICK if on else _TICK_FIRST))
        self.clicks.setToolTip("Click the slide to see why a tile is called what it is.")
        self.hovers = QCheckBox("Follow the mouse")
        self.hovers.setToolTip("Explain the tile under the mouse, without a click.")
        self.pointer = TilePointer(self.viewer, self)
        self.overlays = OverlayPanel(self.viewer)
        self.evidence = EvidencePanel(self._slide_with, self.overlays.unlike_of)
        self.colour_by = MapSource(self.viewer, self._why_not_recolour)
        self.bank = BankPanel()
        self.desk = BankController(self.viewer, self.bank, self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(
            scroll_area(
                [
                    *(notice, question, self.slides, self.model, self.overlays),
                    *(self.colour_by, self.state, self.evidence, self.bank),
                ]
            )
        )
        evidence = self.evidence
        self.copy = CopyAsButton(
            lambda: evidence_script(self.read, evidence.point, evidence.options.settings)
        )
        outer.addLayout(hbox(self.clicks, self.hovers, self.copy))
        self.setMinimumWidth(430)

    def _connect(self) -> None:
        self.slides.chosen.connect(self._choose_slide)
        self.clicks.toggled.connect(self.pointer.set_clicking)
        self.pointer.switched_off.connect(partial(self.clicks.setChecked, False))
        self.hovers.toggled.connect(self.pointer.set_hovering)
        self.pointer.clicked.connect(self._show_clicked)
        self.pointer.hovered.connect(lambda x, y: self.evidence.point_at(x, y, quietly=True))
        self.pointer.missed.connect(self._show_message)
        self.reading.returned.connect(self._show_slide)
        self.reading.errored.connect(self._show_message)
        self.evidence.problem.connect(self._show_message)
        self.evidence.shown.connect(self._outline)
        self.evidence.exemplar_clicked.connect(self._fly_to_exemplar)
        self.evidence.exemplar_chosen.connect(self.desk.choose)
        self.overlays.problem.connect(self._show_problem)
        self.overlays.measured.connect(self.evidence.describe_familiarity)
        self.colour_by.problem.connect(self._show_problem)
        self.desk.changed.connect(self._compare_with)
        self.desk.problem.connect(self._show_problem)
        self.bank.learn_wanted.connect(self._fine_tune)
        self.viewer.layers.events.inserted.connect(self._find_slides)
        self.viewer.layers.events.removed.connect(self._find_slides)
        self.session.run_changed.connect(self._take_run)
        self.session.maps_changed.connect(self._take_maps)

    # -- slides ----------------------------------------------------------------------

    def _find_slides(self, _event: object = None) -> None:
        scored = [
            layer for layer in slide_layers(self.viewer) if self.session.run_of(layer) is not None
        ]
        self.slides.show_layers(scored)
        if not scored and self.read is None:
            self._show_message(_NOTHING)

    def _take_run(self, layer: Image) -> None:
        """Answer for another run, or another model's, as soon as it is in force."""
        self._find_slides()
        run = self.session.run_of(layer)
        if layer is not self.slides.layer:
            return
        # While a slide is being scored, nothing should compete with that.
        if run is None or run.store.finished or not self.session.is_scoring(layer):
            self.refresh()

    def _take_maps(self, layer: Image) -> None:
        if layer is self.slides.layer and not self.reading.is_running:
            self.colour_by.refresh()

    def refresh(self) -> None:
        """Read anew what was scored since; notice maps that others have replaced."""
        self._find_slides()
        layer = self.slides.layer
        if layer is None or self.reading.is_running:
            return
        if self.read is None or not self._is_current(self.read):
            self._choose_slide()
        else:
            self.colour_by.refresh()

    def _is_current(self, read: ScoredTiles) -> bool:
        layer = self.slides.layer
        if layer is None or self.session.run_of(layer) is not read.run:
            return False
        if read.blocks == len(read.run.plan.blocks):
            return True
        try:
            return int(read.run.store.blocks_done().sum()) == read.blocks
        except SmseError:
            return True

    def _choose_slide(self) -> None:
        layer = self.slides.layer
        self.reading.cancel()
        try:
            slide = None if layer is None else slide_of(layer)
        except SmseError as error:
            self._follow(None)
            self._show_problem(str(error))
            return
        if slide is None or layer is None:
            self._follow(None)
            self._show_message(_NOTHING)
            return
        # What is shown of a slide stays while more of it is read.
        if self.read is not None and self.read.slide.quick_hash != slide.quick_hash:
            self._follow(None)
        self._show_message("Reading what was scored …")
        run = self.session.run_of(layer)
        if run is not None:
            self.reading.start(lambda: read_tiles(slide, run))

    def _show_slide(self, read: ScoredTiles) -> None:
        if not len(read.tiles):
            self._show_message("No tile of this slide is scored yet.")
            return
        same = self.read is not None and self.read.slide.quick_hash == read.slide.quick_hash
        point = self.evidence.point if same else None
        self._show_message("")
        self._follow(read)
        clicked, self._clicked = self._clicked, None
        if clicked is not None and clicked.slide.quick_hash == read.slide.quick_hash:
            self._point_at(clicked)
        elif point is not None:
            self.evidence.point_at(*point, quietly=True)

    def _follow(self, read: ScoredTiles | None) -> None:
        self.read = read
        layer = None if read is None else self.slides.layer
        self.model.setText("" if read is None else _model_line(read.run))
        self.evidence.follow(read)
        self.pointer.follow(layer)
        # The bank comes last, as it is what the others then compare with.
        for part in (self.overlays, self.colour_by, self.desk):
            part.follow(layer, read)

    def _slide_with(self, quick_hash: str) -> Slide | None:
        layer = layer_with(self.viewer, quick_hash)
        try:
            return None if layer is None else slide_of(layer)
        except SmseError:
            return None

    # -- evidence --------------------------------------------------------------------

    def _show_clicked(self, tile: TileOnSlide) -> None:
        layer = layer_with(self.viewer, tile.slide.quick_hash)
        read = self.read
        if layer is None:
            return
        if layer is self.slides.layer and read is not None and self._is_current(read):
            self._point_at(tile)
            return
        self._clicked = tile
        self._find_slides()
        if layer is not self.slides.layer:
            self.slides.setCurrentIndex(self.slides.findData(layer))
        elif not self.reading.is_running:
            self._choose_slide()

    def _point_at(self, tile: TileOnSlide) -> None:
        region = tile.region
        self.evidence.point_at(region.x + region.width / 2, region.y + region.height / 2)

    def _outline(self, tile: TileOnSlide) -> None:
        """Outline the tile that the evidence is of, where it lies."""
        layer = layer_with(self.viewer, tile.slide.quick_hash)
        if layer is not None:
            outline(self.viewer, layer, tile.region)

    def _fly_to_exemplar(self, row: int) -> None:
        known = self.known
        if known is None or row >= len(known.bank):
            return
        bank = known.bank
        region, layer = bank.region(row), layer_with(self.viewer, bank.slides[row])
        if region is None:
            self._show_message(
                f"This reference tile comes from {bank.sources[row]}: there is no slide to show it "
                "on."
            )
        elif layer is None:
            self._show_message(
                f"This reference tile lies on the slide {bank.sources[row]}, which is not open: "
                "open it to see the tile there."
            )
        else:
            self._show_message("")
            fly_to(self.viewer, layer, region)

    # -- the bank --------------------------------------------------------------------

    def _compare_with(self, known: NamedBank) -> None:
        colours = self._colours(known)
        self.colour_by.show_bank(known, colours)
        self.evidence.show_bank(known.bank, colours)
        self.overlays.show_bank(known.bank)

    def _fine_tune(self) -> None:
        """Hand the reference tiles that were added to the Fine-tune dock, opened if need be."""
        known = self.known
        if known is not None:
            open_dock(self.viewer, FINE_TUNE)
            self.session.exemplars_offered.emit(known.bank.on_slides())

    def _colours(self, known: NamedBank) -> dict[str, Colour]:
        read, layer = self.read, self.slides.layer
        assert read is not None
        drawn = {} if layer is None else drawn_on(self.viewer, layer, read.slide).colours
        return class_colours(
            known.bank.classes, chosen_colours(drawn) | read.run.card.class_colours
        )

    # -- others ----------------------------------------------------------------------

    def _why_not_recolour(self) -> str:
        if self.session.is_scoring(self.slides.layer):
            return "The slide is being scored: wait until that is done, and try again."
        return ""

    def _show_message(self, text: str) -> None:
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def _show_problem(self, text: str) -> None:
        self._show_message(text)
        show_error(text)

    # -- leaving ---------------------------------------------------------------------

    def _disconnect(self) -> None:
        self.pointer.release()
        self.overlays.release()
        self.colour_by.release()
        self.desk.release()
        self.evidence.release()
        self.viewer.layers.events.inserted.disconnect(self._find_slides)
        self.viewer.layers.events.removed.disconnect(self._find_slides)
        self.slides.release()
        self.session.run_changed.disconnect(self._take_run, missing_ok=True)
        self.session.maps_changed.disconnect(self._take_maps, missing_ok=True)
        for task in self._tasks:
            task.cancel()


def _model_line(run: Run) -> str:
    """Say which model the answers are of."""
    tuned = "" if run.base is None else f", fine-tuned from {run.base.card.name}"
    return f"Model: {run.card.name} {run.card.version}{tuned}"
