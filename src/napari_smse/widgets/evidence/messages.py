"""What the evidence for a tile says, in sentences."""

from __future__ import annotations

import math

from napari_smse.similarity.evidence import Evidence, TileEvidence


def describe_vote(evidence: Evidence) -> str:
    """Say how the most similar reference tiles vote."""
    number, name = len(evidence.nearest), evidence.called
    if not number:
        return "There is no reference tile to compare with."
    away = f"{evidence.distance:.2f} away"
    if number == 1:
        return f"The most similar reference tile is {name}, {away}."
    votes = evidence.count(name)
    if votes == number:
        return f"All {number} most similar reference tiles are {name}; the nearest is {away}."
    are = "is" if votes == 1 else "are"
    nearer = "" if votes * 2 > number else ", and nearer than the others"
    return (
        f"{votes} of the {number} most similar reference tiles {are} {name}{nearer}; the nearest "
        f"is {away}."
    )


def describe_ood(unlike: float | None) -> str:
    """Say whether a tile is like anything known; nothing if that is not known."""
    if unlike is None or math.isnan(unlike):
        return ""
    if unlike > 1:
        return "This tile looks unlike everything known to the model: trust no class here."
    return "This tile looks like tiles that are known."


def describe_disagreement(one: TileEvidence) -> str:
    """Say where the class head and the reference tiles differ; nothing where they do not."""
    if not one.evidence.nearest or not one.probability:
        return ""
    head = max(one.probability, key=lambda name: one.probability[name])
    if head == one.evidence.called:
        return ""
    return (
        f"The class head says otherwise ({head} {one.probability[head]:.2f}): look at the tile "
        "yourself."
    )


def describe_out_of_distribution(share: float, added: bool = False) -> str:
    """Say how much of the tissue, 0 to 1, is unlike what is known, with added tiles or without."""
    percent = f"{share:.0%}".replace("%", " %")
    if 0 < share < 0.005:
        percent = "Less than 1 %"
    known = "was trained on, or that was added" if added else "was trained on"
    return f"{percent} of the tissue is unlike anything this model {known}."
