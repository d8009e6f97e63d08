"""All pairs of losses on the same folds."""

from __future__ import annotations

import itertools

import torch

from napari_smse.evaluation.loss_comparison import (
    CLASSIFICATIONS,
    REFERENCE,
    SIMILARITIES,
    compare_losses,
    loss_comparison_table,
)
from napari_smse.metrics.summary import paired_difference
from napari_smse.progress import run_task
from support.datasets import NameLearner, random_set
from support.tasks import run_and_record


def test_every_pair_of_losses_runs_on_the_same_folds() -> None:
    data = random_set(12)
    learners: dict[tuple[str, str], NameLearner] = {}

    def make(similarity: str, classification: str) -> NameLearner:
        right = 0.95 if (similarity, classification) == ("triplet", "focal") else 0.6
        learners[similarity, classification] = NameLearner(right)
        return learners[similarity, classification]

    seen, found = run_and_record(compare_losses(make, data, 3, repeats=2))
    assert set(learners) == set(itertools.product(SIMILARITIES, CLASSIFICATIONS))
    assert [(one.done, one.total) for one in seen] == [(done, 54) for done in range(1, 55)]
    assert {str(one.asked) for one in learners.values()} == {str(learners[REFERENCE].asked)}
    assert next(iter(found)) == REFERENCE
    rows = loss_comparison_table(found, data, draws=50)
    assert len(rows) == 9
    assert rows[0].differences is None
    best = next(row for row in rows if (row.similarity, row.classification) == ("triplet", "focal"))
    assert best.differences["auc"].low > 0
    assert best.differences["auc"] == paired_difference(
        found["triplet", "focal"].held_out, found[REFERENCE].held_out, data, "auc", draws=50
    )
    assert best.magnifications[-1].magnification == "all"
    assert not best.selected_on_test


def test_weights_chosen_on_the_test_images_are_told_apart() -> None:
    class Both(NameLearner):
        def __call__(self, *given):
            honest = super().__call__(*given)

            class Predictor:
                def __call__(self, images):
                    return honest(images)

                def select_on_test(self, images):
                    return torch.tensor([[-3.0, 3.0] if i.label else [3.0, -3.0] for i in images])

            return Predictor()

    data = random_set(12)
    found = run_task(compare_losses(lambda *_: Both(0.6), data, 2))
    rows = loss_comparison_table(found, data, draws=10)
    for row in rows:
        assert row.selected_on_test[-1].accuracy_by_fold.mean == 1
        assert row.magnifications[-1].accuracy_by_fold.mean < 1


def test_without_the_reference_there_is_nothing_to_differ_from() -> None:
    data = random_set(12)
    found = run_task(compare_losses(lambda *_: NameLearner(), data, 2))
    del found[REFERENCE]
    assert all(row.differences is None for row in loss_comparison_table(found, data, draws=10))
