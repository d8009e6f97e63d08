"""What the dock *SMSE: Find similar* shows, from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_smse.palette import PROBLEM
from napari_smse.widgets.controls.layout import folded, notice_label, scroll_area
from napari_smse.widgets.controls.slide_combo import SlideCombo
from napari_smse.widgets.controls.thumbnail_strip import ThumbnailStrip
from napari_smse.widgets.layers.example_layer import Side
from napari_smse.widgets.session import Session
from napari_smse.widgets.similar.example_picker import ExampleToolbar
from napari_smse.widgets.similar.hit_actions import HitActions
from napari_smse.widgets.similar.messages import describe_hits

_NOTICE = "Research use only: not for diagnosis."
_DECIMALS = 3


class SimilarPanel(QWidget):
    """Slide and scale, examples, radius, pictures, and what to do with the hits.

    Parameters
    ----------
    session
        Whose slides are offered.
    elsewhere
        What searches other slides; folded away at first.
    """

    def __init__(self, session: Session, elsewhere: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.elsewhere = folded("In other slides", elsewhere)
        self.slides, self.scales = SlideCombo(session), QComboBox()
        self.scales.setToolTip("Tiles of this scale are searched; others are left out.")
        self.buttons = {side: ExampleToolbar(side) for side in Side}
        self.query, self.outcome, self.hits = QLabel(), QLabel(), QLabel()
        self.problem = notice_label(PROBLEM)
        self.radius = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.radius.setDecimals(_DECIMALS)
        self.radius.setToolTip(
            "How far from your examples a tile may be: 0 is the same, further right is less alike."
        )
        self.strip = ThumbnailStrip()
        self.actions = HitActions()
        self._arrange()
        self.show_no_answer()
        self.show_problem("")

    def _arrange(self) -> None:
        notice = QLabel(_NOTICE)
        notice.setStyleSheet("font-weight: bold; padding: 2px;")
        top, radius = QWidget(), QWidget()
        form = QFormLayout(top)
        form.addRow("Slide", self.slides)
        form.addRow("Search at", self.scales)
        below = QFormLayout(radius)
        below.addRow("Distance threshold", self.radius)
        below.addRow(self.hits)
        for one in (form, below):
            one.setContentsMargins(0, 0, 0, 0)
        for label in (self.query, self.outcome, self.hits):
            label.setWordWrap(True)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(
            scroll_area(
                [
                    notice,
                    top,
                    *self.buttons.values(),
                    self.query,
                    self.problem,
                    radius,
                    self.strip,
                    self.elsewhere,
                ]
            )
        )
        # Outside what scrolls, so that it is seen in a small window too.
        outer.addWidget(self.actions)
        outer.addWidget(self.outcome)
        self.outcome.setContentsMargins(6, 0, 6, 4)
        self.setMinimumWidth(430)
        # napari leaves the lower half of the window empty below what does not ask for it.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    @property
    def mpp(self) -> float | None:
        """The scale to search, um/px; None if there is none."""
        found = self.scales.currentData()
        return None if found is None else float(found)

    # -- what can be done ------------------------------------------------------------

    def show_scales(self, scales: Sequence[tuple[str, float]]) -> None:
        """Offer these scales, each with what it is called; the choice stays if it can."""
        before = self.mpp
        with QSignalBlocker(self.scales):
            self.scales.clear()
            for name, mpp in scales:
                self.scales.addItem(name, mpp)
            self.scales.setCurrentIndex(max(0, self.scales.findData(before)))
        self.scales.setEnabled(bool(scales))

    # -- what there is to say --------------------------------------------------------

    def show_query(self, text: str) -> None:
        """Say what is looked for, or what to do to look for something."""
        self.query.setText(text)

    def show_problem(self, text: str) -> None:
        """Say what is wrong, or with an empty text that nothing is."""
        self.problem.setText(text)
        self.problem.setVisible(bool(text))

    def show_outcome(self, text: str) -> None:
        """Say what was made of the hits."""
        self.outcome.setText(text)
        self.outcome.setVisible(bool(text))

    def show_no_answer(self) -> None:
        """Show that nothing was found so far."""
        self.strip.show_tiles([], [])
        self._show_answer(False)
        self.show_outcome("")

    def show_reach(self, reach: float, radius: float | None) -> None:
        """Let the radius be chosen up to the furthest tile.

        Parameters
        ----------
        reach
            Distance of the furthest tile.
        radius
            What to choose now; None to leave it.
        """
        # Rounded up, or the furthest tile could not be reached.
        most = max(_rounded_up(reach), 10.0**-_DECIMALS)
        with QSignalBlocker(self.radius):
            self.radius.setRange(0.0, most)
            if radius is not None:
                self.radius.setValue(min(most, _rounded_up(radius)))
        self._show_answer(True)

    def show_hits(
        self, number: int, mm2: float, radius: float, others: int, model_name: str
    ) -> None:
        """Say how many tiles are found, how much of the slide that is, and by which model."""
        self.hits.setText(describe_hits(number, mm2, model_name))
        self.strip.show_radius(radius, others)
        self.show_outcome("")
        self.actions.setEnabled(number > 0)

    def _show_answer(self, there: bool) -> None:
        self.radius.setEnabled(there)
        self.actions.setEnabled(there)
        self.strip.setVisible(there)
        if not there:
            self.hits.setText("")


def _rounded_up(distance: float) -> float:
    return math.ceil(distance * 10**_DECIMALS) / 10**_DECIMALS
