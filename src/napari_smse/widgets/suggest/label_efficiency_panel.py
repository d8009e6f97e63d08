"""What the labels made so far are worth: a button, a sentence, and a curve."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_smse.progress import Progress
from napari_smse.widgets.controls.layout import folded
from napari_smse.widgets.suggest.label_efficiency_plot import LabelEfficiencyPlot
from napari_smse.widgets.suggest.messages import about, verdict
from napari_smse.workflows.label_efficiency import LabelEfficiencyResult

_ASK: Final = "Learning curve"
_TITLE: Final = "Learning curve"


class LabelEfficiencyPanel(QWidget):
    """Asks what labels are worth, and shows it; folded away until there is something to show."""

    requested = Signal()
    """To be judged, or, while that goes on, not any more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.ask = QPushButton(_ASK)
        self.ask.setToolTip(
            "Hold half of what is labelled out, all over again, and see how well the other half "
            "calls it. Nothing is changed, and nothing is learnt by the model."
        )
        # The keys stay those of the queue.
        self.ask.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.sentence, self.about = QLabel(), QLabel()
        self.sentence.setStyleSheet("font-weight: bold;")
        self.plot = LabelEfficiencyPlot()
        for label in (self.sentence, self.about):
            label.setWordWrap(True)
        self.curve = folded(_TITLE, self.plot)
        self.found: LabelEfficiencyResult | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.ask, self.sentence, self.curve, self.about):
            layout.addWidget(widget)
        self.ask.clicked.connect(self.requested)
        # Not in the fold, which does not grow with a text.
        self.curve.toggled.connect(self._show_about)
        self.fail("")

    @property
    def is_followed(self) -> bool:
        """Whether a curve is in view, so that it should follow the labels."""
        return self.found is not None and self.curve.isExpanded() and self.isVisible()

    def show_progress(self, progress: Progress) -> None:
        """Say how far it is; what is shown stays until there is something else."""
        self.ask.setText(f"Stop ({round(100 * progress.done / progress.total)} %)")

    def show_efficiency(self, found: LabelEfficiencyResult) -> None:
        """Show what was found, unfolded if it is the first."""
        self.plot.show_efficiency(found.efficiency, len(found.taken))
        self.about.setText(about(found))
        self.show_message(verdict(found))
        first, self.found = self.found is None, found
        self.curve.show()
        if first:
            self.curve.expand(animate=False)
        self._show_about()

    def fail(self, text: str) -> None:
        """Say why there is no curve, or none any more."""
        self.found = None
        self.curve.hide()
        self._show_about()
        self.show_message(text)

    def show_message(self, text: str) -> None:
        """Say something, and offer to ask again."""
        self.ask.setText(_ASK)
        self.sentence.setText(text)
        self.sentence.setVisible(bool(text))

    def stop(self) -> None:
        """Offer to ask again; what is shown stays."""
        self.ask.setText(_ASK)
        if self.found is None:
            self.show_message("Stopped.")

    def _show_about(self) -> None:
        self.about.setVisible(self.found is not None and self.curve.isExpanded())
