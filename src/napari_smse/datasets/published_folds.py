"""Fold lists that somebody published, above all Spanhol's for BreakHis.

What is read, from one file or from all ``.txt`` files of a folder:

- lines ``name|magnification|fold|train`` or ``...|test``, as Spanhol's ``dsfold1.txt``;
- lines of one image name or patient (case) id each: one file a fold, that lists its
  test side. A file with ``train`` in its name lists a training side instead; the number
  in the name says of which fold. Without such a file, all else is trained on.

Image names count without folder and suffix, so that a JPEG copy stands for its PNG.
Empty lines and lines that begin with ``#`` are passed over.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Final

import numpy as np

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.splits import Fold, shared_cases
from napari_smse.errors import DataError

# Test images of each official fold at 40X, 100X, 200X and 400X.
OFFICIAL_TEST_SIZES: Final = (
    (745, 760, 744, 655),
    (632, 620, 597, 554),
    (657, 669, 659, 592),
    (700, 698, 679, 621),
    (775, 821, 770, 717),
)
_MAGNIFICATIONS: Final = ("40", "100", "200", "400")
_IMAGE_NAME: Final = re.compile(r"sob_[bm]_[a-z]+-\d+-(?P<patient>\d+[a-z]*)-(?P<power>\d+)-\d+")
_PATIENT: Final = re.compile(r"(?:sob_[bm]_[a-z]+-)?(?:\d\d-)?(?P<patient>\d+[a-z]*)")
_SUFFIX: Final = re.compile(r"\.(png|jpe?g|tiff?|bmp)$", re.IGNORECASE)


@dataclass(frozen=True)
class FoldLists:
    """Folds as listed, and notices for the user about them."""

    folds: tuple[Fold, ...]
    notices: tuple[str, ...]


@dataclass
class _Listed:
    """The names that the lists give for one fold."""

    training: set[str] = field(default_factory=set)
    test: set[str] = field(default_factory=set)


def read_folds(
    path: Path, labelled_set: LabelledSet, *, drop_split_cases: bool = False
) -> FoldLists:
    """Read published folds for the images at hand.

    Parameters
    ----------
    path
        A list, or a folder of lists; see the module for what they may look like.
    labelled_set
        The images to divide.
    drop_split_cases
        Where a list splits a case (blocks 22549AB and 22549CD are one case), leave that
        case out of the fold's training side. The test side stays as listed, so that
        figures can be compared with published ones, and still nothing leaks.

    Raises
    ------
    DataError
        The lists cannot be read, name nothing of the data, or split a case.
    """
    listed = _read_lists(path)
    index = _Index(labelled_set.images)
    folds, notices = [], []
    for name in sorted(listed, key=_natural):
        fold, fold_notices = _fold(path, name, listed[name], index, drop_split_cases)
        folds.append(fold)
        notices += fold_notices
    notices += _size_notices(listed)
    return FoldLists(tuple(folds), tuple(notices))


def _fold(
    path: Path, name: str, listed: _Listed, index: _Index, drop: bool
) -> tuple[Fold, list[str]]:
    images = index.images
    test = index.find(listed.test)
    training = index.find(listed.training) if listed.training else set(range(len(images))) - test
    if not test:
        raise DataError(
            f"{path}: no test image of fold {name} is in the data: is it the list for these images?"
        )
    notices = list(_partial(name, listed, index))
    split = shared_cases(images, sorted(training), sorted(test))
    if split and not drop:
        raise DataError(
            f"{path} puts {', '.join(split)} on both sides of fold {name} (blocks of one case "
            "count as one): correct the list, or give --drop-split-cases to leave such cases out "
            "of that fold's training."
        )
    if split:
        training = {i for i in training if images[i].case not in set(split)}
        notices.append(f"fold {name}: {', '.join(split)} left out of training, being tested on.")
    if not training:
        raise DataError(f"{path} leaves nothing to train on in fold {name}: correct the list.")
    return Fold(name, np.array(sorted(training)), np.array(sorted(test))), notices


def _partial(name: str, listed: _Listed, index: _Index) -> Iterator[str]:
    present = sum(bool(index.find([key])) for key in listed.test)
    if present < len(listed.test):
        yield f"fold {name} is partial: {present} of {len(listed.test)} test names are in the data."
    if listed.training:
        sides = index.find(listed.training | listed.test)
        if unlisted := len(index.images) - len(sides):
            yield f"fold {name} lists neither side for {unlisted} of the images: they are left out."


class _Index:
    """Finds images by the names that lists use."""

    def __init__(self, images: Sequence[LabelledImage]) -> None:
        self.images = images
        self._stems: dict[str, set[int]] = defaultdict(set)
        self._patients: dict[str, set[int]] = defaultdict(set)
        self._cases: dict[str, set[int]] = defaultdict(set)
        for i, image in enumerate(images):
            key = _key(image.path.name)
            self._stems[key].add(i)
            if match := _IMAGE_NAME.fullmatch(key):
                self._patients[match["patient"]].add(i)
            case = image.case.casefold()
            self._cases[case].add(i)
            self._cases[case.removeprefix(image.source.casefold()).strip()].add(i)

    def find(self, keys: Iterable[str]) -> set[int]:
        """Return the images any of the keys names."""
        return {i for key in keys for i in self._find(key)}

    def _find(self, key: str) -> set[int]:
        patient = _PATIENT.fullmatch(key)
        patient_images = self._patients.get(patient["patient"], set()) if patient else set()
        return self._stems.get(key) or patient_images or self._cases.get(key) or set()


def _read_lists(path: Path) -> dict[str, _Listed]:
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .txt file: point --fold-lists at the fold lists.")
    listed: dict[str, _Listed] = defaultdict(_Listed)
    for number, file in enumerate(files, start=1):
        for name, fold, side in _entries(file, number):
            sides = listed[fold]
            side_names, opposite = (
                (sides.training, sides.test) if side == "train" else (sides.test, sides.training)
            )
            if name in opposite:
                raise DataError(f"{file} puts {name} on both sides of fold {fold}: correct it.")
            side_names.add(name)
    if not listed:
        raise DataError(f"{path} lists no image: is it a fold list?")
    return listed


def _entries(file: Path, number: int) -> Iterator[tuple[str, str, str]]:
    """Yield name, fold and side of each line; `number` stands in for a fold not named."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as a fold list: check the path.") from error
    digits = re.findall(r"\d+", file.stem)
    fold = str(int(digits[-1])) if digits else str(number)
    side = "train" if "train" in file.stem.casefold() else "test"
    for row, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if "|" in text:
            yield _spanhol(text, f"{file}, line {row}")
        else:
            yield _key(text), fold, side


