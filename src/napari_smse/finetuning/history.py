"""Every fine-tuning saved as an ordinary model, to look back on and to go back to.

Looking back reads cards only, which needs no torch.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import BankError, ModelError, ModelNotFoundError, OutputError, SmseError
from napari_smse.models.card import (
    CARD_SUFFIX,
    EXEMPLARS_SUFFIX,
    OOD_REFERENCE_SUFFIX,
    TRAINING_IMAGES,
    WEIGHTS_SUFFIX,
    Colour,
    Metric,
    ModelCard,
    card_json,
)
from napari_smse.models.model_files import model_stem, read_card

if TYPE_CHECKING:
    from napari_smse.finetuning.fine_tuner import FineTuner
    from napari_smse.finetuning.result import FineTuneResult

logger = logging.getLogger(__name__)

_WHEN: Final = "%Y-%m-%d_%H-%M-%S"
_TUNED: Final = " tuned"
_NAME: Final = re.compile(r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)_[a-z]+_[a-z]+(?:_(\d+))?")


def history_folder() -> Path:
    """Folder of the fine-tunings by default."""
    return platformdirs.user_data_path("napari-smse") / "models"


@dataclass(frozen=True)
class FineTuneEntry:
    """A saved fine-tuning.

    Attributes
    ----------
    path
        Of the weights.
    when
        It was kept, in local time.
    card
        Of the model that came out.
    """

    path: Path
    when: datetime
    card: ModelCard

    @property
    def parent(self) -> str:
        """The model it started from: name, version, start of the weights' hash."""
        return self.card.parent

    @property
    def loss(self) -> str:
        """The similarity loss; empty if its card lacks it."""
        return str(self.card.recipe.get("similarity", ""))

    @property
    def trainable(self) -> str:
        """What was trained: head, stage or all; empty if its card lacks it."""
        return str(self.card.recipe.get("learns", ""))

    @property
    def training_tiles(self) -> int | None:
        """How many images it learnt from, which are tiles if drawn on slides; None if unknown."""
        found = self.card.recipe.get(TRAINING_IMAGES)
        return int(found) if isinstance(found, int | float) else None

    @property
    def auc_before(self) -> Metric | None:
        """AUC of held-out tiles before, with its interval; None if there is none."""
        return self._auc("before")

    @property
    def auc_after(self) -> Metric | None:
        """AUC of held-out tiles after, with its interval; None if there is none."""
        return self._auc("after")

    @property
    def note(self) -> str:
        """What the user wrote about it."""
        return "\n".join(self.card.notes)

    @property
    def is_own(self) -> bool:
        """Whether it has the name the history gave it, and so was not put there by hand."""
        return _NAME.fullmatch(model_stem(self.path).name) is not None

    def _auc(self, when: str) -> Metric | None:
        wanted = (f"held out, {when}", "auc")
        return next(
            (figure for figure in self.card.figures if (figure.data, figure.metric) == wanted), None
        )


