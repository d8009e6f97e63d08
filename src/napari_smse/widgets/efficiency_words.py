"""What is said of what labels are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from napari_smse.widgets.efficiency_job import LabelWorth

_NEEDED: Final = (
    "What labels are worth can be told once two classes are each labelled on two slides, or in two "
    "regions of one slide."
)
_A_CLASS: Final = "label tiles here, or draw regions (SMSE: Annotate)"
_OTHERS: Final = "Label what is different instead, such as another slide."
_MATTERS: Final = 0.01
_FEW: Final = 4


def missing(slides: Mapping[str, int], regions: Mapping[str, int]) -> str:
    """Say which labels are missing.

    Parameters
    ----------
    slides, regions
        On how many slides, and in how many regions, each class is labelled.
    """
    if not slides:
        return f"{_NEEDED} Nothing is labelled yet: {_A_CLASS}."
    alone = [name for name, number in regions.items() if number < 2]
    if len(slides) == 1:
        (name,) = slides
        where = " and in one place only" if alone else ""
        return f"{_NEEDED} Only {name} is labelled so far{where}: label a second class as well."
    are = "is" if len(alone) == 1 else "are each"
    return (
        f"{_NEEDED} {_and(alone)} {are} labelled in one place only: label more of "
        f"{'it' if len(alone) == 1 else 'them'} elsewhere."
    )


def verdict(found: LabelWorth) -> str:
    """Say whether further labels help."""
    efficiency = found.efficiency
    fewer, more = (int(number) for number in efficiency.budgets[-2:])
    before, after = (_percent(mean) for mean in efficiency.better.accuracy.mean(axis=0)[-2:])
    facts = (
        f"with {more} labelled tiles instead of {fewer}, {after} of held-out tiles are called "
        f"right instead of {before}"
    )
    if before == after:
        facts = f"with {more} labelled tiles as with {fewer}, {after} of held-out tiles are right"
    if efficiency.verdict == "full":
        return (
            f"Further labels like these can hardly help: with {more} labelled tiles, "
            f"{after} of held-out tiles are called right. {_OTHERS}"
        )
    if efficiency.verdict == "helps":
        return f"Further labels still help: {facts}."
    if efficiency.verdict == "hardly":
        return f"Further labels like these hardly help: {facts}. {_OTHERS}"
    return (
        f"Whether further labels help cannot be told yet: {facts}, but from split to split that "
        f"differs by ± {_percent(efficiency.gain.spread)}. Labels {_elsewhere(found)} would tell."
    )


def about(found: LabelWorth) -> str:
    """Say what was measured, on what, and what speaks against it."""
    units = _units(found)
    number = sum(found.taken.values())
    of_all = f" of {found.labelled:,}, taken evenly," if number < found.labelled else ""
    classes = ", ".join(f"{name} {count:,}" for name, count in found.taken.items())
    told = [
        f"{number:,} labelled tiles{of_all} {_on(found)} {found.units} {units} ({classes}).",
        f"Half of the {units}{'' if found.by_slide else ', those to one side,'} are held out, ten "
        "times anew, and their tiles called by the class whose labelled tiles they are most like. "
        "The bands show how far that differs from time to time.",
        _queue(found),
    ]
    if found.model_right is not None:
        told.append(f"The model as it is calls {_percent(found.model_right)} of them right.")
    return " ".join([*told, *_against(found)])


def _queue(found: LabelWorth) -> str:
    lead = found.efficiency.lead
    if not lead.is_clear or abs(lead.mean) < _MATTERS:
        return "The order of the queue makes no clear difference."
    more = "more" if lead.mean > 0 else "less"
    return (
        f"In the order of the queue, labels teach {more} than in random order (by "
        f"{_percent(abs(lead.mean))} on average)."
    )


def _against(found: LabelWorth) -> list[str]:
    told = []
    if not found.by_slide:
        told.append(
            "Regions of one slide are more alike than slides: expect less on another patient's."
        )
    if found.fewest_units < _FEW:
        told.append(f"With so few {_units(found)} of a class, the bands say little.")
    if found.left_out:
        verb = "lies" if len(found.left_out) == 1 else "lie"
        where = f"{_on(found)} one {_units(found)[:-1]}"
        told.append(f"Left out: {_and(found.left_out)}, which {verb} {where} only.")
    if found.tuned:
        told.append("The model was fine-tuned: if with these labels, this looks better than it is.")
    return told


def _units(found: LabelWorth) -> str:
    return "slides" if found.by_slide else "regions"


def _on(found: LabelWorth) -> str:
    return "on" if found.by_slide else "in"


def _elsewhere(found: LabelWorth) -> str:
    return "on more slides" if found.by_slide else "in more regions, or on a second slide,"


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")
