"""One quiet line of the Score dock: that what is scored goes into the chosen index."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_smse.metrics.estimate import counted
from napari_smse.models import ModelCard
from napari_smse.palette import NOTICE_STYLE, WARNING
from napari_smse.slides import Slide
from napari_smse.widgets.index.queue import REPLACE, IndexQueue, RejectedSlide
from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.index_slides import (
    ELSEWHERE,
    AboutIndex,
    SlideAdded,
    SlideToAdd,
    describe_index,
    gone,
    of_another_model,
)
from napari_smse.workflows.scored_slide import Run


class IndexStatus(QWidget):
    """Tells what becomes of scored slides, and lets it be turned off; hidden without an index.

    What goes wrong is said here and nowhere else: the scores are not harmed by it.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chosen = index_settings()
        self._folder = self._chosen.folder
        self._card: ModelCard | None = None
        self._about: AboutIndex | None = None
        self._message = self._foreseen = ""
        self.adding = IndexQueue(self)
        self.looking = Worker()
        self.tick, self.text = QCheckBox(), QLabel()
        self.problem, self.remedy = QLabel(), QPushButton()
        self._arrange()
        self._connect()
        if self._folder is None:
            self.hide()
        self._refresh()
        self._show()

    @property
    def tasks(self) -> tuple[Worker, ...]:
        """All that works in the background, for the dock to stop when it is destroyed."""
        return self.looking, self.adding.task

    def _arrange(self) -> None:
        self.tick.setToolTip("Each slide goes into the index when it is scored to its end.")
        self.remedy.setToolTip("Do what the line above says.")
        self.tick.setAccessibleName("Add every slide that is scored to the index")
        self.problem.setStyleSheet(f"background: {WARNING}; {NOTICE_STYLE}")
        for label in (self.text, self.problem):
            label.setWordWrap(True)
        line = QHBoxLayout()
        line.addWidget(self.tick, alignment=Qt.AlignmentFlag.AlignTop)
        line.addWidget(self.text, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(line)
        layout.addWidget(self.problem)
        layout.addWidget(self.remedy, alignment=Qt.AlignmentFlag.AlignLeft)

    def _connect(self) -> None:
        self.tick.toggled.connect(self._chosen.take_scored)
        self.remedy.clicked.connect(self._help)
        self._chosen.changed.connect(self._take_choice)
        self._chosen.grew.connect(self._take_growth)
        self.adding.added.connect(self._on_added)
        self.adding.changed.connect(self._show)
        self.looking.returned.connect(self._show_about)
        self.looking.errored.connect(self._foresee)

    # -- what happens to slides --------------------------------------------------------

    def add(self, slide: Slide, run: Run) -> None:
        """Let a slide that was scored go into the index, if it takes what is scored."""
        folder = self._chosen.folder
        if folder is not None and self._chosen.takes_scored:
            planned = run.plan.tile_count
            self.adding.add(SlideToAdd(folder, slide, run.store, planned))

    def begin_run(self) -> None:
        """Say what will become of a slide that is being scored."""
        self.adding.forget_the_hopeless()
        self._report("")

    def show_stopped(self) -> None:
        """Say that a slide was not scored to its end, and did not go into the index."""
        self._report(f"What was scored now goes into {self._name} once it is scored to its end.")

    def show_model(self, card: ModelCard) -> None:
        """Take note of the model that slides will be scored by."""
        self._card = card
        if self._about is not None:
            self._show_about(self._about)

    def _on_added(self, added: SlideAdded) -> None:
        slides = counted(added.slides, "slides")
        where = _named(added.wanted.folder)
        text = f"In {where} now: {slides}."
        if not added.new:
            text = f"{added.wanted.slide.name} was in {where} already: {slides}."
        self._foreseen = ""
        self._chosen.grew.emit(added.wanted.key)
        self._report(f"{text} {added.notice}".strip())

    def _help(self) -> None:
        if left := self._rejected:
            self.adding.help(left)

    def _take_growth(self, key: str) -> None:
        """Let go of what was said of the index and of a slide that is in it now."""
        self._message = ""
        self.adding.rejected.pop(key, None)
        self._show()

    # -- the index ---------------------------------------------------------------------

    def _take_choice(self) -> None:
        folder = self._chosen.folder
        if self._folder == folder and not self._chosen.takes_scored:
            self.adding.give_up()
        if self._folder != folder or not self._chosen.takes_scored:
            self._message = ""
            self.adding.rejected.clear()
        self._folder = folder
        self.setVisible(folder is not None)
        self._refresh()
        self._show()

    def _refresh(self) -> None:
        self._about, self._foreseen = None, ""
        self.looking.cancel()
        folder = self._chosen.folder
        if folder is not None and self._chosen.takes_scored:
            self.looking.start(lambda: describe_index(folder))

    def _show_about(self, about: AboutIndex) -> None:
        self._about, folder, card = about, self._chosen.folder, self._card
        foreseen = ""
        if about.gone and folder is not None:
            foreseen = gone(folder)
        elif about.model and card is not None and about.model != card.weights_sha256:
            foreseen = of_another_model(about.model_name, card.name)
        self._foresee(foreseen)

    def _foresee(self, problem: str) -> None:
        self._foreseen = problem
        self._show()

    # -- what there is to say ----------------------------------------------------------

    @property
    def _name(self) -> str:
        folder = self._chosen.folder
        return "the index" if folder is None else _named(folder)

    @property
    def _rejected(self) -> RejectedSlide | None:
        return next(reversed(self.adding.rejected.values()), None)

    def _report(self, text: str) -> None:
        self._message = text
        self._show()

    def _show(self) -> None:
        on, left = self._chosen.takes_scored, self._rejected
        with QSignalBlocker(self.tick):
            self.tick.setChecked(on)
        self.text.setText(self._summary())
        self.text.setEnabled(on)
        for widget in (self.tick, self.text):
            widget.setToolTip(f"{self._folder}\nAnother folder can be chosen {ELSEWHERE}.")
        problem = self._foreseen if left is None else left.text + self._others
        self.problem.setText(problem)
        self.problem.setVisible(on and bool(problem))
        self.remedy.setText("" if left is None else left.remedy)
        self.remedy.setVisible(on and left is not None and bool(left.remedy))

    @property
    def _others(self) -> str:
        number = len(self.adding.rejected) - 1
        if not number:
            return ""
        return f" {number} more slide{'s were' if number > 1 else ' was'} not added."

    def _summary(self) -> str:
        if not self._chosen.takes_scored:
            return f"What you score does not go into {self._name}."
        left = self._rejected
        if (wanted := self.adding.adding) is not None:
            return f"Adding {wanted.slide.name} to {_named(wanted.folder)} …"
        if self._foreseen and left is None:
            return f"What you score cannot go into {self._name}:"
        if left is not None and left.remedy != REPLACE and not self._message:
            return f"{left.wanted.slide.name} did not go into {self._name}:"
        return self._message or f"What you score goes into {self._name}."

    def release(self) -> None:
        """Let go of everything; what waits still goes into its index."""
        self.looking.cancel()
        self.adding.release()
        self._chosen.changed.disconnect(self._take_choice)
        self._chosen.grew.disconnect(self._take_growth)


def _named(folder: Path) -> str:
    return f"the index “{folder.name}”"
