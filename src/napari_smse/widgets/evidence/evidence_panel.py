"""The evidence for a place on a slide: the tile, the vote, and the reference tiles like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_smse.palette import Colour
from napari_smse.similarity.evidence import TileEvidence, evidence_at
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.familiarity import Familiarity, familiarity
from napari_smse.slides import Slide
from napari_smse.widgets.controls.settings_form import SettingsForm
from napari_smse.widgets.evidence.neighbour_list import NeighbourList
from napari_smse.widgets.evidence.tile_card import TileCard
from napari_smse.workflows.evidence import ScoredTiles
from napari_smse.workflows.scored_slide import TileOnSlide
from napari_smse.workflows.settings.embeddings import EvidenceSettings

_DISTANCE = "0 away: just alike. 2 away: the very opposite."
_NO_TILE = "No tile was scored there: click tissue under the heat map."


class EvidencePanel(QWidget):
    """Shows what is known about a level-0 point of a slide.

    Parameters
    ----------
    slide_with
        Gives the open slide with a quick hash, or None.
    unlike_of
        Says how unlike anything known a tile is, by its row; None if that is not known.
    """

    exemplar_clicked = Signal(int)
    exemplar_chosen = Signal(object)

    shown = Signal(object)
    """The `TileOnSlide` that the evidence is of."""

    problem = Signal(str)
    """There is no evidence; the text says why. Empty when there is some."""

    def __init__(
        self,
        slide_with: Callable[[str], Slide | None],
        unlike_of: Callable[[int], float | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._unlike_of = unlike_of
        self._read: ScoredTiles | None = None
        self._bank: ExemplarBank | None = None
        self._colours: Mapping[str, Colour] = {}
        self.point: tuple[float, float] | None = None
        self._scale: float | None = None
        self.found: list[TileEvidence] = []
        self._shown = 0
        self.card = TileCard()
        self.known = NeighbourList(slide_with)
        self.options = SettingsForm(EvidenceSettings)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.card)
        layout.addWidget(self.options)
        layout.addWidget(self.known)
        layout.addWidget(QLabel(_DISTANCE))
        self.card.scale_chosen.connect(self._choose_scale)
        self.known.exemplar_clicked.connect(self.exemplar_clicked)
        self.known.exemplar_chosen.connect(self.exemplar_chosen)
        self.options.changed.connect(self.refresh)

    def follow(self, read: ScoredTiles | None) -> None:
        """Show places of this slide from now on; none so far."""
        self._read, self.point = read, None
        self._clear()

    def show_bank(self, bank: ExemplarBank, colours: Mapping[str, Colour]) -> None:
        """Compare with another bank."""
        self._bank, self._colours = bank, colours
        self.refresh()

    def point_at(self, x: float, y: float, *, quietly: bool = False) -> None:
        """Show what is known about a level-0 point.

        Parameters
        ----------
        x, y
            The point.
        quietly
            Keep what is shown if there is no tile, as while the mouse moves.
        """
        if quietly and (self._read is None or not self._read.tiles.at(x, y)):
            return
        self.point = x, y
        self.refresh()

    def refresh(self) -> None:
        """Look at the same point again, as something else has changed."""
        read, bank = self._read, self._bank
        if read is None or bank is None or self.point is None:
            return
        options = self.options.settings
        self.found = evidence_at(
            read.tiles,
            bank,
            *self.point,
            options.k,
            similar_scale=options.similar_scale,
            slide=read.slide.quick_hash,
        )
        if not self.found:
            self._clear()
            self.problem.emit(_NO_TILE)
            return
        self.problem.emit("")
        row = next((n for n, one in enumerate(self.found) if one.mpp == self._scale), 0)
        self.card.show_tiles(self.found, row)
        self._show(row)

    def describe_familiarity(self) -> None:
        """Say anew whether the model knows tiles like the one that is shown."""
        if self.found and self._read is not None:
            self.card.describe_familiarity(self._familiarity(self._read, self.found[self._shown]))

    def release(self) -> None:
        """Read no more pictures."""
        self.card.pictures.stop()
        self.known.pictures.stop()

    def _choose_scale(self, row: int) -> None:
        if row < len(self.found):
            self._scale = self.found[row].mpp
            self._show(row)

    def _show(self, row: int) -> None:
        read, bank, one = self._read, self._bank, self.found[row]
        self._shown = row
        if read is not None and bank is not None:
            tile = TileOnSlide(read.slide, read.tiles.region(one.row), one.mpp)
            self.card.show_tile(one, tile, self._familiarity(read, one))
            self.known.show_evidence(one.evidence, bank, self._colours)
            self.shown.emit(tile)

    def _familiarity(self, read: ScoredTiles, one: TileEvidence) -> Familiarity:
        return familiarity(self._unlike_of(one.row), one.evidence.distance, read.near_limit)

    def _clear(self) -> None:
        self.found = []
        self.card.clear()
        self.known.clear()
