"""The scales to score at, with those marked that the model never saw."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

from napari_smse.models import ModelCard
from napari_smse.scoring import describe_scale, is_trained_scale

_USUAL_MPPS = (0.25, 0.5, 1.0, 2.0)
_FIRST_MPP = 0.5
_MPP = Qt.ItemDataRole.UserRole
_MOST_SHOWN = 6
# Without a border, empty boxes are lost in napari's dark theme.
_STYLE = """
QListWidget::item { padding: 2px; }
QListWidget::indicator:unchecked { border: 1px solid gray; border-radius: 2px; }
"""


class ScaleList(QListWidget):
    """Scales with boxes to tick, um/px."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card: ModelCard | None = None
        self._added: QListWidgetItem | None = None
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setStyleSheet(_STYLE)
        self.setToolTip(
            "Outside the model's magnifications: the model never saw this scale in training, take "
            "its map as unknown."
        )
        for mpp in _USUAL_MPPS:
            self.add(mpp, ticked=mpp == _FIRST_MPP)

    @property
    def ticked(self) -> tuple[float, ...]:
        """The ticked scales."""
        return tuple(_mpp(item) for item in self._items() if _is_ticked(item))

    def add(self, mpp: float, *, ticked: bool) -> None:
        """Add a scale."""
        item = QListWidgetItem(self._text(mpp))
        item.setData(_MPP, mpp)
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        self.addItem(item)
        row = max(18, self.sizeHintForRow(0))
        self.setFixedHeight(min(self.count(), _MOST_SHOWN) * row + 6)

    def mark(self, card: ModelCard | None) -> None:
        """Mark the scales that a model never saw."""
        self._card = card
        added = self._added
        if added is not None and card is not None and not is_trained_scale(_mpp(added), card):
            # It was ticked for another model, and by nobody.
            added.setCheckState(Qt.CheckState.Unchecked)
        for item in self._items():
            item.setText(self._text(_mpp(item)))

    def tick_a_trained_one(self) -> float | None:
        """If the model saw none of the ticked scales, tick the nearest it saw; return that one.

        What is ticked stays so, as it is the user's.
        """
        card = self._card
        if card is None or any(is_trained_scale(mpp, card) for mpp in self.ticked):
            return None
        wanted = next(iter(self.ticked), _FIRST_MPP)
        trained = [item for item in self._items() if is_trained_scale(_mpp(item), card)]
        if not trained:
            low, high = card.mpp_range
            self.add(min(max(wanted, low), high), ticked=True)
            self._added = self.item(self.count() - 1)
            return self.ticked[-1]
        nearest = min(trained, key=lambda item: abs(math.log(_mpp(item) / wanted)))
        nearest.setCheckState(Qt.CheckState.Checked)
        return _mpp(nearest)

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(row) for row in range(self.count())]

    def _text(self, mpp: float) -> str:
        trained = self._card is None or is_trained_scale(mpp, self._card)
        # In fewer words than the tooltip, which would be cut off.
        return describe_scale(mpp) + ("" if trained else ", outside the model's range")


def _mpp(item: QListWidgetItem) -> float:
    return float(item.data(_MPP))


def _is_ticked(item: QListWidgetItem) -> bool:
    return item.checkState() == Qt.CheckState.Checked
