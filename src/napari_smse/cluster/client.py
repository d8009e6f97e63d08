"""The way to workers: started here for a while, or on a Dask cluster."""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_smse.errors import DeviceError, WorkerError

if TYPE_CHECKING:
    from distributed import Client, WorkerPlugin

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10
"""Seconds to wait for a scheduler to answer."""

_WORKERS_S = 120
"""Starting a Python with all it needs takes seconds, on a busy machine many."""

_LOST_S = 3600
"""A worker that died and is being started again counts as lost only then."""


@contextmanager
def local_workers(count: int) -> Iterator[Client]:
    """Start processes on this machine, each for one core, and stop them at the end.

    One that dies is replaced. They talk by TLS with a key of this run, which no one else has.

    Parameters
    ----------
    count
        Number of processes.

    Raises
    ------
    DeviceError
        If dask.distributed or cryptography is not installed, or they do not start.
    """
    _require_distributed()
    if count < 1:
        raise DeviceError(f"There cannot be {count} workers: give at least 1.")
    import dask
    from distributed import Client, LocalCluster, Security

    try:
        # Whoever reaches a scheduler can have it run anything: only the key of this run opens it.
        security = Security.temporary()
    except ImportError as error:
        raise _missing("cryptography, which keeps others from the workers") from error

    with (
        _quiet(),
        # Dask gives up for good whoever is not back after 15 s, but a busy machine starts slowly.
        dask.config.set({"distributed.deploy.lost-worker-timeout": f"{_LOST_S}s"}),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            # What a task holds is bounded; a limit would only kill workers of a large network.
            memory_limit=0,
            dashboard_address="127.0.0.1:0",  # any free port: it is not published
            silence_logs=logging.CRITICAL,
            security=security,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(_interruptions_ignored())
        _wait_for(client, count, "this machine")
        yield client


@contextmanager
def connected_to(address: str) -> Iterator[Client]:
    """Use the workers of a Dask scheduler.

    Parameters
    ----------
    address
        Address of the scheduler, such as ``tcp://10.0.0.5:8786``.

    Raises
    ------
    DeviceError
        If dask.distributed is not installed, or nobody answers at the address.
    """
    _require_distributed()
    with _quiet():
        client = _client_at(address)
        if client is None:
            # A client that found nobody is garbage now. Collected later, while another client
            # starts, it would wait for a lock that its own thread holds.
            gc.collect()
            raise DeviceError(
                f"No Dask scheduler answers at {address}: check the address (such as "
                "tcp://10.0.0.5:8786), and that `dask scheduler` runs there."
            )
        with client:
            _wait_for(client, 1, address)
            yield client


def _client_at(address: str) -> Client | None:
    """Return a client of the scheduler at an address; None if nobody answers there."""
    from distributed import Client

    try:
        return Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.info("no Dask scheduler at %s: %s", address, error)
        return None


def _interruptions_ignored() -> WorkerPlugin:
    """Return what keeps Ctrl-C, which a shell sends to all, from those that are stopped anyway."""
    from distributed import WorkerPlugin

    class IgnoreInterruptions(WorkerPlugin):
        def setup(self, worker: object) -> None:
            del worker
            # Only there can it be set; a worker process runs its event loop in it.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return IgnoreInterruptions()


def _wait_for(client: Client, count: int, place: str) -> None:
    from distributed import TimeoutError as TooLateError

    try:
        client.wait_for_workers(count, timeout=_WORKERS_S)
    except TooLateError as error:
        raise WorkerError(
            f"No workers joined on {place} within {_WORKERS_S} s: check that `dask worker` "
            "runs, with the same napari-smse as here."
        ) from error


def _require_distributed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise _missing("dask.distributed, which workers need") from error


def _missing(package: str) -> DeviceError:
    return DeviceError(f'{package}, is not installed: run pip install "napari-smse[cluster]".')


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log to itself: named errors report what matters."""
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
