"""Run, cancel, and how far it is."""

from __future__ import annotations

import time

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_smse.palette import PROBLEM, WARNING
from napari_smse.progress import Progress
from napari_smse.widgets.controls.layout import notice_label, push_button

_STEPS = 1000
_TELL_S = 0.2


class RunPanel(QWidget):
    """The Run and Cancel buttons with what is to be said about the run.

    Parameters
    ----------
    pausable
        Whether there is a Pause button, too.
    """

    run_pressed = Signal()
    cancel_pressed = Signal()

    pause_pressed = Signal(bool)
    """True to pause, False to go on."""

    def __init__(self, parent: QWidget | None = None, *, pausable: bool = False) -> None:
        super().__init__(parent)
        self._ready = False
        self._shown_at = 0.0
        self.count = QLabel()
        self.run = push_button("Run", "Start; what was done before is not done again.")
        self.run.setMinimumHeight(32)
        self.cancel = push_button("Cancel", "Stop; what is done stays.")
        self.cancel.setMinimumHeight(32)
        self.pause = push_button("Pause", "Let the computer rest, and go on later.")
        self.pause.setMinimumHeight(32)
        self.pause.setCheckable(True)
        self.pause.setVisible(pausable)
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.state = QLabel()
        self.warning = notice_label(WARNING)
        self.problem = notice_label(PROBLEM)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run, stretch=2)
        if pausable:
            buttons.addWidget(self.pause, stretch=1)
        buttons.addWidget(self.cancel, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.count)
        layout.addLayout(buttons)
        for widget in (self.bar, self.state, self.warning, self.problem):
            layout.addWidget(widget)
        for label in (self.count, self.state):
            label.setWordWrap(True)
        self.run.clicked.connect(self.run_pressed)
        self.cancel.clicked.connect(self.cancel_pressed)
        self.pause.toggled.connect(self._toggle_pause)
        self.set_running(False)

    def set_ready(self, ready: bool) -> None:
        """Say whether there is a slide to score."""
        self._ready = ready
        self.run.setEnabled(ready and not self.cancel.isEnabled())

    def set_running(self, running: bool) -> None:
        """Say whether a run is under way."""
        self.run.setEnabled(self._ready and not running)
        self.cancel.setEnabled(running)
        self.pause.setEnabled(running)
        self.pause.setChecked(False)
        self.bar.setVisible(running)
        self.state.setVisible(not running)

    def _toggle_pause(self, paused: bool) -> None:
        self.pause.setText("Resume" if paused else "Pause")
        self.pause_pressed.emit(paused)

    def show_progress(self, progress: Progress, of: str = "") -> None:
        """Show how far the run is, how fast, and for how long; a few times a second at most.

        Parameters
        ----------
        progress
            Of the run.
        of
            The slide's name, if it is not the one in view.
        """
        now = time.monotonic()
        if now - self._shown_at < _TELL_S and progress.done < progress.total:
            return
        self._shown_at = now
        text = f"{of}: " if of else ""
        text += f"{progress.done:,} of {progress.total:,} tiles"
        if progress.seconds_left is not None:
            text += f", {progress.rate:.0f} tiles/s, {_duration(progress.seconds_left)} left"
        if progress.bottleneck is not None:
            self.bar.setToolTip(f"What sets the pace: {progress.bottleneck}.")
        # Text in the bar, unlike text in a label, does not lay out the whole dock again; and
        # without updates the bar does not repaint the window at once, canvas and all.
        self.bar.setUpdatesEnabled(False)
        self.bar.setValue(_STEPS * progress.done // max(1, progress.total))
        self.bar.setFormat(text)
        self.bar.setUpdatesEnabled(True)

    def show_share(self, share: float, text: str, seconds_left: float | None = None) -> None:
        """Show how far work is that is not counted in tiles; a few times a second at most."""
        now = time.monotonic()
        if now - self._shown_at < _TELL_S and share < 1:
            return
        self._shown_at = now
        if seconds_left is not None:
            text += f", {_duration(seconds_left)} left"
        self.bar.setUpdatesEnabled(False)
        self.bar.setValue(round(_STEPS * share))
        self.bar.setFormat(text)
        self.bar.setUpdatesEnabled(True)

    def show_stage(self, text: str) -> None:
        """Say what is done before the first tile."""
        self._shown_at = 0.0
        self.bar.setValue(0)
        self.bar.setFormat(text)

    def show_problem(self, text: str) -> None:
        """Show what went wrong until the next run; nothing clears it."""
        self.problem.setText(text)
        self.problem.setVisible(bool(text))

    def show_warnings(self, warnings: tuple[str, ...]) -> None:
        """Show what a reader of the results must know; nothing clears it."""
        self.warning.setText("\n".join(warnings))
        self.warning.setVisible(bool(warnings))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
