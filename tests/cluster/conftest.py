"""Two worker processes for all tests here: starting Pythons takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from napari_smse.cluster import local_workers
from support import TESTS

if TYPE_CHECKING:
    from distributed import Client


@pytest.fixture(scope="package")
def workers() -> Iterator[Client]:
    """A way to two workers, who find what tests bring along."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TESTS), before]))
    try:
        with local_workers(2) as client:
            yield client
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
