"""Whether a model knows tiles like this one: one statement from how it looks and where it lies.

Two things are measured of a tile. Its *appearance*, stain and sharpness, is compared with that of
the training tiles; and its *embedding* lies near to reference tiles or far from them. Either alone
misleads: a network lays blurred or inked tiles among the others, and tissue of another organ may be
stained as usual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.neighbours import nearest

_NEAR_PERCENTILE: Final = 95.0
_FEWEST: Final = 20
"""Of fewer reference tiles, nobody can tell how near is near."""

Verdict = Literal["known", "unfamiliar", "out of distribution", "untold"]


@dataclass(frozen=True)
class Familiarity:
    """Whether a model knows tiles like one.

    Attributes
    ----------
    verdict
        In one word.
    sentence
        For a person, with what follows; empty if nothing is measured.
    measured
        The figures behind it, for a tooltip.
    """

    verdict: Verdict
    sentence: str
    measured: str


def near_limit(bank: ExemplarBank) -> float | None:
    """Return how far from its nearest reference tile a tile may lie that is known.

    95 % of the exemplars have one of another case within that distance. None if the exemplars are
    too few, or of one case.
    """
    if len(bank) < _FEWEST or len(set(bank.cases)) < 2:
        return None
    case = np.unique(np.array(bank.cases), return_inverse=True)[1]
    found = nearest(bank.embeddings, bank.embeddings, 1, excluded=case[:, None] == case)
    distances = found.distances[:, 0]
    return float(np.percentile(distances[np.isfinite(distances)], _NEAR_PERCENTILE))


def familiarity(appearance: float | None, distance: float, limit: float | None) -> Familiarity:
    """Say whether a model knows tiles like one.

    Parameters
    ----------
    appearance
        How unlike the training tiles it looks: above 1, more than 95 % of them do. None or NaN if
        that is not measured.
    distance
        To the nearest reference tile, 0 to 2; infinite if there is none.
    limit
        What is near, as of `near_limit`; None if that cannot be told.
    """
    looks = None if appearance is None or math.isnan(appearance) else appearance <= 1
    near = None if limit is None or math.isinf(distance) else distance <= limit
    verdict, sentence = _SAID[looks, near]
    return Familiarity(verdict, sentence, _measured(appearance, distance, limit))


_SAID: Final[dict[tuple[bool | None, bool | None], tuple[Verdict, str]]] = {
    (True, True): (
        "known",
        "Known: the tile looks like training tiles, and reference tiles lie near it.",
    ),
    (True, False): (
        "unfamiliar",
        "Unfamiliar: stain and sharpness are as in training, but no reference tile is near. Such "
        "tissue was hardly trained on: do not rely on the class.",
    ),
    (True, None): (
        "known",
        "Known by its looks: stain and sharpness are as in training. There are too few reference "
        "tiles to tell more.",
    ),
    (False, True): (
        "out of distribution",
        "Out of distribution: stain or sharpness are unlike training tiles, so that the reference "
        "tiles near it mean nothing. Do not rely on the class.",
    ),
    (False, False): (
        "out of distribution",
        "Out of distribution: stain or sharpness are unlike training tiles, and no reference tile "
        "is near. Do not rely on the class.",
    ),
    (False, None): (
        "out of distribution",
        "Out of distribution: stain or sharpness are unlike training tiles. Do not rely on the "
        "class.",
    ),
    (None, True): (
        "untold",
        "Reference tiles lie near. Whether the tile looks like training tiles is not measured.",
    ),
    (None, False): (
        "unfamiliar",
        "Unfamiliar: no reference tile is near. Do not rely on the class.",
    ),
    (None, None): ("untold", ""),
}
"""By whether it looks like training tiles, and whether a reference tile is near."""


def _measured(appearance: float | None, distance: float, limit: float | None) -> str:
    looks = "Appearance: not measured."
    if appearance is not None and not math.isnan(appearance):
        looks = f"Appearance: {appearance:.2f}, where 95 % of training tiles have 1 or less."
    if math.isinf(distance):
        return f"{looks}\nThere is no reference tile to compare with."
    near = f"{looks}\nNearest reference tile: {distance:.2f} away, of 2 at most."
    if limit is None:
        return f"{near} There are too few reference tiles of several cases to tell what is near."
    return (
        f"{near} 95 % of the reference tiles have one of another case within {limit:.2f}: that is "
        "near."
    )
