"""Keys of a viewer or a layer, taken for a while and given back as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Action = Callable[[object], None]


class LentKeys:
    """Remembers what was bound to a key, and binds it again when the key is given back.

    What somebody else bound to it meanwhile stays.
    """

    def __init__(self) -> None:
        self._lent: list[tuple[Any, str, Action, Any]] = []

    def __bool__(self) -> bool:
        """Whether any key is taken."""
        return bool(self._lent)

    def take(self, owner: Any, actions: Mapping[str, Action]) -> None:
        """Take keys of a viewer or a layer.

        Parameters
        ----------
        owner
            Anything with napari's ``bind_key``.
        actions
            What each key does; it is handed the owner.
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
