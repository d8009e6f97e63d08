"""A page over many scored slides, and how their scores compare with labels of their cases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from napari_smse.annotations.case_id import guess_case
from napari_smse.atomic_write import atomic_path
from napari_smse.datasets.leakage import slide_hashes
from napari_smse.errors import DataError, SmseError, named_error
from napari_smse.metrics.bootstrap import case_auc, case_predictions
from napari_smse.metrics.estimate import counted
from napari_smse.models.card import ModelCard
from napari_smse.progress import Progress, Task
from napari_smse.results import REPORT_NAME, RunContext
from napari_smse.results.report.cohort_page import (
    IN_PART,
    SCORED,
    Cohort,
    CohortComparison,
    CohortGroup,
    CohortSlide,
    cohort_html,
)
from napari_smse.results.report.pictures import jpeg
from napari_smse.results.run_record import read_record
from napari_smse.scoring import ScaleScores
from napari_smse.slides.identity import path_text, slide_name, text_path
from napari_smse.workflows.report.labels import CohortLabels, read_labels
from napari_smse.workflows.report.saved_results import open_results

THUMBNAIL_PX: Final = 280


@dataclass(frozen=True)
class CohortSettings:
    """What a page over many slides is made with.

    Attributes
    ----------
    out
        The page to write, HTML.
    labels
        CSV file with labels by case or by slide; None for none.
    models
        Models that may have scored the slides, besides those that come with the program.
    slides
        Folder in which the slides lie now, if they were moved.
    title
        First line of the page.
    positive
        The class that is looked for; by default the one whose map is shown first.
    """

    out: Path
    labels: Path | None = None
    models: tuple[str, ...] = ()
    slides: Path | None = None
    title: str = "Cohort of slides"
    positive: str = ""


Source = Callable[[], CohortSlide]
"""Looks at one slide of a cohort; raises what it cannot be looked at for."""


@dataclass(frozen=True)
class CohortSource:
    """A slide to look at: by which name and case it stands on the page if that fails, and how.

    Attributes
    ----------
    name, case
        What it is called, and the case it is of.
    look
        Gives what is said of it.
    """

    name: str
    case: str
    look: Source


def write_cohort(sources: Sequence[CohortSource], settings: CohortSettings) -> Task[Cohort]:
    """Look at many slides, and write one page over them; one that fails stops no other.

    Parameters
    ----------
    sources
        The slides.
    settings
        The page, and labels.

    Returns
    -------
    Cohort
        What the page says.

    Raises
    ------
    DataError
        The labels cannot be read, contradict each other, or name a class that no model knows.
    OutputError
        The page cannot be written.
    """
    labels = None if settings.labels is None else read_labels(settings.labels)
    slides = []
    for number, source in enumerate(sources, start=1):
        yield Progress(number - 1, len(sources), f"Looking at {source.name} …")
        slides.append(_looked_at(source))
    if labels is not None:
        slides = [replace(one, case=labels.case_of(one.name, one.case)) for one in slides]
    cohort = gather_cohort(slides, labels, settings.title)
    with atomic_path(settings.out) as part:
        part.write_text(cohort_html(cohort), encoding="utf-8")
    yield Progress(len(sources), len(sources))
    return cohort


def saved_sources(folders: Sequence[Path], settings: CohortSettings) -> list[CohortSource]:
    """Return the slides whose results lie in folders, as `find_results` gives them."""
    return [_saved_source(folder, settings) for folder in folders]


def gather_cohort(
    slides: Sequence[CohortSlide], labels: CohortLabels | None = None, title: str = ""
) -> Cohort:
    """Divide slides by the model that scored them, and compare each model with labels.

    Parameters
    ----------
    slides
        What was found of each.
    labels
        Of the cases; None for none.
    title
        First line of the page.

    Raises
    ------
    DataError
        A label names a class that the model of its slide does not know.
    """
    scored = [one for one in slides if one.summary is not None and not one.problem]
    keys = dict.fromkeys(one.model_key for one in scored)
    groups = tuple(_group([one for one in scored if one.model_key == key], labels) for key in keys)
    unscored = tuple(one for one in slides if one not in scored)
    cases = {one.case for one in slides}
    return Cohort(
        title,
        groups,
        unscored,
        None if labels is None else dict(labels.by_case),
        () if labels is None else tuple(_label_warnings(labels, cases)),
    )


def cohort_slide(
    context: RunContext,
    scales: Sequence[ScaleScores],
    *,
    name: str,
    case: str,
    content: str,
    complete: bool = True,
) -> CohortSlide:
    """Return what a cohort says of a slide by its scores.

    Parameters
    ----------
    context
        What tiles are called by.
    scales
        All that its store holds, fine to coarse.
    name, case, content
        What it is called, the case it is of, and its quick hash.
    complete
        Whether every tile was scored.
    """
    card = context.card
    return CohortSlide(
        name,
        case,
        context.model,
        f"{card.weights_sha256} {context.classifier}",
        context.summary(scales),
        SCORED if complete else IN_PART,
        trained_on=_is_known(card, case, content),
    )


def _is_known(card: ModelCard, case: str, content: str) -> bool:
    known = {one for source in card.training for one in source.case_hashes}
    return not known.isdisjoint(slide_hashes(case, content))


def _looked_at(source: CohortSource) -> CohortSlide:
    try:
        return source.look()
    except Exception as error:
        reason = str(named_error(error, source.name))
        return CohortSlide(source.name, source.case, problem=reason)


def _saved_source(folder: Path, settings: CohortSettings) -> CohortSource:
    try:
        path = text_path(read_record(folder).slide.path)
        name = path_text(slide_name(path))
    except SmseError:  # which looking at it says again
        name = path_text(folder.name)
    case = guess_case(name)
    return CohortSource(name, case, lambda: _saved_slide(folder, name, case, settings))


def _saved_slide(folder: Path, name: str, case: str, settings: CohortSettings) -> CohortSlide:
    results = open_results(folder, settings.models, settings.positive)
    found = cohort_slide(
        results.context,
        results.scales,
        name=name,
        case=case,
        content=results.record.slide.quick_hash,
        complete=results.store.complete,
    )
    picture = b""
    try:
        with results.open_slide(settings.slides) as slide:
            picture = jpeg(slide.thumbnail(THUMBNAIL_PX))
    except SmseError:  # a page without a picture is better than none
        picture = b""
    report = folder / REPORT_NAME
    link = _link(report, settings.out.parent) if report.exists() else ""
    return replace(found, picture=picture, report=link)


def _link(target: Path, folder: Path) -> str:
    """Return how a page in a folder links to a file, wherever both are moved together."""
    try:
        path = Path(os.path.relpath(target.absolute(), folder.absolute()))
    except ValueError:  # another drive
        return target.absolute().as_uri()
    return quote(os.fsencode(path.as_posix()))


def _group(slides: Sequence[CohortSlide], labels: CohortLabels | None) -> CohortGroup:
    ordered = sorted(slides, key=lambda one: -1.0 if one.score is None else one.score, reverse=True)
    first = ordered[0].summary
    assert first is not None
    comparison = None
    if labels is not None and ordered[0].has_classes:
        comparison = _compare(ordered, labels, first.rule.classes)
    return CohortGroup(ordered[0].model, first.class_name, tuple(ordered), comparison)


def _compare(
    slides: Sequence[CohortSlide], labels: CohortLabels, classes: tuple[str, ...]
) -> CohortComparison:
    """Compare one score a case with its label."""
    assert slides[0].summary is not None
    class_name = slides[0].summary.class_name
    labelled = [one for one in slides if one.case in labels.by_case]
    for one in labelled:
        _require_class(labels, one.case, classes, slides[0].model)
    learnt = {one.case for one in labelled if one.trained_on}
    scores: dict[str, float] = {}
    for one in labelled:
        if one.case not in learnt and one.score is not None:
            scores[one.case] = max(one.score, scores.get(one.case, 0.0))
    positive = [labels.by_case[case].casefold() == class_name.casefold() for case in scores]
    names = (_other_name(classes, class_name), class_name)
    auc = case_auc(list(scores.values()), positive, names)
    roc = b"" if auc.value is None else _roc(list(scores.values()), positive, names)
    notes = tuple(_left_out(slides, labels, learnt, scores))
    return CohortComparison(auc, len(positive) - sum(positive), sum(positive), roc, notes)


def _roc(scores: Sequence[float], positive: Sequence[bool], names: tuple[str, str]) -> bytes:
    from napari_smse.evaluation.report.plots import roc_plot

    return roc_plot(case_predictions(scores, positive), names) or b""


def _other_name(classes: Sequence[str], class_name: str) -> str:
    others = [name for name in classes if name != class_name]
    return others[0] if len(others) == 1 else f"not {class_name}"


def _require_class(labels: CohortLabels, case: str, classes: Sequence[str], model: str) -> None:
    label = labels.by_case[case]
    if label.casefold() not in {name.casefold() for name in classes}:
        raise DataError(
            f"{labels.path} labels {case} as {label!r}, which {model} does not know: write one of "
            f"{', '.join(classes)}."
        )


def _left_out(
    slides: Sequence[CohortSlide],
    labels: CohortLabels,
    learnt: set[str],
    scores: Mapping[str, float],
) -> Iterator[str]:
    """Say which cases the comparison leaves out, and why."""
    cases = dict.fromkeys(one.case for one in slides)
    unlabelled = [case for case in cases if case not in labels.by_case]
    if unlabelled:
        yield f"Without a label, and left out: {_named(unlabelled)}."
    if learnt:
        yield (f"Left out, as the model was trained on them: {_named(sorted(learnt))}.")
    silent = [
        case
        for case in cases
        if case in labels.by_case and case not in learnt and case not in scores
    ]
    if silent:
        yield (
            f"Left out, as no tissue of a scale that the model was trained at is in distribution: "
            f"{_named(silent)}."
        )


def _label_warnings(labels: CohortLabels, cases: set[str]) -> Iterator[str]:
    yield from labels.warnings
    missing = [case for case in labels.by_case if case not in cases]
    if missing:
        yield (
            f"{labels.path.name} has {counted(len(missing), 'cases')} without a slide here: "
            f"{_named(missing)}."
        )


def _named(cases: Sequence[str], most: int = 8) -> str:
    more = f" and {len(cases) - most} more" if len(cases) > most else ""
    return f"{', '.join(cases[:most])}{more}"
