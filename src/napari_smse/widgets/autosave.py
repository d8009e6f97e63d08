"""Annotations that survive a crash: written to a file of our own after every change.

So does the case of a slide, which is known again whenever the slide is opened.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

import platformdirs

from napari_smse.annotations import (
    Annotation,
    AnnotationSet,
    read_annotations,
    write_annotations,
)
from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection
from napari_smse.atomic_write import atomic_path, output_error
from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.palette import Colour
from napari_smse.slides import Slide

_CLASSES = ".classes.json"
_CASE = ".case.json"

logger = logging.getLogger(__name__)


class NamedContent(Protocol):
    """What the files of a slide here are named by: its name and the hash of its content."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def quick_hash(self) -> str:
        """Hash of its content."""


def autosave_folder() -> Path:
    """Where annotations lie that were not saved elsewhere."""
    return platformdirs.user_data_path("napari-smse") / "annotations"


def remembered_case(slide: NamedContent) -> str:
    """Return the case that was stated of a slide, wherever it lies now; empty if none was."""
    path = _beside(slide, _CASE)
    if not path.exists():
        return ""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["case"])
    except (OSError, ValueError, TypeError, KeyError):
        logger.warning("%s cannot be read and is not used", path, exc_info=True)
        return ""


def remember_case(slide: NamedContent, case: str) -> None:
    """Keep the case of a slide; an empty one is forgotten.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    path = _beside(slide, _CASE)
    if case:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(path, error) from error
        with atomic_path(path) as part:
            part.write_text(json.dumps({"case": case}, ensure_ascii=False), encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


class Autosave:
    """The unsaved annotations of one slide on disk.

    What an earlier session left is only offered, and stays on disk until the user has decided;
    what is drawn meanwhile goes to a second file. The classes lie in files of their own, as GeoJSON
    has no place for those that no region is of.

    Parameters
    ----------
    slide
        Known by its quick hash, wherever it lies.

    Attributes
    ----------
    left_behind
        What an earlier session left, until the user has decided.
    classes
        Classes and colours that the slide was annotated with last, in order.
    """

    def __init__(self, slide: Slide) -> None:
        self._own, self._meanwhile = (
            _beside(slide, ending) for ending in (".geojson", ".new.geojson")
        )
        self.classes = self._read_classes()
        self.left_behind = self._read()

    @property
    def question(self) -> str:
        """What was left behind, as a reader is asked whether to take it back; empty if nothing."""
        left = self.left_behind
        if left is None:
            return ""
        what = [counted(len(left.annotations), "regions")] if left.annotations else []
        if notes := len(left.constraints) + len(left.corrections):
            what.append(f"{notes} notes on tiles")
        when = f" of {self.when:%d %b %Y, %H:%M}" if self.when else ""
        return f"{' and '.join(what)}{when} were not saved to a file."

    @property
    def when(self) -> datetime | None:
        """When what was left behind was last changed."""
        times = [path.stat().st_mtime for path in self._files() if path.exists()]
        return datetime.fromtimestamp(max(times)) if times else None

    def save(self, annotations: AnnotationSet) -> None:
        """Write what is drawn now; an empty set is written too, since undoing is a change.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        path = self._own if self.left_behind is None else self._meanwhile
        path.parent.mkdir(parents=True, exist_ok=True)
        write_annotations(path, annotations)
        _write_classes(path, annotations.colours)

    def forget(self, classes: Mapping[str, Colour]) -> None:
        """Remove the regions, which were saved elsewhere; the classes stay.

        Raises
        ------
        OutputError
            The classes cannot be written.
        """
        for path in self._files():
            path.unlink(missing_ok=True)
        self._own.parent.mkdir(parents=True, exist_ok=True)
        _write_classes(self._own, classes)

    def decided(self, annotations: AnnotationSet) -> None:
        """Say that the user took back what was left behind, or does not want it.

        Parameters
        ----------
        annotations
            What is drawn after that.
        """
        self.left_behind = None
        self.save(annotations)
        for path in (self._meanwhile, _classes_beside(self._meanwhile)):
            path.unlink(missing_ok=True)

    def is_drawn(self, drawn: AnnotationSet) -> bool:
        """Tell whether what was left behind is drawn, as when a slide is chosen again."""
        left = self.left_behind
        if left is None:
            return False
        regions = {one.id: one for one in drawn.annotations}
        return (
            # One that was edited since it was drawn here is not.
            all(
                (same := regions.get(one.id)) is not None and one.is_drawn_as(same)
                for one in left.annotations
            )
            and set(left.constraints) <= set(drawn.constraints)
            and set(left.corrections) <= set(drawn.corrections)
        )

    def _files(self) -> tuple[Path, Path]:
        return self._own, self._meanwhile

    def _read(self) -> AnnotationSet | None:
        found: dict[str, Annotation] = {}
        links: dict[str, PairConstraint] = {}
        corrections: dict[object, TileCorrection] = {}
        colours = dict(self.classes)
        for path in self._files():
            if not path.exists():
                continue
            try:
                one = read_annotations(path)
            except SmseError:
                logger.warning("%s cannot be read and is left where it is", path, exc_info=True)
                path.replace(path.with_suffix(".damaged"))
                continue
            found |= {annotation.id: annotation for annotation in one.annotations}
            links |= {link.id: link for link in one.constraints}
            corrections |= {correction.about: correction for correction in one.corrections}
            colours |= one.colours
        if not (found or links or corrections):
            return None
        return AnnotationSet(
            tuple(found.values()), colours, tuple(links.values()), tuple(corrections.values())
        )

    def _read_classes(self) -> dict[str, Colour]:
        found: dict[str, Colour] = {}
        for path in self._files():
            found |= _read_classes(_classes_beside(path))
        return found


def _beside(slide: NamedContent, ending: str) -> Path:
    return autosave_folder() / f"{slide.name[:60]}-{slide.quick_hash[:16]}{ending}"


def _classes_beside(regions: Path) -> Path:
    return regions.with_suffix(_CLASSES)


def _write_classes(regions: Path, colours: Mapping[str, Colour]) -> None:
    with atomic_path(_classes_beside(regions)) as part:
        part.write_text(json.dumps(dict(colours), ensure_ascii=False), encoding="utf-8")


def _read_classes(path: Path) -> dict[str, Colour]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): _colour(*channels) for name, channels in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # A list of names is soon typed again; it must not keep anybody from annotating.
        logger.warning("%s cannot be read and is not used", path, exc_info=True)
        return {}


def _colour(red: int, green: int, blue: int) -> Colour:
    if not all(isinstance(one, int) and 0 <= one <= 255 for one in (red, green, blue)):
        raise ValueError(f"{red}, {green}, {blue} is no colour")
    return red, green, blue
