"""Scored slides on their way into an index of slides."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_smse.address import is_url
from napari_smse.errors import IndexFilesError, RequestError, SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.models.card import ModelCard
from napari_smse.progress import Progress, Task
from napari_smse.results import STORE_NAME
from napari_smse.scoring import ScoreStore
from napari_smse.similarity.index.index_files import AddOutcome
from napari_smse.similarity.index.manifest import INDEX_NAME
from napari_smse.similarity.index.shard import IndexedSlide, Shard, shard_of
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Slide

ELSEWHERE: Final = "in SMSE: Find similar, under “In other slides”"
"""Where an index is chosen."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AboutIndex:
    """What is in an index, in words, and what is wrong with it.

    Attributes
    ----------
    text
        For a reader.
    warnings
        What is left out, one line each.
    model, model_name
        Of its slides: sha256 of the weights, and what it is called; empty if there is no index yet.
    gone
        There is not even the folder.
    """

    text: str
    warnings: tuple[str, ...] = ()
    model: str = ""
    model_name: str = ""
    gone: bool = False


@dataclass(frozen=True)
class SlideToAdd:
    """A scored slide that is to go into an index.

    Attributes
    ----------
    folder
        The index.
    slide, store
        The slide, and its scores.
    planned
        Number of tiles that it has with these settings, scored or not.
    replace
        Also where it is there with other settings.
    """

    folder: Path
    slide: Slide
    store: ScoreStore
    planned: int
    replace: bool = False

    @property
    def key(self) -> str:
        """What the slide is known by: its quick hash when it was scored."""
        return str(self.store.facts["slide"]["quick_hash"])


@dataclass(frozen=True)
class SlideAdded:
    """A slide that is in an index now.

    Attributes
    ----------
    wanted
        The slide.
    new
        Whether anything had to be written.
    tiles, slides
        How many tiles of the slide are in the index now, and how many slides.
    notice
        What of the slide is there if it is not all of it; empty if it is.
    """

    wanted: SlideToAdd
    new: bool
    tiles: int
    slides: int
    notice: str = ""


@dataclass(frozen=True)
class WouldReplace:
    """A slide is there otherwise, as the text says; it was left as it was."""

    text: str


@dataclass(frozen=True)
class NotAdded:
    """A slide could not be added, as the text says; whether trying again may help."""

    text: str
    again: bool = True


def describe_index(folder: Path) -> AboutIndex:
    """Say what is in an index.

    Raises
    ------
    IndexFilesError
        The index was written by another version, or its disk does not answer.
    """
    try:
        index = SlideIndex(folder)
    except OSError as error:
        raise IndexFilesError(_unreachable(folder, error)) from error
    except IndexFilesError:
        if (folder / INDEX_NAME).is_file():
            raise
        return _no_index_yet(folder)
    text = f"{_slides(len(index.slides))}, {index.tile_count:,} tiles, scored by the model "
    text += f"{index.model_name}."
    if not index.slides:
        text = "The index is empty: add slides to it."
    return AboutIndex(text, index.warnings, index.model, index.model_name)


def add_slide(wanted: SlideToAdd) -> SlideAdded | WouldReplace:
    """Add a scored slide to an index, which is started if there is none.

    Where it is there with other settings, or another lay at its path, that is told, and nothing is
    done unless it should be replaced.

    Raises
    ------
    IndexFilesError, SlideError, OutputError
        As `SlideIndex.make`, `SlideIndex.add` and `shard_of` do; or the slide is being scored
        anew.
    """
    model = wanted.store.facts["model"]
    shard = shard_of(wanted.slide, wanted.store)
    if wanted.store.complete and len(shard) < wanted.planned:
        raise IndexFilesError(
            f"{wanted.slide.name} is being scored again: add it when that is done."
        )
    index = SlideIndex.make(wanted.folder, model["hash"], model["name"])
    before = index.find(shard.slide.quick_hash)
    try:
        added = index.add(shard, replace=wanted.replace)
    except IndexFilesError:
        if not (told := _other(index, shard.slide)) or wanted.replace:
            raise
        return WouldReplace(told)
    there = index.find(shard.slide.quick_hash)
    tiles = len(shard) if there is None else there.tile_count
    same = added is AddOutcome.SAME and before is not None and before.tile_count == tiles
    return SlideAdded(wanted, not same, tiles, len(index.slides), _notice(wanted, shard, tiles))


def add_scored(wanted: SlideToAdd) -> SlideAdded | WouldReplace | NotAdded:
    """Add a slide that was just scored; whatever is wrong is told, and harms no scores.

    Unlike `add_slide`, no folder is made: one that is gone lies on a disk that is not connected.
    """
    folder, model = wanted.folder, wanted.store.facts["model"]
    try:
        if not folder.is_dir():
            return NotAdded(gone(folder))
        return add_slide(wanted)
    except OSError as error:
        return NotAdded(_unreachable(folder, error))
    except SmseError as error:
        if there := _other_model(folder, model["hash"]):
            return NotAdded(of_another_model(there, model["name"]), again=False)
        return NotAdded(str(error))


