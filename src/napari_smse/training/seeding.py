"""Seeds that depend on what is drawn and nothing else, so that a resumed run draws the same."""

from __future__ import annotations

import numpy as np
import torch


def seed_of(*parts: int) -> int:
    """Return a well-mixed 63-bit seed of some numbers, such as seed, step and position.

    Parameters
    ----------
    *parts
        Not negative.
    """
    # Numbers are padded with zeros, so that (1, 2) and (1, 2, 0) would be the same.
    mixed = np.random.SeedSequence([len(parts), *parts]).generate_state(1, np.uint64)[0]
    # torch takes signed 64-bit seeds.
    return int(mixed >> np.uint64(1))


def generator_of(*parts: int) -> torch.Generator:
    """Return a CPU generator of its own, seeded by some numbers."""
    return torch.Generator().manual_seed(seed_of(*parts))


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """Draw a number between two."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
