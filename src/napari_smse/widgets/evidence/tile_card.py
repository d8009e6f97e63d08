"""One tile of a slide: its picture, what each scale says of it, and the vote of reference tiles."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_smse.scoring import objective_power
from napari_smse.similarity.evidence import TileEvidence
from napari_smse.similarity.familiarity import Familiarity
from napari_smse.widgets.controls.thumbnails import ThumbnailReader
from napari_smse.widgets.evidence.messages import (
    describe_disagreement,
    describe_own,
    describe_sample,
    describe_vote,
)
from napari_smse.workflows.scored_slide import TileOnSlide

_PICTURE_PX = 112
_VOTE = "Reference tiles"
_DOUBTED = "font-weight: bold;"
_DOUBTS = ("unfamiliar", "out of distribution")


class TileCard(QWidget):
    """Hidden until there is a tile; where a slide was scored at several scales, choose one."""

    scale_chosen = Signal(int)
    """Number of the scale's tile among those shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture = QLabel()
        self.picture.setFixedSize(_PICTURE_PX, _PICTURE_PX)
        self.picture.setToolTip("The tile that was clicked.")
        self.scales = QTableWidget(0, 1)
        self.scales.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.scales.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.scales.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.scales.setFixedHeight(_PICTURE_PX)
        self.scales.setMinimumWidth(0)
        self.scales.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.scales.setToolTip(
            "What the class head says at each scale, and the vote of the reference tiles. Click a "
            "scale to see what its tile is like."
        )
        horizontal = self.scales.horizontalHeader()
        assert horizontal is not None
        horizontal.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        horizontal.setMinimumSectionSize(20)
        self.vote, self.own, self.ood, self.other = QLabel(), QLabel(), QLabel(), QLabel()
        self.vote.setStyleSheet("font-weight: bold;")
        self.pictures = ThumbnailReader()
        top = QHBoxLayout()
        top.addWidget(self.picture)
        top.addWidget(self.scales, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        for label in (self.vote, self.own, self.ood, self.other):
            label.setWordWrap(True)
            layout.addWidget(label)
        self.scales.itemSelectionChanged.connect(self._choose)
        self.pictures.read.connect(self._show_picture)
        self.hide()

    def show_tiles(self, found: Sequence[TileEvidence], chosen: int) -> None:
        """Show what each scale says of a place."""
        classes = list(found[chosen].probability)
        with QSignalBlocker(self.scales):
            self.scales.setColumnCount(len(classes) + 1)
            self.scales.setHorizontalHeaderLabels([*classes, _VOTE])
            self.scales.setRowCount(len(found))
            self._give_room_to_vote(len(classes))
            self.scales.setVerticalHeaderLabels([f"{objective_power(t.mpp):.3g}x" for t in found])
            for row, one in enumerate(found):
                values = [f"{value:.2f}" for value in one.probability.values()]
                for column, text in enumerate([*values, _votes(one)]):
                    item = QTableWidgetItem(text)
                    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                    self.scales.setItem(row, column, item)
            self.scales.selectRow(chosen)
        self.show()

    def show_tile(self, one: TileEvidence, tile: TileOnSlide, familiar: Familiarity) -> None:
        """Show one scale's tile."""
        self.vote.setText(describe_vote(one.evidence))
        self.vote.setToolTip(describe_sample(one.evidence))
        _show_text(self.own, describe_own(one.evidence))
        _show_text(self.other, describe_disagreement(one))
        self.describe_familiarity(familiar)
        self.pictures.ask([(tile.region, tile)])

    def describe_familiarity(self, familiar: Familiarity) -> None:
        """Say whether the model knows tiles like this one; the figures are in the tooltip."""
        _show_text(self.ood, familiar.sentence)
        self.ood.setToolTip(familiar.measured)
        self.ood.setStyleSheet(_DOUBTED if familiar.verdict in _DOUBTS else "")

    def clear(self) -> None:
        """Show no tile."""
        self.pictures.stop()
        self.hide()

    def _give_room_to_vote(self, column: int) -> None:
        """The numbers need less than the vote, which has words."""
        header = self.scales.horizontalHeader()
        for number in range(column):
            header.setSectionResizeMode(number, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def _show_picture(self, _key: object, icon: QIcon) -> None:
        self.picture.setPixmap(
            icon.pixmap(icon.availableSizes()[0]).scaled(
                _PICTURE_PX,
                _PICTURE_PX,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )

    def _choose(self) -> None:
        row = self.scales.currentRow()
        if row >= 0:
            self.scale_chosen.emit(row)


def _show_text(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _votes(one: TileEvidence) -> str:
    evidence = one.evidence
    if not evidence.nearest:
        return "none"
    return f"{evidence.count(evidence.called)} of {len(evidence.nearest)} {evidence.called}"
