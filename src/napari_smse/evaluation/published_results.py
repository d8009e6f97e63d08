"""What Sun et al. published for BreakHis, to stand beside one's own figures."""

from __future__ import annotations

from typing import Final, NamedTuple


class PublishedRow(NamedTuple):
    """Patient recognition rates, %, mean and standard deviation over five folds.

    Attributes
    ----------
    similarity, classification
        Losses.
    by_magnification
        By the name of the magnification; *all* is of all images together.
    image_accuracy
        Of all images together, %.
    """

    similarity: str
    classification: str
    by_magnification: dict[str, str]
    image_accuracy: str = ""


PUBLISHED: Final = (
    PublishedRow(
        "triplet",
        "focal",
        {
            "40X": "87.51 ± 4.07",
            "100X": "89.12 ± 2.86",
            "200X": "90.83 ± 3.31",
            "400X": "87.10 ± 3.80",
        },
    ),
    PublishedRow("triplet", "reinforced focal", {"all": "88.40 ± 4.17"}, "87.69 ± 4.01"),
    PublishedRow("pair", "reinforced focal", {"all": "87.95"}, "87.03"),
    PublishedRow("none", "reinforced focal", {"all": "79.33 ± 8.74"}, "77.54 ± 9.95"),
)
"""arXiv 2107.01063 and its authors' logs. The epoch was chosen on the test images, so that they are
too good; 82 patients, of whom one is filed twice."""