def _spanhol(text: str, location: str) -> tuple[str, str, str]:
    parts = [part.strip() for part in text.split("|")]
    if len(parts) != 4 or parts[3].casefold() not in {"train", "test"} or not parts[2].isdigit():
        raise DataError(f"{location}: {text!r} is not name|magnification|fold|train or test.")
    return _key(parts[0]), str(int(parts[2])), parts[3].casefold()


def _key(name: str) -> str:
    """Return a name without folder and image suffix, in lower case."""
    return _SUFFIX.sub("", PureWindowsPath(name).name).casefold()


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (0, name)


def _size_notices(listed: dict[str, _Listed]) -> Iterator[str]:
    """Compare lists of BreakHis images with the sizes of the official ones."""
    for name in sorted(listed, key=_natural):
        matches = [_IMAGE_NAME.fullmatch(key) for key in listed[name].test]
        powers = [match["power"] for match in matches if match]
        if not powers or len(powers) < len(matches) or not name.isdigit():
            continue
        counts = Counter(powers)
        sizes = tuple(counts[power] for power in _MAGNIFICATIONS)
        number = int(name)
        if not 1 <= number <= len(OFFICIAL_TEST_SIZES):
            continue
        official = OFFICIAL_TEST_SIZES[number - 1]
        size_text = "+".join(map(str, sizes))
        if sizes == official:
            yield f"fold {name} lists {size_text} test images, as the official one."
        else:
            official_text = "+".join(map(str, official))
            yield (
                f"fold {name} lists {size_text} test images, the official one {official_text}: "
                "another list."
            )
