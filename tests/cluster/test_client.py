"""The way to workers, and what is told where there is none."""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import TYPE_CHECKING

import dask
import psutil
import pytest

from napari_smse.cluster import connected_to, local_workers
from napari_smse.errors import DeviceError, WorkerError

if TYPE_CHECKING:
    from distributed import Client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_smse.cluster.client.CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr("napari_smse.cluster.client._WORKERS_S", 0.5)


def test_workers_are_reached_by_their_scheduler() -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        connected_to(cluster.scheduler_address) as client,
    ):
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3


@pytest.mark.parametrize("key", ["none", "of their own"])
def test_others_on_this_machine_do_not_reach_workers_started_here(
    workers: Client, key: str
) -> None:
    from distributed import Client, Security

    address = workers.scheduler.address
    security = Security.temporary() if key == "of their own" else None
    places = [address, *workers.scheduler_info()["workers"]]
    if key == "none":
        places += [place.replace("tls://", "tcp://") for place in places]
    for place in places:
        with pytest.raises((OSError, TypeError)):
            Client(place, security=security, timeout=5).close()
        gc.collect()  # Dask may wait for itself if this happens while another client starts
    assert workers.submit(sum, [1, 2]).result(timeout=30) == 3


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "no address", "http://127.0.0.1:9", ""])
def test_an_address_where_nobody_answers_is_told(address: str) -> None:
    with pytest.raises(DeviceError, match="No Dask scheduler answers at"), connected_to(address):
        pass


@pytest.mark.usefixtures("impatient")
def test_a_client_that_found_nobody_is_gone_before_another_one_starts() -> None:
    """Collected while another one starts, it has that one wait for ever."""
    from distributed import Client

    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(one, Client) for one in gc.get_objects())
        with pytest.raises(DeviceError), connected_to("tcp://127.0.0.1:9"):
            pass
        assert sum(isinstance(one, Client) for one in gc.get_objects()) == before
    finally:
        gc.enable()


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_without_workers_is_told() -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        pytest.raises(WorkerError, match="No workers joined"),
        connected_to(cluster.scheduler_address),
    ):
        pass


def test_a_worker_that_died_is_replaced_however_long_it_takes_to_start() -> None:
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}),
        local_workers(1) as client,
    ):
        [(address, process)] = client.run(os.getpid).items()
        psutil.Process(process).kill()
        for _ in range(600):
            known = client.cluster.scheduler_info["workers"]
            if known and address not in known:
                break
            time.sleep(0.1)
        [now] = client.run(os.getpid).values()
        assert now != process


@pytest.mark.parametrize("count", [0, -1])
def test_no_workers_are_refused(count: int) -> None:
    with pytest.raises(DeviceError, match="give at least 1"), local_workers(count):
        pass


@pytest.mark.parametrize("way", [lambda: local_workers(1), lambda: connected_to("tcp://x:1")])
def test_a_missing_package_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, way: object
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DeviceError, match=r'pip install "napari-smse\[cluster\]"'), way():
        pass


def test_no_workers_are_started_that_anybody_could_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with (
        pytest.raises(DeviceError, match=r'cryptography.*pip install "napari-smse\[cluster\]"'),
        local_workers(1),
    ):
        pass
