"""Cases that a model was trained on, recognised wherever their images lie."""

from __future__ import annotations

from napari_smse.learning.breakhis import SOURCE, parse_name
from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.network.card import case_hash


def hash_of_case(image: LabelledImage) -> str:
    """Return the hash by which a card remembers the image's case.

    A BreakHis image is known by its name, whatever the folder and the table it comes from.
    """
    named = parse_name(image.path.name)
    return case_hash(image.case if named is None else f"{SOURCE.name} {named.number}")


def data_set_of(image: LabelledImage) -> str:
    """Return the name of the data set that the image is from."""
    return image.source if parse_name(image.path.name) is None else SOURCE.name
