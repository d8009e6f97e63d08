"""Ways to score slides: in this process, or by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from napari_smse.cluster import ClusterJob, ClusterScoring, SlideWork, connected_to, local_workers
from napari_smse.progress import OnProgress, Progress
from napari_smse.scoring import choose_devices, score
from napari_smse.scoring.device import PrecisionChoice, usable_cores
from napari_smse.scoring.runtimes.selection import device_as_wanted
from napari_smse.workflows.batch.slide_job import OpenJob, PlannedJob, SlideJob

if TYPE_CHECKING:
    from distributed import Client

    from napari_smse.models import Model
    from napari_smse.scoring import ComputeDevice

    LoadNetwork = Callable[[], tuple[Model, list[ComputeDevice]]]
    """Loads a network, and says what it runs on."""


class BatchReporter(Protocol):
    """Takes the progress of a batch; a slide that fails stops no other."""

    failed: int
    """How many slides have failed so far."""

    def report(self, text: str) -> None:
        """Report a fact about the whole batch."""

    def warn(self, warnings: Iterable[str]) -> None:
        """Report what a reader of the results must know."""

    def tiles(self, what: str, progress: Progress) -> None:
        """Report how far the tiles are."""

    def done(self, line: str) -> None:
        """Count a slide as done, with a line about it."""

    def fail(self, error: Exception, slide: str) -> None:
        """Count a slide as failed, with the reason."""


def load_on_fastest(
    model: str, devices: str, reporter: BatchReporter | None = None, *, precision: PrecisionChoice
) -> tuple[Model, list[ComputeDevice]]:
    """Load a network and find the fastest way to run it; torch is imported only now.

    Parameters
    ----------
    model, devices
        By name.
    reporter
        Where to report which model runs where; None for nowhere.
    precision
        See `device_as_wanted`.

    Raises
    ------
    ModelError, DeviceError
        If there is no such model or device, or no int8 network of the model.
    """
    from napari_smse.models import load_model

    chosen = choose_devices(devices, exact=precision == "float32")
    loaded = load_model(model)
    chosen = [device_as_wanted(device, loaded, precision) for device in chosen]
    if reporter is not None:
        where = " and ".join(device.how for device in chosen)
        reporter.report(f"Model {loaded.card.name} on {where}. Research use only.")
    return loaded, chosen


def score_here(jobs: Sequence[SlideJob], load: LoadNetwork, reporter: BatchReporter) -> None:
    """Score slides one after the other in this process; those that fail stop no others.

    Parameters
    ----------
    jobs
        The slides.
    load
        Loads the network, once a slide was opened and planned that needs it; what it raises stops
        all.
    reporter
        Where to report it.
    """
    network = None
    for job, planned in planned_jobs(jobs, reporter):
        network = network or load()
        model, devices = network
        try:
            with planned.prepare(devices) as prepared:
                reporter.warn(prepared.warnings)
                running = score(
                    prepared.slide,
                    model,
                    prepared.plan,
                    prepared.store,
                    devices,
                    threads=usable_cores(),
                    seconds=job.settings.scoring.time_limit,
                )
                for progress in running:
                    reporter.tiles(job.name, progress)
                reporter.done(prepared.save())
        except Exception as error:
            reporter.fail(error, job.path.name)


def tissue_progress(job: SlideJob, reporter: BatchReporter) -> OnProgress:
    """Return what reports how far a network is that looks for a slide's tissue."""
    return partial(reporter.tiles, f"tissue of {job.name}")


def planned_jobs(
    jobs: Iterable[SlideJob], reporter: BatchReporter
) -> Iterator[tuple[SlideJob, PlannedJob]]:
    """Yield slides one after the other, open for as long as they have their turn.

    Those that cannot be opened and planned are reported as failed.
    """
    for job in jobs:
        try:
            planned = job.plan(tissue_progress(job, reporter))
        except Exception as error:
            reporter.fail(error, job.path.name)
            continue
        with planned:
            yield job, planned


def workers(local: int | None, scheduler: str | None) -> AbstractContextManager[Client]:
    """Start workers here, or use those of a scheduler; raises as these do."""
    if scheduler is not None:
        return connected_to(scheduler)
    return local_workers(local or 1)


class WorkerScorer:
    """Has workers score slides, several at once where one does not keep them all busy.

    Parameters
    ----------
    client
        The way to the workers.
    model
        The model, as loaded here.
    model_name
        What workers load it by.
    device
        Where and how each of them runs it.
    """

    def __init__(
        self, client: Client, model: Model, model_name: str, device: ComputeDevice
    ) -> None:
        self._client, self._model, self._model_name = client, model, model_name
        self._device = device
        self._prepared: dict[ClusterJob, OpenJob] = {}

    def score(self, jobs: Sequence[SlideJob], reporter: BatchReporter) -> None:
        """Score slides; those that fail stop no others.

        Raises
        ------
        WorkerError
            If the way to the workers is lost.
        """
        running = ClusterScoring(self._client).run(self._cluster_jobs(jobs, reporter))
        try:
            for update in running:
                reporter.tiles("tiles", update.progress)
                if update.ended is not None:
                    self._end(update.ended, update.error, reporter)
        finally:
            running.close()
            for prepared in self._prepared.values():
                prepared.close()

    def _cluster_jobs(
        self, jobs: Sequence[SlideJob], reporter: BatchReporter
    ) -> Iterator[ClusterJob]:
        for job in jobs:
            try:
                prepared = job.prepare([self._device], tissue_progress(job, reporter))
                cluster_job = self._cluster_job(prepared, reporter)
            except Exception as error:
                reporter.fail(error, job.path.name)
                continue
            self._prepared[cluster_job] = prepared
            yield cluster_job

    def _cluster_job(self, prepared: OpenJob, reporter: BatchReporter) -> ClusterJob:
        try:
            reporter.warn(prepared.warnings)
            return ClusterJob(self._work(prepared), prepared.plan, prepared.store, prepared.slide)
        except BaseException:
            prepared.close()
            raise

    def _work(self, prepared: OpenJob) -> SlideWork:
        return SlideWork.from_slide(
            prepared.slide,
            self._model,
            self._model_name,
            prepared.request,
            prepared.plan,
            self._device,
        )

    def _end(
        self, cluster_job: ClusterJob, error: Exception | None, reporter: BatchReporter
    ) -> None:
        prepared = self._prepared.pop(cluster_job)
        name = prepared.job.path.name
        with prepared:
            if error is not None:
                reporter.fail(error, name)
                return
            try:
                reporter.done(prepared.save())
            except Exception as failure:
                reporter.fail(failure, name)
