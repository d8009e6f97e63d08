"""Writes one page over all slides of the list."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.models import read_card
from napari_smse.progress import Progress
from napari_smse.results.report.cohort_page import Cohort
from napari_smse.widgets.controls.layout import push_button
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slides.entries import SlideEntries, SlideEntry
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.report.cohort import CohortSettings, write_cohort
from napari_smse.workflows.report.listed_runs import ListedRun, listed_sources

_TIP: Final = (
    "Write one page (HTML) over all slides of the list: picture, case ID, how much is called what, "
    "and, with a table of labels by case or slide, ROC and AUC with its interval."
)
_QUESTION: Final = (
    "Compare with labels? They are a table (CSV) with the columns label, and case or slide."
)


class CohortSaver(QObject):
    """Asks where to, looks at the slides off the GUI thread, and writes the page.

    Parameters
    ----------
    viewer
        Whose runs are in force.
    entries
        The list.
    parent
        The dock, over which files are asked for.
    """

    problem = Signal(str)
    described = Signal(str)

    def __init__(self, viewer: ViewerModel, entries: SlideEntries, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._entries, self._parent = session_of(viewer), entries, parent
        self._out = Path()
        self.button = push_button("Cohort page …", _TIP)
        self.button.clicked.connect(self.ask)
        entries.changed.connect(self._allow)
        # Without a parent: the worker may still speak while the dock is being destroyed.
        self.task = Worker()
        self.task.progressed.connect(self._show_progress)
        self.task.returned.connect(self._show_written)
        self.task.errored.connect(self.problem)
        self._allow()

    def ask(self) -> None:
        """Ask for the page, and for labels if they are wanted; then write it."""
        out, _ = QFileDialog.getSaveFileName(
            self._parent, "Write the page to", "cohort.html", "HTML (*.html)"
        )
        if not out:
            return
        labels = ""
        answer = QMessageBox.question(self._parent, "Cohort page", _QUESTION)
        if answer == QMessageBox.StandardButton.Yes:
            labels, _ = QFileDialog.getOpenFileName(
                self._parent, "Labels of the cases", filter="Tables (*.csv *.tsv *.txt)"
            )
            if not labels:
                return
        self.write(Path(out), Path(labels) if labels else None)

    def write(self, out: Path, labels: Path | None = None) -> None:
        """Write the page over the slides that are on the list now.

        Parameters
        ----------
        out
            The page, HTML.
        labels
            Table of labels; None for none.
        """
        runs = [self._listed(entry) for entry in self._entries]
        self._out = out
        settings = CohortSettings(out, labels)
        self.task.start(partial(write_cohort, listed_sources(runs), settings))

    def _listed(self, entry: SlideEntry) -> ListedRun:
        facts = entry.facts
        found = ListedRun(entry.name, entry.case.text)
        if facts is not None:
            found = replace(
                found, content=facts.quick_hash, picture=facts.thumbnail, problem=facts.problem
            )
        if entry.failed:
            found = replace(found, problem=entry.queued)
        run = None if entry.layer is None else self._session.run_of(entry.layer)
        if run is not None:
            return replace(found, store=run.store.path, model=run.model, card=run.card)
        if facts is None or facts.stored is None:
            return found
        model = self._session.score_choice.model
        try:
            return replace(found, store=facts.stored.path, model=model, card=read_card(model))
        except SmseError as error:
            return replace(found, problem=str(error))

    def _allow(self) -> None:
        self.button.setEnabled(bool(list(self._entries)))

    def _show_progress(self, progress: Progress) -> None:
        if progress.message:
            self.described.emit(progress.message)

    def _show_written(self, cohort: Cohort) -> None:
        number = sum(len(one.slides) for one in cohort.groups)
        lines = [f"The page over {counted(number, 'scored slides')} is in {self._out}."]
        for group in cohort.groups:
            if group.comparison is not None:
                lines.append(f"{group.model}: {group.comparison.describe(group.class_name)}")
        self.described.emit("\n".join([*lines, *cohort.warnings]))