def add_all(slides: Sequence[SlideToAdd]) -> Task[int]:
    """Add slides that nobody waits for any more; what is wrong goes to the log."""
    for number, slide in enumerate(slides, start=1):
        outcome = add_scored(slide)
        if not isinstance(outcome, SlideAdded):
            logger.warning("not added to %s: %s", slide.folder, outcome.text)
        yield Progress(number, len(slides))
    return len(slides)


def gone(folder: Path) -> str:
    """Say that the folder of an index is not there, and what to do."""
    return f"{folder} is not there. Connect its disk, or choose another folder {ELSEWHERE}."


def of_another_model(model_name: str, scored_by: str) -> str:
    """Say that an index is of another model than slides are scored by, and what to do."""
    return (
        f"it is of the model {model_name}, not of {scored_by}. Choose that model, or another "
        f"folder {ELSEWHERE}."
    )


def _unreachable(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be reached ({error.strerror or error}). See to its disk."


def _slides(number: int) -> str:
    return counted(number, "slides")


def _no_index_yet(folder: Path) -> AboutIndex:
    if folder.is_dir():
        return AboutIndex("There is no index in this folder yet. “Add this slide” starts one here.")
    text = "This folder is not there: connect its disk, or choose another one."
    return AboutIndex(text, gone=True)


def _other(index: SlideIndex, slide: IndexedSlide) -> str:
    """Say what is in an index in a slide's place; empty if nothing is."""
    where = f"the index “{index.folder.name}”"
    there = index.find(slide.quick_hash)
    if there is not None and (other := there.differences(slide)):
        return (
            f"{slide.name} is in {where} with other settings (different {', '.join(other)}) and "
            "was left there as it was."
        )
    older = index.at_path(Path(slide.path))
    if older is not None and older.quick_hash != slide.quick_hash:
        return (
            f"{slide.name} was another file when it was added to {where}; the tiles of that one "
            "were left there."
        )
    return ""


def _notice(wanted: SlideToAdd, shard: Shard, tiles: int) -> str:
    """Say what of a slide is in an index, if it is not all of it."""
    if tiles > len(shard):
        return f"{tiles:,} tiles of it were there already, more than now; they were kept."
    there_was_time = "" if wanted.store.complete else f"{tiles:,} of its {wanted.planned:,} tiles"
    region = "the region that was scored" if shard.slide.settings.get("roi") else ""
    parts = ", in ".join(part for part in (there_was_time, region) if part)
    return f"Of {wanted.slide.name} only {parts}." if parts else ""


def _other_model(folder: Path, model: str) -> str:
    """Return the name of the model that an index is of; empty if it is this one, or of none."""
    try:
        index = SlideIndex(folder)
    except (IndexFilesError, OSError):
        return ""
    return "" if index.model in ("", model) else index.model_name


_TOLD = {AddOutcome.ADDED: "added to", AddOutcome.REPLACED: "replaced in", AddOutcome.SAME: "in"}


class IntoIndex:
    """Adds scored slides to an index, which is started if there is none.

    Parameters
    ----------
    folder
        The index.
    card
        Of the model that scores.
    replace
        Replace slides that are there with other settings.

    Raises
    ------
    IndexFilesError
        The index is of another model, or cannot be written.
    """

    def __init__(self, folder: Path, card: ModelCard, *, replace: bool) -> None:
        self._index = SlideIndex.make(folder, card.weights_sha256, card.name)
        self._replace = replace

    def add(self, slide: Slide, store: ScoreStore) -> str:
        """Add a slide, and return what became of it; raises what `SlideIndex.add` raises."""
        added = self._index.add_scored(slide, store, replace=self._replace)
        return f"{_TOLD[added]} the index {self._index.folder}"

    def add_from(self, folder: Path, slide: Slide) -> str:
        """Add a slide that was scored before, from its results folder; raises as `add` does."""
        return self.add(slide, ScoreStore.open(folder / STORE_NAME))


def into_index(
    folder: Path | None, out: str, card: ModelCard, *, overwrite: bool
) -> IntoIndex | None:
    """Open the index that slides go into, if they do.

    Raises
    ------
    RequestError
        Results go to a URL, from where those of earlier runs cannot be read back.
    IndexFilesError
        As `IntoIndex` does.
    """
    if folder is None:
        return None
    if is_url(out):
        raise RequestError(
            "Scores at a URL cannot be read back for an index: leave out --index, or give --out a "
            "folder of this machine."
        )
    return IntoIndex(folder, card, replace=overwrite)
