from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.slides.cache import ArrayCache


def _array(nbytes: int) -> np.ndarray:
    return np.zeros(nbytes, np.uint8)


def test_what_was_used_last_stays() -> None:
    cache = ArrayCache(30)
    for name in "abc":
        cache.put(name, _array(10))
    assert cache.get("a") is not None
    cache.put("d", _array(10))
    assert cache.get("b") is None
    assert all(cache.get(name) is not None for name in "acd")


def test_the_last_stays_even_when_too_large() -> None:
    cache = ArrayCache(30)
    cache.put("a", _array(10))
    cache.put("b", _array(100))
    assert cache.get("a") is None
    assert cache.get("b") is not None
    cache.clear()
    assert cache.nbytes == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20)), max_size=60))
@settings(deadline=None)
def test_bytes_are_counted(puts: list[tuple[int, int]]) -> None:
    cache = ArrayCache(50)
    for key, size in puts:
        cache.put(key, _array(size))
        held = [cache.get(k) for k in range(6)]
        assert cache.nbytes == sum(array.nbytes for array in held if array is not None) <= 50
