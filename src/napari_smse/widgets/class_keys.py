"""The keys 1 to 9, one for each of the first classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

KEYS: Final = tuple(str(number) for number in range(1, 10))


def bind_class_keys(owner: Any, choose: Callable[[int], None]) -> None:
    """Have the keys of a viewer or a layer choose a class by its row."""
    for row, key in enumerate(KEYS):
        owner.bind_key(key, _chooser(choose, row), overwrite=True)


def unbind_class_keys(owner: Any) -> None:
    """Give the keys back."""
    for key in KEYS:
        owner.bind_key(key, None, overwrite=True)


def _chooser(choose: Callable[[int], None], row: int) -> Callable[[object], None]:
    # A function, as napari asks what it binds for its name.
    def choose_class(_owner: object) -> None:
        choose(row)

    return choose_class
