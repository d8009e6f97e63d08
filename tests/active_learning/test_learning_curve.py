from __future__ import annotations

import numpy as np
import pytest

from napari_smse.active_learning.learning_curve import Curve, Difference, LabelEfficiency


def found(random, queue=None):
    """Curves of accuracies ``(splits, budgets)``."""
    random = np.asarray(random, float)
    queue = random if queue is None else np.asarray(queue, float)
    budgets = 2 ** np.arange(1, random.shape[1] + 1)
    return LabelEfficiency(budgets, Curve(queue, queue), Curve(random, random))


def test_the_gain_is_what_the_last_doubling_brought_split_by_split():
    gain = found([[0.1, 0.6, 0.7], [0.2, 0.8, 0.94]]).gain
    assert gain.mean == pytest.approx(0.12)
    assert gain.spread == pytest.approx(np.std([0.1, 0.14], ddof=1))
    assert gain.is_clear


def test_the_lead_leaves_out_the_first_budget():
    lead = found([[0.7, 0.8, 0.8]] * 3, [[0.5, 0.9, 0.8]] * 3).lead
    assert lead.mean == pytest.approx(0.05)


def test_a_single_split_makes_nothing_clear():
    assert not found([[0.1, 0.9]]).gain.is_clear


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        ([[0.6, 0.7], [0.62, 0.74]], "helps"),
        ([[0.8, 0.805], [0.8, 0.81]], "hardly"),
        ([[0.8, 0.79], [0.8, 0.80]], "hardly"),
        ([[0.6, 0.9], [0.9, 0.6]], "untold"),
        ([[0.6, 0.7], [0.7, 0.7]], "untold"),
        ([[0.9, 0.99], [0.9, 1.0]], "full"),
    ],
)
def test_whether_further_labels_help(accuracy, verdict):
    assert found(accuracy).verdict == verdict


def test_a_loss_can_be_clear_too():
    assert Difference(-0.1, 0.05).is_clear
    assert not Difference(-0.04, 0.05).is_clear


def test_a_queue_that_teaches_more_is_what_counts():
    random = [[0.6, 0.7, 0.8], [0.6, 0.7, 0.82]]
    better = found(random, [[0.6, 0.9, 0.99], [0.6, 0.9, 0.99]])
    assert better.verdict == "full"
    assert better.gain.mean == pytest.approx(0.09)
    assert found(random).verdict == "helps"
    worse = found(random, [[0.6, 0.6, 0.6]] * 2)
    assert worse.gain.mean == pytest.approx(0.11)
