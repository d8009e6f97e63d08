"""Score a folder of slides by workers that a queue starts: one huge slide keeps all of them busy.

pip install "napari-smse[cluster]" dask-jobqueue
python dask_workers.py /slides /results
"""

import subprocess
import sys

from dask_jobqueue import SLURMCluster


def main(slides: str, results: str) -> int:
    """Return the exit status of the scoring, which runs here and has workers do the work."""
    with SLURMCluster(cores=1, processes=1, memory="4GB", walltime="04:00:00") as cluster:
        cluster.scale(jobs=16)
        # Anybody who reaches the scheduler's port may run code by it: keep it in the cluster's own
        # network, or give SLURMCluster a `security` and `protocol="tls://"`.
        score = ["napari-smse", "score", slides, "--out", results, "--mpp", "0.5", "--float32"]
        return subprocess.run([*score, "--scheduler", cluster.scheduler_address]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
