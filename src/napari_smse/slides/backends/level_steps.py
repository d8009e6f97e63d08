"""How many level-0 px a level's pixel spans, where the file states how large its pixels are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from napari_smse.slides.backends.base import Level

Spacing = tuple[float, float]
"""Size of a pixel across and down, in any unit that all levels of a slide share."""

SizedSpacing = tuple[int, int, Spacing | None]
"""Width and height of a stored image, px, and its spacing, if the file states it."""

_TOLERANCE = 0.01
_ROUNDING = 1
_FEW_DIGITS = 1e-3


def placed_levels(levels: Sequence[Level], stated: Iterable[SizedSpacing]) -> tuple[Level, ...]:
    """Return levels with the steps that their pixels' sizes give, and without their padding.

    Sizes in px do not tell a step where levels are padded to whole tiles. What a file states is
    believed for all levels or for none: where it is silent, or could not have led to levels of
    these sizes, as where one resolution is copied to all of them, levels come back as they are.

    Parameters
    ----------
    levels : sequence of Level
        Level 0 first, their steps as the sizes give them.
    stated : iterable of (width, height, spacing)
        The images in the file, in its order; others than levels may be among them.
    """
    spacings = _match_spacings(levels, stated)
    steps = _stated_steps(levels, spacings)
    return tuple(
        level if step is None else _placed(levels[0], level, step)
        for level, step in zip(levels, steps, strict=True)
    )


def _match_spacings(
    levels: Sequence[Level], stated: Iterable[SizedSpacing]
) -> tuple[Spacing | None, ...]:
    """Find each level's spacing by its size; padded levels of one size stay in their order."""
    by_size: dict[tuple[int, int], list[Spacing | None]] = defaultdict(list)
    for width, height, spacing in stated:
        by_size[width, height].append(spacing)
    sizes = [(level.width, level.height) for level in levels]
    for size, candidates in by_size.items():
        if len(candidates) != sizes.count(size):  # which of them are levels is not known
            candidates.clear()
    return tuple(by_size[size].pop(0) if by_size[size] else None for size in sizes)


def _stated_steps(
    levels: Sequence[Level], spacings: Sequence[Spacing | None]
) -> tuple[float | None, ...]:
    """Return the steps that the spacings give, None for all if one of them cannot be."""
    silent = (None,) * len(levels)
    if spacings[0] is None:
        return silent
    steps = [1.0]
    for level, spacing in zip(levels[1:], spacings[1:], strict=True):
        if spacing is None:
            return silent
        across, down = (side / full for side, full in zip(spacing, spacings[0], strict=True))
        step = (across + down) / 2
        if abs(across - down) > _TOLERANCE * step or step < steps[-1] * (1 + _TOLERANCE):
            return silent
        if not _explains(levels[0], level, step):
            return silent
        steps.append(step)
    return tuple(steps)


def _explains(full: Level, level: Level, step: float) -> bool:
    """Whether some extent gives both levels' sizes, each padded by less than a tile or not."""
    return all(
        _min_unpadded(full_side, full_tile) < (side + _ROUNDING) * step
        and (_min_unpadded(side, tile)) * step < full_side
        for full_side, full_tile, side, tile in (
            (full.width, full.tile_width, level.width, level.tile_width),
            (full.height, full.tile_height, level.height, level.tile_height),
        )
    )


def _min_unpadded(side: int, tile: int) -> int:
    """Return the length that a side exceeds without padding: only whole tiles may hold any."""
    return side - (tile if side % tile == 0 else _ROUNDING)


def _placed(full: Level, level: Level, step: float) -> Level:
    step = _exact(level, step)
    return replace(
        level,
        width=_covered(full.width, level.width, step),
        height=_covered(full.height, level.height, step),
        downsample=step,
    )


def _exact(level: Level, step: float) -> float:
    """Take sizes or a whole step instead, where that moves nothing: spacings have few digits."""
    side = max(level.width, level.height)
    if abs(step - level.downsample) * side < step:
        return level.downsample
    rounded = float(round(step))
    negligible = abs(step - rounded) * side < step / 2 and abs(step - rounded) < _FEW_DIGITS * step
    return rounded if negligible else step


def _covered(full: int, side: int, step: float) -> int:
    """Return how much of a side level 0 reaches; beyond lies padding."""
    reached = math.ceil(full / step)
    return side if side <= reached + _ROUNDING else reached
