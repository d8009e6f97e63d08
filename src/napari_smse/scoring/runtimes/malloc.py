"""Retain memory that one layer frees and the next needs, rather than return it to the system."""

from __future__ import annotations

import ctypes
import functools
import platform
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_FROM_HEAP: Final = 32 << 20
"""Bytes; what is larger comes from the system each time. glibc takes no higher limit."""
_RETAINED: Final = 512 << 20
"""Bytes that may be free at the end of the heap before any are given back."""


@functools.cache
def retain_freed_memory() -> bool:
    """Have malloc retain what a network frees, in this process and from now on.

    A network frees and takes tens of megabytes at every layer. glibc decides by what was freed
    before whether it gives them back, and then each is fetched anew, page by page: in a process
    where that went wrong, a network ran at half its speed, or at an eighth where the system is slow
    to give. Dask has its workers give everything back.

    Returns
    -------
    bool
        Whether it could be done: on Linux with glibc. Elsewhere nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    options = {_M_MMAP_THRESHOLD: _LARGEST_FROM_HEAP, _M_TRIM_THRESHOLD: _RETAINED}
    return all(mallopt(option, value) == 1 for option, value in options.items())
