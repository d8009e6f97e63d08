"""Train a fold of the paper's protocol, by the losses that its table compares.

    python -m research.paper.fold --data ../shared/data/breakhis --out DIR

The original frames alone are used: the paper's network takes 700 x 460 px, which copies of 224 px
do not have. A training that was stopped goes on. The whole protocol on a full BreakHis is
`napari-smse crossval BreaKHis_v1 --recipe paper --compare-losses --out DIR`.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.datasets.splits import grouped_folds
from napari_smse.evaluation.cross_validation import cross_validation
from napari_smse.evaluation.learners import PAPER, create_learner
from napari_smse.evaluation.loss_comparison import both_selections, loss_comparison_table
from napari_smse.evaluation.report.tables import patient_rates, published_rates
from napari_smse.progress import run_task

LOSSES: Final = {
    "none": "cross-entropy",
    "triplet": "focal",
    "pair": "reinforced focal",
}
"""The classification loss that the paper sets beside each similarity loss."""
_COPY: Final = "copy"
_log = logging.getLogger(__name__)


def main() -> None:
    """Train, and print the table after each pair of losses."""
    options = parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data = originals(read_training_set(options.data))
    fold = grouped_folds(data.images, options.folds, 0)[options.fold - 1]
    _log.info("%s; tested on %d images", data.count(), len(fold.test))
    found = {}
    for similarity in options.losses:
        classification = LOSSES[similarity]
        learner = create_learner(
            PAPER,
            folder=options.out,
            on_message=_log.debug,
            similarity=similarity,
            classification=classification,
        )
        running = cross_validation(learner, data, [fold], seed=0)
        found[similarity, classification] = run_task(both_selections(running))
        rows = loss_comparison_table(found, data)
        last = rows[-1]
        _log.info("%s, %s: %s", similarity, classification, last.figures)
        for table in (patient_rates(rows), patient_rates(rows, selected_on_test=True)):
            print(*(" | ".join(row) for row in table), sep="\n", flush=True)
        print(*(" | ".join(row) for row in published_rates(rows)), sep="\n", flush=True)


def originals(data: LabelledSet) -> LabelledSet:
    """Return the images that are no copies of 224 px."""
    return replace(
        data, images=tuple(image for image in data.images if not image.stratum.endswith(_COPY))
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder in BreakHis' form")
    parser.add_argument("--out", type=Path, required=True, help="for unfinished trainings")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--fold", type=int, default=1, help="from 1")
    parser.add_argument(
        "--losses",
        nargs="+",
        choices=tuple(LOSSES),
        default=tuple(LOSSES),
        help="similarity",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
