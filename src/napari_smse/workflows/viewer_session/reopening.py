"""A session opened again, slide by slide: what is missing or changed stops nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_smse.annotations import AnnotationSet, annotations_from_geojson
from napari_smse.errors import SlideNotFoundError, SmseError, named_error
from napari_smse.progress import Progress, Task
from napari_smse.scoring import ScoreMaps
from napari_smse.slides import Slide, open_slide
from napari_smse.workflows.runs.stored_runs import maps_of_run
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.viewer_session.places import is_there, places_to_look, was_moved
from napari_smse.workflows.viewer_session.record import (
    SessionRecord,
    SessionSlide,
    read_session,
)
from napari_smse.workflows.viewer_session.stored_run import find_run


@dataclass(frozen=True)
class OpenSlide:
    """A slide that is in the viewer already.

    Attributes
    ----------
    slide
        The slide.
    store
        Of its run in force; None if there is none.
    is_scored_now
        Whether it is being scored, which must not be disturbed.
    """

    slide: Slide
    store: Path | None = None
    is_scored_now: bool = False


@dataclass(frozen=True)
class ReopenedSlide:
    """What came of one slide of a session.

    Attributes
    ----------
    stated
        What the session says of it.
    slide
        The slide; None if it could not be opened.
    was_open
        Whether it was in the viewer already.
    is_same
        Whether it is the one that the session was saved with; of another one nothing is shown.
    run, maps
        Its run and the maps; None if there is none to show that is not shown already.
    annotations
        What was drawn; None if that cannot be shown.
    problems
        What is missing or was changed, one line each.
    """

    stated: SessionSlide
    slide: Slide | None = None
    was_open: bool = False
    is_same: bool = True
    run: Run | None = None
    maps: ScoreMaps | None = None
    annotations: AnnotationSet | None = None
    problems: tuple[str, ...] = field(default_factory=tuple)

    @property
    def is_whole(self) -> bool:
        """Whether all that was drawn on it can be shown, so that nothing is lost."""
        return self.slide is not None and self.annotations is not None


def reopen_session(path: Path, open_now: Mapping[str, OpenSlide]) -> Task[SessionRecord]:
    """Open what a session says.

    The `detail` of the progress is the `SessionRecord` at first, and then a `ReopenedSlide` each.

    Parameters
    ----------
    path
        The file of the session.
    open_now
        By quick hash, slides that are in the viewer: they are not opened again.

    Raises
    ------
    SessionError
        The file cannot be read.
    """
    record = read_session(path)
    number = len(record.slides)
    yield Progress(0, number, f"Opening {path.name} …", detail=record)
    for done, stated in enumerate(record.slides):
        yield Progress(done, number, f"Opening {stated.name} ({done + 1} of {number}) …")
        opened = _reopened(stated, path, open_now)
        yield Progress(done + 1, number, detail=opened)
    return record


def _reopened(
    stated: SessionSlide, session: Path, open_now: Mapping[str, OpenSlide]
) -> ReopenedSlide:
    there = open_now.get(stated.quick_hash)
    slide = None if there is None else there.slide
    opened = ReopenedSlide(stated, slide, was_open=there is not None)
    try:
        if there is None:
            opened = _opened(opened, session, open_now)
        opened = _with_annotations(_with_run(opened, session, there), session)
    except Exception as error:
        return _with_problem(opened, error)
    return opened


def _opened(
    opened: ReopenedSlide, session: Path, open_now: Mapping[str, OpenSlide]
) -> ReopenedSlide:
    """Open a slide where it is now: the one of the session before any other of its name."""
    stated, other = opened.stated, None
    problem: Exception | None = None
    for path in filter(is_there, places_to_look(stated.place, session)):
        try:
            slide = open_slide(path, mpp=stated.mpp)
            if slide.quick_hash == stated.quick_hash:
                if other is not None:
                    other.close()
                opened = replace(opened, slide=slide)
                if was_moved(stated.place, path, session):
                    opened = _noted(opened, f"it is not where it was; it was found at {path}.")
                return opened
            other = other or slide
        except (SmseError, OSError) as error:
            problem = problem or error
    if other is not None:
        there = open_now.get(other.quick_hash)
        return replace(
            _changed(opened, other if there is None else there.slide), was_open=there is not None
        )
    if problem is not None:
        raise problem
    raise SlideNotFoundError(
        f"{stated.place.path} is not there, and nothing of its name beside the session: put it "
        "back, or beside the session."
    )


def _changed(opened: ReopenedSlide, other: Slide) -> ReopenedSlide:
    stated = opened.stated
    fits = (other.width, other.height) == (stated.width, stated.height)
    shown = (
        "its regions are shown, its scores are not: check that they fit."
        if fits
        else f"its size was {stated.width:,} x {stated.height:,} px and is {other.width:,} x "
        f"{other.height:,} now, and so neither regions nor scores are shown."
    )
    opened = replace(opened, slide=other, is_same=False)
    if not fits:
        opened = replace(opened, stated=stated.model_copy(update={"view": None}))
    return _noted(opened, f"the file was changed since the session was saved; {shown}")


def _with_run(opened: ReopenedSlide, session: Path, there: OpenSlide | None) -> ReopenedSlide:
    slide, stated = opened.slide, opened.stated.run
    if slide is None or stated is None or not opened.is_same:
        return opened
    if there is not None and there.is_scored_now:
        return _noted(opened, "it is being scored, and so its scores are not exchanged.")
    try:
        run = find_run(stated, slide, session)
        if there is not None and there.store == run.store.path:
            return opened
        return replace(opened, run=run, maps=maps_of_run(run))
    except Exception as error:
        return _with_problem(opened, error)


def _with_annotations(opened: ReopenedSlide, session: Path) -> ReopenedSlide:
    slide, stated = opened.slide, opened.stated
    if slide is None or (slide.width, slide.height) != (stated.width, stated.height):
        return opened
    found = AnnotationSet()
    if stated.annotations is not None:
        found = annotations_from_geojson(stated.annotations, session)
    return replace(opened, annotations=found)


def _with_problem(opened: ReopenedSlide, error: Exception) -> ReopenedSlide:
    return _noted(opened, str(named_error(error, opened.stated.name)))


def _noted(opened: ReopenedSlide, problem: str) -> ReopenedSlide:
    line = " ".join(f"{opened.stated.name}: {problem}".split())
    return replace(opened, problems=(*opened.problems, line))


def still_missing(saved: AnnotationSet, drawn: AnnotationSet) -> tuple[AnnotationSet, int]:
    """Return what a session holds and is not drawn, and how many regions are drawn otherwise.

    What is drawn goes before what was saved, as it may have been edited since.

    Parameters
    ----------
    saved
        Of the session.
    drawn
        In the viewer.
    """
    there = {one.id: one for one in drawn.annotations}
    links = {one.id for one in drawn.constraints}
    about = {one.about for one in drawn.corrections}
    edited = [
        one for one in saved.annotations if one.id in there and not one.is_drawn_as(there[one.id])
    ]
    missing = replace(
        saved,
        annotations=tuple(one for one in saved.annotations if one.id not in there),
        constraints=tuple(one for one in saved.constraints if one.id not in links),
        corrections=tuple(one for one in saved.corrections if one.about not in about),
        case="" if drawn.case else saved.case,
    )
    return missing, len(edited)
