"""What the list says of a slide: scored by which model, annotated, indexed, or what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from napari_smse.scoring import objective_power
from napari_smse.widgets.slides.entries import SlideEntry
from napari_smse.workflows.scored_slide import Run


def describe_state(entry: SlideEntry, run: Run | None, regions: int, *, in_index: bool) -> str:
    """Return the state of a slide, one fact a line.

    Parameters
    ----------
    entry
        The slide.
    run
        The run in force; None if there is none.
    regions
        Number of regions drawn on it.
    in_index
        Whether it is in the chosen index.
    """
    facts = entry.facts
    lines = [entry.queued] if entry.queued else []
    if facts is not None and facts.problem and not entry.failed:
        lines.append(facts.problem)
    if run is not None:
        lines.append(f"scored by {_model(run)}")
    elif facts is not None and facts.stored is not None:
        lines.append(f"scored before by {facts.stored.model} at {_powers(facts.stored.mpps)}")
    if regions:
        lines.append(f"{regions} region{'' if regions == 1 else 's'} drawn")
    if in_index:
        lines.append("in the index")
    if not lines:
        lines.append("looking …" if facts is None else "not scored")
    return "\n".join(lines)


def describe_copies(pairs: Sequence[tuple[SlideEntry, SlideEntry]]) -> str:
    """Return which slides show the same, one pair a line; empty if none do."""
    said = []
    for first, other in pairs:
        cases = dict.fromkeys((first.case.text, other.case.text))
        known = f"cases {' and '.join(cases)} count as one" if len(cases) > 1 else "one case"
        said.append(f"{other.name} shows the same tissue as {first.name}: {known} in hold-outs.")
    if len(said) > 2:
        said = [*said[:2], f"So do {len(said) - 2} more pairs."]
    return "\n".join(said)


def _model(run: Run) -> str:
    mpps = [tiles.grid.spec.mpp for tiles in run.plan.scales]
    part = "" if run.store.finished else ", in part"
    return f"{run.card.name} {run.card.version} at {_powers(mpps)}{part}"


def _powers(mpps: Sequence[float]) -> str:
    return " and ".join(f"{objective_power(mpp):.3g}x" for mpp in mpps)
