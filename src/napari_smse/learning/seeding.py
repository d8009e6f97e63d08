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
    # torch takes signed 64-bit seeds.
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator_of(*parts: int) -> torch.Generator:
    """Return a CPU generator of its own, seeded by some numbers."""
    return torch.Generator().manual_seed(seed_of(*parts))


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """Draw a number between two."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
