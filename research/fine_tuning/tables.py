"""What fine-tuning on slides was worth, from one file a run to one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from napari_smse.atomic_write import atomic_path
from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.evaluation.report.tables import shown
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.metrics.summary import estimate, paired_difference

HEAD = (
    "what | deals | images learnt from | AUC before | AUC | more than before | balanced accuracy "
    "before | balanced accuracy | more than before | AUC more than trained there | "
    "balanced accuracy more than trained there | old right before | old right | "
    "seconds reading and learning | seconds of these learning"
)

ON_FEATURES = " on features"


@dataclass(frozen=True)
class Run:
    """One training and what it says of the cases held out.

    Attributes
    ----------
    what
        Was done.
    deal
        Of cases.
    learnt
        How many images were learnt from.
    images
        Held-out ones, as indices.
    after, before
        Their logits; before only of a fine-tuning.
    old
        Share of the model's exemplars called right, before and after.
    seconds, learning
        All in all, and for learning alone.
    """

    what: str
    deal: int
    learnt: int
    images: list[int]
    after: list[list[float]]
    before: list[list[float]] | None = None
    old: tuple[float, float] | None = None
    seconds: float = 0.0
    learning: float = 0.0


def run_path(folder: Path, what: str, deal: int) -> Path:
    """Return where a run is kept."""
    return folder / f"{what.replace(' ', '-').replace(',', '')}-{deal}.json"


def save_run(run: Run, folder: Path) -> None:
    """Write a run, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(run_path(folder, run.what, run.deal)) as part:
        part.write_text(json.dumps(asdict(run)), encoding="utf-8")


def read_runs(folder: Path) -> dict[str, list[Run]]:
    """Return all runs by what was done, each in the order of the deals."""
    found: dict[str, list[Run]] = {}
    for path in sorted(folder.glob("*.json")):
        run = Run(**json.loads(path.read_text(encoding="utf-8")))
        found.setdefault(run.what, []).append(run)
    return {what: sorted(runs, key=lambda run: run.deal) for what, runs in found.items()}


def rows(data: LabelledSet, runs: dict[str, list[Run]], reference: str) -> Iterator[str]:
    """Yield a line of the table for everything that was done.

    Parameters
    ----------
    data
        The images of the runs.
    runs
        As `read_runs` gives them.
    reference
        What stands for a network trained there.
    """
    for what, done in runs.items():
        cells = [what, str(len(done)), f"{np.mean([run.learnt for run in done]):.0f}"]
        for metric in ("auc", "balanced_accuracy"):
            cells += _compared(data, done, metric)
        for metric in ("auc", "balanced_accuracy"):
            cells.append(_beside(data, done, runs[reference], metric))
        olds = [run.old for run in done if run.old is not None]
        cells += [f"{np.mean([old[k] for old in olds]):.3f}" if olds else "" for k in (0, 1)]
        cells += [f"{np.mean([run.seconds for run in done]):.0f}"]
        cells += [f"{np.mean([run.learning for run in done]):.0f}"]
        yield " | ".join(cells)


def feature_gains(data: LabelledSet, runs: dict[str, list[Run]]) -> Iterator[str]:
    """Yield how much better heads on the trunk's features are than on stored embeddings.

    On the same deals, so that the differences are paired.
    """
    for what, done in runs.items():
        stored = runs.get(what.removesuffix(ON_FEATURES))
        if what.endswith(ON_FEATURES) and stored:
            gains = [_beside(data, done, stored, name) for name in ("auc", "balanced_accuracy")]
            yield f"{what}, more than without: AUC {gains[0]}, balanced accuracy {gains[1]}"


def _compared(data: LabelledSet, runs: Sequence[Run], metric: str) -> list[str]:
    """Return a figure before, after, and their difference."""
    after = _joined(runs)
    found = shown(estimate(after, data, metric))
    if runs[0].before is None:
        return ["", found, ""]
    before = _joined(runs, before=True)
    difference = paired_difference(after, before, data, metric)
    return [shown(estimate(before, data, metric)), found, shown(difference, form="+.3f")]


def _beside(data: LabelledSet, runs: Sequence[Run], others: Sequence[Run], metric: str) -> str:
    """Return the difference to the reference, on the deals of both."""
    deals = {run.deal for run in runs} & {run.deal for run in others}
    own, other = (_joined([run for run in some if run.deal in deals]) for some in (runs, others))
    return shown(paired_difference(own, other, data, metric), form="+.3f")


def _joined(runs: Sequence[Run], *, before: bool = False) -> HeldOutPredictions:
    parts = []
    for run in runs:
        logits = run.before if before else run.after
        assert logits is not None
        parts.append(
            HeldOutPredictions.from_fold(run.images, torch.tensor(logits), repeat=run.deal)
        )
    return join(parts)
