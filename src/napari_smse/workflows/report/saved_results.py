"""Results that lie in folders: found, opened with what they are by, and reported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_smse.errors import (
    ModelNotFoundError,
    OutputError,
    SlideNotFoundError,
    SmseError,
    named_error,
)
from napari_smse.models.card import ModelCard
from napari_smse.models.model_files import bundled_models, model_paths, read_card
from napari_smse.progress import Progress, Task
from napari_smse.results import RECORD_NAME, REPORT_NAME, STORE_NAME, RunContext, RunRecord
from napari_smse.results.report.content import slide_report
from napari_smse.results.run_record import CLASS_HEAD, read_record
from napari_smse.results.save import write_slide_report
from napari_smse.scoring import ScaleScores, ScoreStore, as_scored, folder_lock, require_same_slide
from napari_smse.scoring.open_run import FEATURES
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.slides import Slide, file_and_image, open_slide
from napari_smse.slides.identity import text_path


@dataclass(frozen=True)
class SavedResults:
    """The results of a slide, as they lie in a folder.

    Attributes
    ----------
    folder
        Where they lie.
    record, store
        What was done, and the scores.
    context
        What tiles are called by.
    model
        What the model that scored it is loaded by.
    """

    folder: Path
    record: RunRecord
    store: ScoreStore
    context: RunContext
    model: str

    @property
    def scales(self) -> list[ScaleScores]:
        """All scores, fine to coarse; raises `OutputError` if they are damaged."""
        return [self.store.scale(number) for number in range(self.store.scale_count)]

    def open_slide(self, slides: Path | None = None) -> Slide:
        """Open the slide that was scored, at the um/px and in the colours it had then.

        Parameters
        ----------
        slides
            Folder to look in first, if slides were moved; found by name.

        Raises
        ------
        SlideError
            It is not where it was, cannot be read, or is another one.
        """
        path = text_path(self.record.slide.path)
        moved = None if slides is None else slides / path.name
        if moved is not None and file_and_image(moved)[0].exists():
            path = moved
        if not file_and_image(path)[0].exists():
            raise SlideNotFoundError(
                f"{path}, whose results are in {self.folder}, is not there any more: say in which "
                "folder it is now (in a shell: --slides)."
            )
        slide = open_slide(path)
        try:
            require_same_slide(slide, self.store)
            if slide.scale.mpp != self.record.slide.mpp:
                slide = slide.with_mpp(self.record.slide.mpp)
            return as_scored(slide, self.store)
        except BaseException:
            slide.close()
            raise


def find_results(places: Iterable[Path]) -> list[Path]:
    """Return the folders with results of a slide, in the order they are given and then by name.

    Parameters
    ----------
    places
        Results of a slide, or folders in which, or below which, such lie.

    Raises
    ------
    OutputError
        There is no such folder, or none has results.
    """
    found: dict[Path, None] = {}
    for place in places:
        inside = list(_results_below(place))
        if not inside:
            raise OutputError(
                f"{place} holds no results of a slide: give a folder that napari-smse score, or "
                "Save results in the viewer, wrote."
            )
        found.update(dict.fromkeys(inside))
    return list(found)


def _results_below(place: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(place):
        if RECORD_NAME in files or STORE_NAME in below:
            yield Path(folder)
            below.clear()
        below[:] = sorted(name for name in below if not name.endswith(".zarr"))


def open_results(folder: Path, models: Sequence[str] = (), positive: str = "") -> SavedResults:
    """Open the results of a slide.

    Parameters
    ----------
    folder
        Where they lie.
    models
        Models that may have scored it, besides those that come with the program.
    positive
        The class that is looked for; by default the one whose map is shown first.

    Raises
    ------
    OutputError
        They are not whole, cannot be read, or are features of a file.
    ModelError
        The model that scored it is not known, or cannot be read.
    RequestError
        It does not know the class that is looked for.
    """
    store = ScoreStore.open(folder / STORE_NAME)
    if not store.finished:
        raise OutputError(
            f"The scores in {folder} are not complete: score the slide to the end, with the same "
            "command, before they are reported."
        )
    if FEATURES in store.facts:
        raise OutputError(
            f"{folder} holds features that were read from {store.facts[FEATURES]['path']}, and no "
            "scores to report or repeat: open that file again (dropped on the slide, or "
            "napari_smse.open_features)."
        )
    record = read_record(folder)
    model, card = _model_of(folder, record, models)
    context = replace(_context(model, card, record, store), positive=positive)
    _ = context.positive_class  # refused before anything takes time
    return SavedResults(folder, record, store, context, model)


def _context(model: str, card: ModelCard, record: RunRecord, store: ScoreStore) -> RunContext:
    if record.classifier != CLASS_HEAD:
        card = card.model_copy(update={"classes": store.classes})
    reference = load_ood_reference(model, card.weights_sha256)
    return RunContext(card, record.device, record.warnings, record.classifier, reference)


def _model_of(folder: Path, record: RunRecord, models: Sequence[str]) -> tuple[str, ModelCard]:
    wanted = record.model.weights_sha256
    for name in (*models, *bundled_models()):
        card = read_card(name)
        if card.weights_sha256 == wanted:
            return str(model_paths(name)[0]) if name in models else name, card
    raise ModelNotFoundError(
        f"{folder} was scored by {record.model.name} {record.model.version} ({wanted[:8]}), which "
        "does not come with this program: name its file, too (in a shell: --model)."
    )


@dataclass(frozen=True)
class ReportOutcome:
    """What became of a report: where it lies, or why there is none."""

    folder: Path
    problem: SmseError | None = None


def write_report(
    folder: Path, models: Sequence[str] = (), slides: Path | None = None, positive: str = ""
) -> Path:
    """Write the report of a slide that was scored into its folder, and return its HTML file.

    Parameters
    ----------
    folder
        Of its results.
    models, slides, positive
        As for `open_results` and `SavedResults.open_slide`.

    Raises
    ------
    OutputError, ModelError, SlideError, RequestError
        As these do; or it cannot be written.
    """
    results = open_results(folder, models, positive)
    with results.open_slide(slides) as slide, folder_lock(folder):
        report = slide_report(slide, results.scales, results.context, results.record)
        write_slide_report(folder, report)
    return folder / REPORT_NAME


def write_reports(
    folders: Sequence[Path],
    models: Sequence[str] = (),
    slides: Path | None = None,
    positive: str = "",
) -> Task[list[ReportOutcome]]:
    """Write the reports of several slides; one that fails stops no other.

    Parameters
    ----------
    folders
        Of results, as `find_results` gives them.
    models, slides, positive
        As for `write_report`.

    Returns
    -------
    list of ReportOutcome
        In the order of `folders`; each is the `detail` of the progress, too.
    """
    outcomes = []
    for number, folder in enumerate(folders, start=1):
        try:
            write_report(folder, models, slides, positive)
            outcome = ReportOutcome(folder)
        except Exception as error:
            outcome = ReportOutcome(folder, named_error(error, folder.name))
        outcomes.append(outcome)
        yield Progress(number, len(folders), detail=outcome)
    return outcomes
