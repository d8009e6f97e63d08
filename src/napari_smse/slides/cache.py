"""A cache of arrays bounded by their bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray


class ArrayCache:
    """Caches the arrays used last; safe to share between threads.

    Parameters
    ----------
    limit : int
        Maximal number of bytes. The array put in last always stays, even when it
        alone is larger: a slide stored in one piece would be decoded for every tile.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._bytes = 0
        self._arrays: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes cached now."""
        return self._bytes

    def get(self, key: Hashable) -> NDArray[np.uint8] | None:
        """Return an array, or None when it is not cached."""
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                self._arrays.move_to_end(key)
            return array

    def put(self, key: Hashable, array: NDArray[np.uint8]) -> None:
        """Cache an array; those unused for longest go when the limit is passed."""
        with self._lock:
            old = self._arrays.pop(key, None)
            self._bytes += array.nbytes - (0 if old is None else old.nbytes)
            self._arrays[key] = array
            while self._bytes > self.limit and len(self._arrays) > 1:
                self._bytes -= self._arrays.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._arrays.clear()
            self._bytes = 0
