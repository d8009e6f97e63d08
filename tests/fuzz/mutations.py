"""Damage to the bytes of a file: what disks, networks and ill will do to it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

Mutation = Callable[[bytes, random.Random], bytes]

_ODD_NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_ODD_TEXTS: Final = (
    b"-1", b"0", b"1e309", b"NaN", b"null", b"true", b'""', b"[]", b"{}", b"99999999999999999999",
    b'"\\u0000"', b'"' + b"a" * 5000 + b'"', b"[" * 3000, b"-0.0", b"1.5",
)  # fmt: skip


def flip_bit(content: bytes, rng: random.Random) -> bytes:
    """Turn one bit over."""
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def change_number(content: bytes, rng: random.Random) -> bytes:
    """Put an odd number of 1, 2 or 4 bytes anywhere, more often near the beginning."""
    size, order = rng.choice((1, 2, 4)), rng.choice(("little", "big"))
    value = rng.choice(_ODD_NUMBERS) & (256**size - 1)
    reach = len(content) if rng.random() < 0.5 else min(len(content), 512)
    place = rng.randrange(max(1, reach - size))
    return content[:place] + value.to_bytes(size, order) + content[place + size :]  # type: ignore[arg-type]


def change_text(content: bytes, rng: random.Random) -> bytes:
    """Put something odd in the place of a number or a quoted text."""
    found = list(re.finditer(rb'"[^"\n]{0,80}"|-?\d+(?:\.\d+)?', content[:20_000]))
    if not found:
        return flip_bit(content, rng)
    chosen = rng.choice(found)
    return content[: chosen.start()] + rng.choice(_ODD_TEXTS) + content[chosen.end() :]


def cut_end(content: bytes, rng: random.Random) -> bytes:
    """Keep the beginning alone."""
    return content[: rng.randrange(len(content))]


def cut_middle(content: bytes, rng: random.Random) -> bytes:
    """Leave a piece out."""
    first = rng.randrange(len(content))
    return content[:first] + content[first + rng.randrange(1, 200) :]


def repeat_piece(content: bytes, rng: random.Random) -> bytes:
    """Say a piece twice."""
    first = rng.randrange(len(content))
    last = first + rng.randrange(1, 200)
    return content[:last] + content[first:last] + content[last:]


def insert_noise(content: bytes, rng: random.Random) -> bytes:
    """Put random bytes in."""
    place = rng.randrange(len(content))
    return content[:place] + rng.randbytes(rng.randrange(1, 20)) + content[place:]


def zero_piece(content: bytes, rng: random.Random) -> bytes:
    """Lose a sector."""
    first = rng.randrange(len(content))
    length = min(rng.choice((1, 8, 64, 512, 4096)), len(content) - first)
    return content[:first] + bytes(length) + content[first + length :]


MUTATIONS: Final[tuple[Mutation, ...]] = (
    flip_bit,
    change_number,
    change_text,
    cut_end,
    cut_middle,
    repeat_piece,
    insert_noise,
    zero_piece,
)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return content with one to three kinds of damage; never the same."""
    changed = content
    while changed == content:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            changed = rng.choice(MUTATIONS)(changed, rng) if changed else rng.randbytes(3)
    return changed
