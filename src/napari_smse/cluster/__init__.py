"""Slides scored by several processes, on this machine or a Dask cluster.

dask.distributed is imported only when workers are asked for.
"""

from napari_smse.cluster.client import connected_to, local_workers
from napari_smse.cluster.scheduler import ClusterJob, ClusterProgress, ClusterScoring
from napari_smse.cluster.slide_task import SlideWork

__all__ = [
    "ClusterJob",
    "ClusterProgress",
    "ClusterScoring",
    "SlideWork",
    "connected_to",
    "local_workers",
]
