"""Cases that a model was trained on, recognised wherever their images lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.readers.breakhis import SOURCE, parse_name
from napari_smse.errors import SlideError
from napari_smse.models.card import case_hash
from napari_smse.slides.identity import quick_hash


def image_case_hash(image: LabelledImage) -> str:
    """Return the hash by which a card remembers the image's case.

    A BreakHis image is identified by its name, whatever the folder and the table it comes from.
    """
    named = parse_name(image.path.name)
    return case_hash(image.case if named is None else f"{SOURCE.name} {named.number}")


def slide_hashes(case: str, content: str) -> frozenset[str]:
    """Return the hashes by which a card remembers a slide: by its case, and by its content.

    Parameters
    ----------
    case
        The case of the slide.
    content
        Its quick hash.
    """
    return frozenset({case_hash(case), case_hash(f"slide {content}")})


def training_hashes(images: Iterable[LabelledImage]) -> frozenset[str]:
    """Return the hashes by which a card remembers the cases of images, and the slides of these.

    A slide is identified by its content, whatever it and its folder are called.
    """
    return frozenset(case_hash for hashes in _hashes(images).values() for case_hash in hashes)


def cases_among(images: Iterable[LabelledImage], hashes: Collection[str]) -> frozenset[str]:
    """Return the cases of images of which a card remembers the case, or a slide."""
    return frozenset(
        case for case, own_hashes in _hashes(images).items() if not own_hashes.isdisjoint(hashes)
    )


def _hashes(images: Iterable[LabelledImage]) -> dict[str, set[str]]:
    """Return all hashes of each case."""
    hashes: dict[str, set[str]] = defaultdict(set)
    slides: dict[Path, str] = {}
    for image in images:
        hashes[image.case].add(image_case_hash(image))
        if image.region is not None:
            if image.path not in slides:
                slides[image.path] = _hash_of_slide(image.path)
            hashes[image.case].add(slides[image.path])
    return hashes


def _hash_of_slide(path: Path) -> str:
    try:
        content = quick_hash(path)
    except (OSError, SlideError):
        # A reference tile of a slide that is not open has its content for a path.
        content = path.name
    return case_hash(f"slide {content}")


def data_set_name(image: LabelledImage) -> str:
    """Return the name of the data set that the image is from."""
    return image.source if parse_name(image.path.name) is None else SOURCE.name
