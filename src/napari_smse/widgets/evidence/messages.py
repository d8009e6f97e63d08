"""What the evidence for a tile says, in sentences."""

from __future__ import annotations

from napari_smse.metrics.estimate import Estimate, counted, percent, share_estimate
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


def describe_sample(evidence: Evidence) -> str:
    """Say how little so few reference tiles can tell; nothing without any."""
    if not evidence.nearest:
        return ""
    name, cases = evidence.called, [neighbour.case for neighbour in evidence.nearest]
    hits = [neighbour.class_name == name for neighbour in evidence.nearest]
    share = share_estimate(hits, cases)
    assert share.low is not None
    assert share.high is not None
    return (
        f"{evidence.count(name)} of n = {len(hits)}, of {counted(len(set(cases)), 'cases')}: of "
        f"tiles like these, {percent(share.low)} to {percent(share.high)} would be {name} (95 % "
        "interval). Reference tiles of two scales at one place count once."
    )


def describe_own(evidence: Evidence) -> str:
    """Say that a tile is a reference tile itself; nothing if it is not."""
    if not evidence.own:
        return ""
    return (
        f"Its own tissue is a reference tile ({' and '.join(evidence.own)}), which was left out: "
        "else it would match itself."
    )


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


def describe_out_of_distribution(share: Estimate, added: bool = False, scale: str = "") -> str:
    """Say how much of the tissue is unlike what is known.

    Parameters
    ----------
    share
        Of the tiles of a scale.
    added
        Whether added reference tiles count as known, too.
    scale
        What that scale is called.
    """
    if share.value is None or share.low is None or share.high is None:
        return "No tile could be compared with what this model was trained on."
    part = "Less than 1 %" if 0 < share.value < 0.005 else percent(share.value)
    known = "was trained on, or that was added" if added else "was trained on"
    at = f" at {scale}" if scale else ""
    return (
        f"{part} of the tissue is unlike anything this model {known} (95 % interval "
        f"{percent(share.low)} to {percent(share.high)}; n = {counted(share.n or 0, 'tiles')}{at})."
    )
