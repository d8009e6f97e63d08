"""Keeps measured how far the slide in view is out of distribution, for all docks alike."""

from __future__ import annotations

from functools import partial

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_smse.errors import SmseError
from napari_smse.widgets.session import Session
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.out_of_distribution import RunOod, measure_run


class OodMonitor(QObject):
    """Measures the run in force of the slide in view, and tells the session.

    It measures anew when another run is in force, when one came to its end, and when other
    exemplars count as known.

    Parameters
    ----------
    session
        Of the viewer.
    """

    progressed = Signal(object)
    """How far it is, where tiles must be read from the slide once more."""

    problem = Signal(str)
    """It cannot be measured; the text says why."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._layer: Image | None = None
        # Without a parent, as a worker may still speak while its dock is being destroyed.
        self.task = Worker()
        self.task.progressed.connect(self.progressed)
        self.task.returned.connect(self._take)
        self.task.errored.connect(self.problem)
        session.slide_changed.connect(self._measure)
        session.run_changed.connect(self._on_changed)
        session.known_changed.connect(self._on_changed)
        self._measure()

    def release(self) -> None:
        """Measure no more."""
        self.task.cancel()
        for signal, slot in (
            (self._session.slide_changed, self._measure),
            (self._session.run_changed, self._on_changed),
            (self._session.known_changed, self._on_changed),
        ):
            signal.disconnect(slot, missing_ok=True)

    def _on_changed(self, layer: Image) -> None:
        if layer is self._session.slide_layer:
            self._measure()

    def _measure(self) -> None:
        self.task.cancel()
        session = self._session
        layer = session.slide_layer
        run = None if layer is None else session.run_of(layer)
        # While a slide is being scored, nothing should compete with that.
        if layer is None or run is None or not run.store.finished or session.is_scoring(layer):
            return
        bank, measured = session.known_of(layer), session.ood_of(layer)
        if measured is not None and measured.run is run and measured.bank is bank:
            return
        try:
            slide = slide_of(layer)
        except SmseError as error:
            self.problem.emit(str(error))
            return
        self._layer = layer
        self.task.start(partial(measure_run, slide, run, bank))

    def _take(self, scores: RunOod) -> None:
        if self._layer is not None and self._session.run_of(self._layer) is scores.run:
            self._session.set_ood(self._layer, scores)
