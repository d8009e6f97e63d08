"""Memory that is kept between layers, seen by the pages that a process has to fetch anew."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, threading
import torch
from napari_smse.scoring.runtimes.malloc import retain_freed_memory

def faults():
    for _ in range(4):
        one = torch.zeros(6_000_000)
        two = one + 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        one = torch.zeros(6_000_000)
        two = one + 1
        del one, two
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

if sys.argv[1] == "kept":
    assert retain_freed_memory() and retain_freed_memory()
thread = threading.Thread(target=faults)
thread.start()
thread.join()
"""


def faults(how: str) -> int:
    # As Dask starts its workers.
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        env={"PATH": "", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_what_a_layer_frees_is_not_fetched_anew_for_the_next() -> None:
    assert faults("kept") < faults("given back") / 10
