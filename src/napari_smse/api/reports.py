"""What was scored, for people to read: a summary, reports of slides, and a page over many."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from napari_smse.api.scores import Scores
from napari_smse.errors import RequestError
from napari_smse.progress import OnProgress, run_task
from napari_smse.results.report.cohort_page import Cohort
from napari_smse.results.slide_summary import SlideSummary
from napari_smse.workflows.report import cohort, cohort_tiles, saved_results
from napari_smse.workflows.report.cohort_tiles import CohortTiles

Place = str | os.PathLike[str]


def summarise(scores: Scores, class_name: str | None = None) -> SlideSummary:
    """Sum up what was called on a slide: areas, shares, a histogram and hottest spots.

    Parameters
    ----------
    scores
        Of the slide.
    class_name
        The class whose probabilities and hottest spots are wanted; by default *malignant* if there
        is such, else the last.

    Returns
    -------
    SlideSummary
        ``scales``, one at each scale and last the multi-scale mean, if several: ``calls``
        (``name``, ``mm2`` of tissue, ``share`` of it), ``histogram`` ``(calls, bins)`` in mm2,
        ``mean_probability`` and ``spots`` (``region`` in level-0 px, ``probability``). ``leading``
        is the last of them.

    Raises
    ------
    RequestError
        The model knows no such class.
    ModelNotFoundError
        The model, and so what it calls, is not known.
    OutputError
        The scores cannot be read.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> [call.name for call in smse.summarise(scores).leading.calls]
    ['benign', 'malignant', 'indeterminate', 'out of distribution']
    """
    if class_name is not None and class_name not in scores.classes:
        raise RequestError(
            f"There is no class {class_name!r}: choose one of {', '.join(scores.classes)}."
        )
    scales = [scores.store.scale(number) for number in range(scores.store.scale_count)]
    return scores.context.summary(scales, class_name)


def write_report(
    folder: Place,
    *,
    models: Iterable[Place] = (),
    slides: Place | None = None,
    positive: str = "",
) -> Path:
    """Write the report of a slide that was scored into the folder of its results.

    Parameters
    ----------
    folder
        As ``scores.save`` or ``napari-smse score`` wrote it.
    models
        Paths of models that may have scored it, unless it is one that comes with the program.
    slides
        Folder of the slide, if it was moved since it was scored.
    positive
        The class that is looked for; by default *malignant*, or the last.

    Returns
    -------
    Path
        The page, ``report.html``; ``report.pdf`` lies beside it.

    Raises
    ------
    OutputError
        The results are not whole or cannot be read, or the report cannot be written.
    ModelError
        The model that scored it is not known.
    SlideError
        The slide is not where it was, cannot be read, or is another one.

    Examples
    --------
    >>> import tempfile
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> smse.write_report(scores.save(tempfile.mkdtemp())).name
    'report.html'
    """
    return saved_results.write_report(Path(folder), _models(models), _path(slides), positive)


def write_cohort(
    results: Iterable[Place],
    out: Place,
    *,
    labels: Place | None = None,
    models: Iterable[Place] = (),
    slides: Place | None = None,
    title: str = cohort.CohortSettings.title,
    positive: str = "",
    progress: OnProgress | None = None,
) -> Cohort:
    """Write one HTML page over many slides that were scored.

    Parameters
    ----------
    results
        Folders of results, or folders with such.
    out
        The page to write.
    labels
        CSV with the columns ``label``, and ``case`` or ``slide`` or both: adds ROC and AUC with its
        interval, by case. The score of a slide is its mean probability of the class over the tissue
        that is in distribution; that of a case, the highest of its slides.
    models, slides, positive
        As for `write_report`.
    title
        First line of the page.
    progress
        Called with a `Progress`; what it raises stops the work.

    Returns
    -------
    Cohort
        What the page says: ``groups``, one a model (``slides``, ``comparison``); ``unscored``, each
        with its ``problem``; ``warnings``.

    Raises
    ------
    OutputError
        There are no results, or the page cannot be written.
    DataError
        The labels cannot be read, contradict each other, or name a class that no model knows.
    """
    settings = cohort.CohortSettings(
        Path(out), _path(labels), _models(models), _path(slides), title, positive
    )
    folders = saved_results.find_results(map(Path, results))
    task = cohort.write_cohort(cohort.saved_sources(folders, settings), settings)
    return run_task(task, progress)


def write_cohort_tiles(
    results: Iterable[Place],
    out: Place,
    *,
    labels: Place | None = None,
    progress: OnProgress | None = None,
) -> CohortTiles:
    """Write the tiles of many scored slides to one Parquet file, a row each.

    Parameters
    ----------
    results
        Folders of results, or folders with such.
    out
        The file to write.
    labels
        As for `write_cohort`.
    progress
        Called with a `Progress`; what it raises stops the work.

    Returns
    -------
    CohortTiles
        What is in it: ``tiles``, ``slides``, ``models``; why a slide is not, ``problems``;
        ``warnings``, as where several models scored the slides.

    Raises
    ------
    OutputError
        There are no results that can be read, or the file cannot be written.
    DataError
        The labels cannot be read, or contradict each other.
    """
    folders = saved_results.find_results(map(Path, results))
    return run_task(cohort_tiles.write_cohort_tiles(folders, Path(out), _path(labels)), progress)


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)


def _models(models: Iterable[Place]) -> tuple[str, ...]:
    return tuple(os.fspath(model) for model in models)