class FineTuneHistory:
    """A folder of fine-tunings.

    Parameters
    ----------
    folder
        Where they lie; `history_folder` by default. It is made when something is added.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = history_folder() if folder is None else Path(folder)

    def add(
        self,
        tuning: FineTuner,
        tuned: FineTuneResult,
        note: str = "",
        colours: Mapping[str, Colour] | None = None,
    ) -> Path:
        """Save a fine-tuning: weights, card, exemplars and out-of-distribution reference.

        Parameters
        ----------
        tuning, tuned
            What was learnt.
        note
            The user's note.
        colours
            Of the classes, RGB 0..255.

        Returns
        -------
        Path
            Of the weights.

        Raises
        ------
        ModelError
            A weight is not finite.
        OutputError
            The folder cannot be written; nothing half-written is left.
        """
        from napari_smse.finetuning.saving import save_fine_tuned

        now = datetime.now()
        base = f"{now:{_WHEN}}_{tuning.recipe.similarity}_{tuning.recipe.trainable}"
        name = tuning.model.card.name.removesuffix(_TUNED) + _TUNED
        label = name, f"{now:%Y-%m-%d %H:%M:%S}"
        with _writing(self.folder), self._free_name(base) as stem:
            try:
                path = save_fine_tuned(tuning, tuned, stem, label=label, colours=colours)
                if note.strip():
                    self.set_note(path, note)
            except BaseException:
                for file in _files(stem):
                    file.unlink(missing_ok=True)
                raise
        return path

    def entries(self) -> list[FineTuneEntry]:
        """Return the entries, newest first; damaged ones are left out, the log says why."""
        found = []
        for card in self.folder.glob(f"*{CARD_SUFFIX}"):
            if card.name.endswith(OOD_REFERENCE_SUFFIX):
                continue
            try:
                found.append(_entry(card))
            except (SmseError, OSError) as error:
                logger.warning("%s is left out of the history: %s", card, error)
        return sorted(found, key=_age_key, reverse=True)

    def set_note(self, path: Path, text: str) -> None:
        """Write a user's note of an entry onto its card, in place of the one there.

        Raises
        ------
        ModelError
            It is not of this folder, or its card cannot be read.
        OutputError
            The card cannot be written; it is then as it was.
        """
        stem = self._inside(path)
        notes = (text.strip(),) if text.strip() else ()
        card = read_card(stem).model_copy(update={"notes": notes})
        with _writing(self.folder):
            write_atomic(stem.with_name(stem.name + CARD_SUFFIX), card_json(card).encode())

    def remove(self, path: Path) -> None:
        """Remove all files of an entry for good.

        Raises
        ------
        ModelError
            It is not of this folder.
        ModelNotFoundError
            There is no such entry.
        OutputError
            A file cannot be removed.
        """
        stem = self._inside(path)
        files = _files(stem)
        if not any(file.is_file() for file in files):
            raise ModelNotFoundError(f"There is no model {stem} to remove: look at the list again.")
        with _writing(self.folder):
            # The card last: what could not be removed is still an entry, to be tried again.
            for file in files:
                file.unlink(missing_ok=True)

    def forget_old(self, keep: int = 50) -> list[Path]:
        """Remove all but the newest entries.

        Those with a note stay, and so does what was put there under a name of its own.

        Returns
        -------
        list[Path]
            What was removed.
        """
        removed = []
        for entry in self.entries()[max(0, keep) :]:
            if entry.note or not entry.is_own:
                continue
            try:
                self.remove(entry.path)
            except SmseError as error:
                logger.warning("%s stays: %s", entry.path, error)
            else:
                removed.append(entry.path)
        return removed

    @contextmanager
    def _free_name(self, base: str) -> Iterator[Path]:
        """Hold a name that nothing has, also against other processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            name = base if number == 1 else f"{base}_{number}"
            stem, lock = self.folder / name, self.folder / f".{name}.held"
            number += 1
            try:
                lock.mkdir()
            except FileExistsError:
                continue
            try:
                if any(file.exists() for file in _files(stem)):
                    continue
                yield stem
                return
            finally:
                lock.rmdir()

    def _inside(self, path: Path) -> Path:
        """Return the stem of a model in this folder."""
        stem = model_stem(path)
        if stem.parent.resolve() != self.folder.resolve():
            raise ModelError(f"{path} does not lie in {self.folder}: it is left as it is.")
        return stem


def _files(stem: Path) -> list[Path]:
    """Return weights, exemplars, out-of-distribution reference and card."""
    ends = (WEIGHTS_SUFFIX, EXEMPLARS_SUFFIX, OOD_REFERENCE_SUFFIX, CARD_SUFFIX)
    return [stem.with_name(stem.name + end) for end in ends]


def _entry(card: Path) -> FineTuneEntry:
    weights, *_ = _files(model_stem(card))
    size = weights.stat().st_size
    if not size:
        raise ModelError(f"{weights} is empty: remove it.")
    return FineTuneEntry(weights, _when(weights), read_card(card))


def _when(weights: Path) -> datetime:
    """Return the time in the name, as files get new times when they are copied."""
    named = _NAME.fullmatch(model_stem(weights).name)
    if named is not None:
        try:
            return datetime.strptime(named[1], _WHEN).astimezone()
        except ValueError:
            logger.debug("%s is named like a date and is none", weights)
    return datetime.fromtimestamp(weights.stat().st_mtime).astimezone()


def _age_key(entry: FineTuneEntry) -> tuple[datetime, int, str]:
    named = _NAME.fullmatch(model_stem(entry.path).name)
    return entry.when, int(named[2] or 1) if named else 0, entry.path.name


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn a failed write into a named error."""
    try:
        yield
    except BankError as error:
        # That of the exemplars names the file and what to do already.
        raise OutputError(str(error)) from error
    except OSError as error:
        raise OutputError(
            f"Cannot write to {folder} ({error.strerror or error}): make room there, or see that "
            "you may write there."
        ) from error
