"""Keys of a viewer or a layer, taken for a while and given back.

1 to 9 are the first classes, and 0 is ``Ignore*``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

KEYS: Final = tuple(str(number) for number in range(1, 10))
_ALL_KEYS: Final = ("0", *KEYS)


def bind_class_keys(owner: Any, choose: Callable[[int], None]) -> None:
    """Have the keys of a viewer or a layer choose a class by its number; 0 is ``Ignore*``."""
    for number, key in enumerate(_ALL_KEYS):
        owner.bind_key(key, _chooser(choose, number), overwrite=True)


def unbind_class_keys(owner: Any) -> None:
    """Give the keys back."""
    for key in _ALL_KEYS:
        owner.bind_key(key, None, overwrite=True)


def _chooser(choose: Callable[[int], None], number: int) -> Callable[[object], None]:
    # A function, as napari asks what it binds for its name.
    def choose_class(_owner: object) -> None:
        choose(number)

    return choose_class


Action = Callable[[object], Iterator[None] | None]
"""What a key does; what comes after the ``yield`` of a generator, it does when it is let go."""


class KeyBindings:
    """Remembers what was bound to a key, and binds it again when the key is given back.

    What somebody else bound to it meanwhile stays.
    """

    def __init__(self) -> None:
        self._lent: list[tuple[Any, Any, Action, Any]] = []

    def __bool__(self) -> bool:
        """Whether any key is taken."""
        return bool(self._lent)

    def take(self, owner: Any, actions: Mapping[Any, Action]) -> None:
        """Take keys of a viewer or a layer.

        Parameters
        ----------
        owner
            Anything with napari's ``bind_key``.
        actions
            What each key does, a name such as ``S`` or a key of app-model; it is handed the owner.
            A generator is run until it yields when the key goes down, and on when it comes up.
        """
        for key, action in actions.items():
            before = owner.bind_key(key, action, overwrite=True)
            self._lent.append((owner, key, action, before))

    def give_back(self) -> None:
        """Give all of them back, the last taken first."""
        while self._lent:
            owner, key, action, before = self._lent.pop()
            now = owner.bind_key(key, None, overwrite=True)
            rebound = before if now is action else now
            if rebound is not None:
                owner.bind_key(key, rebound, overwrite=True)
