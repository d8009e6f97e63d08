"""The case of a slide, the unit that hold-outs are split by: stated by a person, or guessed.

What is guessed is the part of the slide's name that its other slides are likely to share: without
the block, the slide number and the stain that laboratories put behind it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Final

_CONSORTIUM: Final = re.compile(r"(TCGA-\w{2}-\w{4}|GTEX-[A-Z0-9]+)(?![A-Z0-9])", re.IGNORECASE)
"""Barcodes begin with project, tissue source site and participant (TCGA), or donor (GTEx)."""

_LAST_PART: Final = re.compile(r"(.*[^-_. ])[-_. ]+(.+?)[-_. ]*")
_BLOCK: Final = re.compile(r"[A-Z]\d{0,2}|\d{1,2}[A-Z]", re.IGNORECASE)
_WORD: Final = re.compile(
    r"(block|blk|slide|sl|section|sec|level|lvl|node|roi|scan|copy|rescan)\d{0,3}"
    r"|he|h&e|hes|hps|ihc|ki-?67|p53|er|pr|her2|cd\d{1,3}[a-z]?|pas|dx\d*|bs\d*|ts\d*|ms\d*"
    r"|\(\d+\)",
    re.IGNORECASE,
)
_NUMBERED: Final = re.compile(r"block|slide|section|level|node", re.IGNORECASE)
_SHORT_NUMBER: Final = re.compile(r"\d{1,2}")
_LONG_NUMBER: Final = re.compile(r"\d{3,}")
_UID: Final = re.compile(r"\d+(\.\d+){4,}")
"""Of DICOM: its first parts are those of who gave it out, which all slides of a scanner share."""
_YEAR_FIRST: Final = re.compile(r"^\D?(19|20)\d\d(?!\d)")


def guess_case(slide_name: str) -> str:
    """Return the case that a slide is likely to be of, by its name; the name if it says no more.

    Parameters
    ----------
    slide_name
        File name without its suffix, such as ``S19-12345_A1_HE``, whose case is ``S19-12345``.
    """
    if barcode := _CONSORTIUM.match(slide_name):
        return barcode[1]
    if _UID.fullmatch(slide_name):
        return slide_name
    name = slide_name
    while (shorter := _without_last_part(name)) is not None:
        name = shorter
    return name


def tidy_case(text: str) -> str:
    """Return a case as typed without spaces that nobody sees."""
    return " ".join(text.split())


def joined_cases(shared: Iterable[tuple[str, Hashable]]) -> dict[str, str]:
    """Return for each case the first one that shares something with it, directly or by others.

    Parameters
    ----------
    shared
        Cases, each with something of it, such as the content of one of its files.
    """
    first_case: dict[Hashable, str] = {}
    case_of: dict[str, str] = {}

    def root(case: str) -> str:
        while case_of.setdefault(case, case) != case:
            case = case_of[case]
        return case

    for case, what in shared:
        target, source = root(first_case.setdefault(what, case)), root(case)
        case_of[source] = target
    return {case: root(case) for case in list(case_of)}


def _without_last_part(name: str) -> str | None:
    """Return a name without the block, slide or stain at its end; None if it ends in none."""
    parts = _LAST_PART.fullmatch(name)
    if parts is None:
        return None
    rest, last = parts[1], parts[2]
    # Without a number of its own, a name such as "tumour" is not of one case.
    if not any(letter.isdigit() for letter in rest):
        return None
    if _BLOCK.fullmatch(last) or _WORD.fullmatch(last):
        return rest
    return rest if _SHORT_NUMBER.fullmatch(last) and _may_be_numbered(rest) else None


def _may_be_numbered(rest: str) -> bool:
    """Tell whether a short number behind this counts slides of a case, rather than cases.

    "S19-1" is the first case of a year, "S19-1234-1" and "P1_node_1" are the first of their case.
    """
    before = _LAST_PART.fullmatch(rest)
    if before is not None and _NUMBERED.fullmatch(before[2]):
        return True
    return _LONG_NUMBER.search(_YEAR_FIRST.sub("", rest)) is not None
