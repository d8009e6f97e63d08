"""What is seen in several scored slides together: a map, what to label next, doubtful labels."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence

from napari_smse.annotations import AnnotationSet
from napari_smse.api.scores import Scores
from napari_smse.errors import QueryError, RequestError
from napari_smse.progress import OnProgress, run_task
from napari_smse.workflows.batch_effect import BatchEffectResult, measure_batch_effect
from napari_smse.workflows.embedding_map import EmbeddingMap, EmbeddingMapJob
from napari_smse.workflows.label_issues import LabelIssueResult, find_suspected_labels
from napari_smse.workflows.scored_slide import ScoredSlide, require_one_model
from napari_smse.workflows.settings.embeddings import EmbeddingMapSettings, Projection
from napari_smse.workflows.suggest_tiles import QueuedTile, find_next

Annotated = Scores | tuple[Scores, AnnotationSet | None]
"""The scores of a slide, and what is drawn on it."""

_METHODS = typing.get_args(Projection)


def embedding_map(
    scores: Scores | Iterable[Scores],
    *,
    method: Projection = "pca",
    progress: OnProgress | None = None,
) -> EmbeddingMap:
    """Lay out the tiles of slides in the plane, alike ones near each other.

    Parameters
    ----------
    scores
        Of one or several slides, by one model.
    method
        ``"pca"``, principal components; or ``"umap"``, which takes longer and must be installed.
    progress
        Called with a `Progress`.

    Returns
    -------
    EmbeddingMap
        ``points`` ``(n, 2)`` float32, the tiles of all slides one after the other;
        ``slide_number``, ``mpps`` and ``probability`` of each; ``axes``, what the directions are;
        and the points of the model's exemplars.

    Raises
    ------
    QueryError
        There is no slide, two models scored them, or there are too few tiles.
    RequestError
        There is no such method, or UMAP is not installed.
    SlideError
        A slide is not known.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> smse.embedding_map(scores).points.shape
    (17, 2)
    """
    if method not in _METHODS:
        raise RequestError(f"There is no method {method!r}: choose one of {', '.join(_METHODS)}.")
    slides = scored_slides([scores] if isinstance(scores, Scores) else scores)
    require_one_model(slides)
    job = EmbeddingMapJob(
        tuple((one.slide, one.run) for one in slides), EmbeddingMapSettings(method)
    )
    return run_task(job.run(), progress)


def suggest_tiles(
    slides: Iterable[Annotated], *, n: int = 20, progress: OnProgress | None = None
) -> Sequence[QueuedTile]:
    """Suggest the tiles whose labels a fine-tuning would learn most from.

    Parameters
    ----------
    slides
        Scores and what is annotated already; None where nothing is.
    n
        How many tiles of all slides together.
    progress
        Called with a `Progress`.

    Returns
    -------
    sequence of QueuedTile
        The most useful first: ``tile`` (``slide``, ``region`` in level-0 px, ``mpp``), ``called``,
        what the model calls it, and the ``probability`` of that.

    Raises
    ------
    QueryError
        There is no slide, two models scored them, or no tile is left to ask for.
    SlideError
        A slide is not known.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> notes = smse.read_annotations("sample_data/sample_annotations.geojson", slide)
    >>> scores = smse.score(slide, smse.load_model(), mpp=0.5, device="cpu")
    >>> len(smse.suggest_tiles([(scores, None)], n=3))
    3
    """
    if n < 1:
        raise QueryError(f"There are no {n} tiles to suggest: ask for 1 or more.")
    return find_next(scored_slides(slides), n).queue


def find_label_issues(
    slides: Iterable[Annotated], *, progress: OnProgress | None = None
) -> LabelIssueResult:
    """Find annotated tiles whose nearest neighbours are of another class.

    Parameters
    ----------
    slides
        Scores and what is annotated.
    progress
        Called with a `Progress`.

    Returns
    -------
    LabelIssueResult
        ``tiles``, the most doubtful first: where each is, the class ``drawn``, the one that its
        neighbours have, and the ``score``, their share (0 to 1); of how many ``annotated`` how many
        are ``doubted``; and ``alone``, the classes of one region only, which nothing can judge.

    Raises
    ------
    QueryError
        There is no slide, two models scored them, or there are no two classes to compare.
    SlideError
        A slide is not known.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> notes = smse.read_annotations("sample_data/sample_annotations.geojson", slide)
    >>> scores = smse.score(slide, smse.load_model(), mpp=0.5, device="cpu")
    >>> smse.find_label_issues([(scores, notes)]).alone
    ['Benign-like', 'Fat-like', 'Malignant-like']
    """
    return find_suspected_labels(scored_slides(slides))


def batch_effect(
    slides: Iterable[Annotated], *, progress: OnProgress | None = None
) -> BatchEffectResult:
    """Measure how far embeddings tell slides apart, rather than classes.

    Parameters
    ----------
    slides
        Scores of at least two slides at one scale, with what is annotated if anything is.
    progress
        Called with a `Progress`.

    Returns
    -------
    BatchEffectResult
        ``effect``, the figures; how many ``slides`` and ``tiles`` were compared; and whether the
        classes are those drawn (``by_drawing``) or what the model calls the tiles.

    Raises
    ------
    QueryError
        There are fewer than two slides, two models scored them, or at two scales.
    SlideError
        A slide is not known.
    """
    return measure_batch_effect(scored_slides(slides))


def scored_slides(slides: Iterable[Annotated]) -> list[ScoredSlide]:
    """Return scored slides as the workflows take them."""
    found = []
    for one in slides:
        scores, notes = (one, None) if isinstance(one, Scores) else one
        found.append(ScoredSlide(scores.slide, scores.run, notes or AnnotationSet()))
    return found
