"""What is said of what labels are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from napari_smse.metrics.estimate import Estimate
    from napari_smse.workflows.label_efficiency import LabelEfficiencyResult

_OTHERS: Final = "Label what is different instead, such as a slide of another case."
_MATTERS: Final = 0.01
_FEW: Final = 4


def verdict(found: LabelEfficiencyResult) -> str:
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
    if found.too_few:
        return f"Too few to tell whether further labels help: {found.too_few}. So far, {facts}."
    if found.verdict == "full":
        return (
            f"Further labels like these can hardly help: with {more} labelled tiles, "
            f"{after} of held-out tiles are called right. {_OTHERS}"
        )
    if found.verdict == "helps":
        return f"Further labels still help: {facts}."
    if found.verdict == "hardly":
        return f"Further labels like these hardly help: {facts}. {_OTHERS}"
    return (
        f"Too few to tell whether further labels help: {facts}, but from split to split that "
        f"differs by ± {_percent(efficiency.gain.spread)}. Labels {_elsewhere(found)} would tell."
    )


def about(found: LabelEfficiencyResult) -> str:
    """Say what was measured, on what, and what speaks against it."""
    units = _units(found)
    number = sum(found.taken.values())
    of_all = f" of {found.labelled:,}, taken evenly," if number < found.labelled else ""
    classes = ", ".join(f"{name} {count:,}" for name, count in found.taken.items())
    sentences = [
        f"{number:,} labelled tiles{of_all} {_on(found)} {found.units} {units} ({classes}).",
        f"Half of the {units}{'' if found.by_case else ', those to one side,'} are held out, ten "
        "times anew, and their tiles called by the class whose labelled tiles they are most like. "
        "The bands show how far that differs from time to time.",
        _queue(found),
    ]
    if found.model_right is not None:
        sentences.append(f"The model as it is calls {_estimate(found.model_right)} of them right.")
    return " ".join([*sentences, *_against(found)])


def _queue(found: LabelEfficiencyResult) -> str:
    lead = found.efficiency.lead
    if not lead.is_clear or abs(lead.mean) < _MATTERS:
        return "The order of the queue makes no clear difference."
    more = "more" if lead.mean > 0 else "less"
    return (
        f"In the order of the queue, labels teach {more} than in random order (by "
        f"{_percent(abs(lead.mean))} on average)."
    )


def _against(found: LabelEfficiencyResult) -> list[str]:
    sentences = []
    if not found.by_case:
        sentences.append(
            "Regions of one case are more alike than cases: expect less on another patient's."
        )
    if found.fewest_units < _FEW:
        sentences.append(f"With so few {_units(found)} of a class, the bands say little.")
    if found.left_out:
        several = len(found.left_out) > 1
        verb = ("are" if several else "is") if found.by_case else ("lie" if several else "lies")
        where = f"{_on(found)} one {_units(found)[:-1]}"
        sentences.append(f"Left out: {_and(found.left_out)}, which {verb} {where} only.")
    if found.tuned:
        sentences.append(
            "The model was fine-tuned: if with these labels, this looks better than it is."
        )
    return sentences


def _units(found: LabelEfficiencyResult) -> str:
    return "cases" if found.by_case else "regions"


def _on(found: LabelEfficiencyResult) -> str:
    return "of" if found.by_case else "in"


def _elsewhere(found: LabelEfficiencyResult) -> str:
    return "of more cases" if found.by_case else "in more regions, or of a second case,"


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)


def _estimate(figure: Estimate) -> str:
    text = _percent(figure.value or 0.0)
    if figure.low is None or figure.high is None:
        return text
    return f"{text} (95 % interval {_percent(figure.low)} to {_percent(figure.high)})"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")
