"""What a dock does, as a command for a shell and as Python.

Only settings that differ from their defaults are written. What a command needs from a file, such as
a region, is named in a comment above it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from shapely import box, union_all
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import QueryError
from napari_smse.scoring import MASK, REGION
from napari_smse.scoring.open_run import FEATURES
from napari_smse.scoring.store import QUANTISATION
from napari_smse.slides import Region, Slide
from napari_smse.slides.identity import path_text
from napari_smse.slides.scale import ScaleSource
from napari_smse.workflows.replay.recorded_run import request_settings
from napari_smse.workflows.runs.feature_run import is_of_features
from napari_smse.workflows.scored_slide import NOT_SCORED, Run
from napari_smse.workflows.settings.embeddings import (
    EmbeddingMapSettings,
    EvidenceSettings,
    SearchSettings,
    SuggestSettings,
)
from napari_smse.workflows.settings.fine_tune import FineTuneSettings
from napari_smse.workflows.settings.option import Setting, settings_of
from napari_smse.workflows.settings.score import ScoreSettings

PROGRAM: Final = "napari-smse"
_IMPORT: Final = "import napari_smse as smse"
_REGION_FILE: Final = "region.geojson"
_TIMES: Final = ("s", "min")
"""Units of settings that hold a time, in s, which a shell is given with its unit."""


class Scored(Protocol):
    """A slide and the run in force."""

    @property
    def slide(self) -> Slide:
        """The slide."""
        ...

    @property
    def run(self) -> Run:
        """Its run."""
        ...


@dataclass(frozen=True)
class Script:
    """The same work in two languages.

    Attributes
    ----------
    python
        To be pasted into a notebook.
    command
        For a shell; empty where the shell has no such command.
    """

    python: str
    command: str = ""


def score_script(
    slide: Slide, model: str, settings: ScoreSettings, region: BaseGeometry | None = None
) -> Script:
    """Return how to score a slide.

    Parameters
    ----------
    slide, model, settings
        As the dock has them.
    region
        What is scored, (x, y) in level-0 px; None for the whole slide.
    """
    comments = [] if region is None else [f"# The region is {_REGION_FILE}: save it from Annotate."]
    words = ["score", path_text(slide.path), "--out", "results", *_model_words(model)]
    words += _options(settings) + _source_mpp_words(slide)
    words += [] if region is None else ["--roi", _REGION_FILE]
    lines = [
        _IMPORT,
        *_region_lines(region),
        f"slide = {_opened(slide)}",
        f"model = smse.load_model({model!r})",
        f"scores = {_scored('slide', settings, region)}",
        'scores.save("results")',
    ]
    return Script(_joined(lines), _joined([*comments, _command(words)]))


def fine_tune_script(slides: Sequence[Scored], settings: FineTuneSettings) -> Script:
    """Return how to fine-tune on slides, whose annotations lie beside them.

    Raises
    ------
    QueryError
        There are none.
    """
    _require(slides)
    model = slides[0].run.model
    folders = {path_text(one.slide.path.parent) for one in slides}
    places = [path_text(one.slide.path) for one in slides]
    data = folders.pop() if len(folders) == 1 else os.path.commonpath(places)
    words = ["finetune", model, data, "--out", "tuned", *_options(settings)]
    mpps = [tiles.grid.spec.mpp for tiles in slides[0].run.plan.scales]
    words += [word for mpp in mpps for word in ("--mpp", f"{mpp:g}")]
    lines = [
        *_scored_lines(slides, annotated=True, with_model=True),
        f"tuned = smse.fine_tune(model, {_all_of(slides)}{_arguments(settings)})",
        "print(tuned.before, tuned.after)",
    ]
    plans = [one.run.plan for one in slides]
    # `finetune` reads slides as they are, and finds their tissue by colour.
    masked = any(plan.icc or plan.mask.left_out is not None for plan in plans)
    if masked or _are_of_features(slides):
        return Script(_joined(lines))
    comment = "# The annotations lie beside the slides (Annotate: Save), and no other slides there."
    return Script(_joined(lines), _joined([comment, _command(words)]))


def similar_script(
    one: Scored,
    like: Sequence[BaseGeometry],
    unlike: Sequence[BaseGeometry] = (),
    mpp: float | None = None,
) -> Script:
    """Return how to find the tiles of a slide that are most like some areas, level-0 px.

    Parameters
    ----------
    one
        The slide.
    like, unlike
        Positive and negative examples.
    mpp
        Scale that is searched, um/px; the finest by default.
    """
    more = ", unlike=unlike" if unlike else ""
    more += "" if mpp is None else f", mpp={mpp!r}"
    lines = [
        *_scored_lines([one]),
        *_region_lines(union_all(like)),
        *([f"unlike = shape({mapping(union_all(unlike))!r})"] if unlike else []),
        f"similar = smse.find_similar(scores_1, region{more})",
    ]
    return Script(_joined(lines))


def search_script(index: Path, one: Scored, region: Region, settings: SearchSettings) -> Script:
    """Return how to find what is like a region, level-0 px, in all slides of an index."""
    sides = (("x", region.x), ("y", region.y), ("width", region.width), ("height", region.height))
    words = ["search", path_text(index), "--slide", path_text(one.slide.path)]
    words += [word for name, side in sides for word in (f"--{name}", str(side))]
    words += _source_mpp_words(one.slide) + _model_words(one.run.model) + _options(settings)
    scale = "" if settings.mpp is None else f", mpp={settings.mpp!r}"
    lines = [
        *_scored_lines([one]),
        f"index = smse.SlideIndex({path_text(index)!r})",
        *_region_lines(box(region.x, region.y, region.right, region.bottom)),
        f"similar = smse.find_similar(scores_1, region{scale})",
        f"embeddings = scores_1.embeddings({settings.mpp or ''})[similar.like.rows]",
        f"hits = index.search(embeddings, without=(slide_1, region){_arguments(settings)})",
    ]
    return Script(_joined(lines), "" if _are_of_features([one]) else _command(words))


def embedding_map_script(slides: Sequence[Scored], settings: EmbeddingMapSettings) -> Script:
    """Return how to lay out the tiles of slides in the plane.

    Raises
    ------
    QueryError
        There are none.
    """
    _require(slides)
    scores = ", ".join(f"scores_{number}" for number in _numbers(slides))
    lines = [
        *_scored_lines(slides),
        f"places = smse.embedding_map([{scores}]{_arguments(settings)})",
    ]
    return Script(_joined(lines))


def suggest_script(slides: Sequence[Scored], settings: SuggestSettings) -> Script:
    """Return how to find the tiles of slides whose labels are worth most.

    Raises
    ------
    QueryError
        There are none.
    """
    _require(slides)
    pairs = ", ".join(f"(scores_{number}, notes_{number})" for number in _numbers(slides))
    lines = [
        *_scored_lines(slides, annotated=True),
        f"queue = smse.suggest_tiles([{pairs}]{_arguments(settings)})",
    ]
    return Script(_joined(lines))


def evidence_script(
    one: Scored | None, point: tuple[float, float] | None, settings: EvidenceSettings
) -> Script:
    """Return how to look at the evidence for the tiles at a place, level-0 px.

    Raises
    ------
    QueryError
        There is no place, or no slide.
    """
    if one is None or point is None:
        raise QueryError("Click a tile first.")
    lines = [
        *_scored_lines([one], with_model=True),
        "bank = smse.ExemplarBank.of_model(model)",
        f"evidence = smse.explain(scores_1, {point[0]:.0f}, {point[1]:.0f}, bank"
        f"{_arguments(settings)})",
    ]
    return Script(_joined(lines))


def _require(slides: Sequence[Scored]) -> None:
    if not slides:
        raise QueryError(NOT_SCORED)


def _scored_lines(
    slides: Sequence[Scored], *, annotated: bool = False, with_model: bool = False
) -> Iterator[str]:
    yield _IMPORT
    if with_model or not _are_of_features(slides):
        # What is known by its features alone is loaded by its name, once it is there.
        name = slides[0].run.card.name if _are_of_features(slides) else slides[0].run.model
        yield f"model = smse.load_model({name!r})"
    for number, one in zip(_numbers(slides), slides, strict=True):
        yield from _scores_lines(number, one)
        if annotated:
            file = path_text(one.slide.path.with_suffix(".geojson"))
            yield f"notes_{number} = smse.read_annotations({file!r}, slide_{number})"


def _scores_lines(number: int, one: Scored) -> Iterator[str]:
    facts, slide = one.run.store.facts, f"slide_{number}"
    opened = f"{slide} = {_opened(one.slide)}"
    if is_of_features(one.run):
        yield opened
        yield f"scores_{number} = smse.open_features({facts[FEATURES]['path']!r}, {slide})"
        return
    settings = request_settings(
        facts["request"], facts.get("seconds", 0.0), facts.get(MASK, {}).get("path")
    )
    if QUANTISATION in facts:  # which otherwise is not to be had without asking
        settings = replace(settings, precision="int8")
    region = shape(facts[REGION]) if REGION in facts else None
    yield from _region_lines(region)
    yield opened
    yield f"scores_{number} = {_scored(slide, settings, region)}"


def _are_of_features(slides: Sequence[Scored]) -> bool:
    """Whether none was scored here: a command of the shell, which scores them, is none of these."""
    return all(is_of_features(one.run) for one in slides)


def _numbers(slides: Sequence[Scored]) -> range:
    return range(1, len(slides) + 1)


def _all_of(slides: Sequence[Scored]) -> str:
    rows = (f"(slide_{n}, scores_{n}, notes_{n})" for n in _numbers(slides))
    return f"[{', '.join(rows)}]"


def _opened(slide: Slide) -> str:
    mpp = f", mpp={slide.mpp!r}" if slide.scale.source is ScaleSource.USER else ""
    return f"smse.open_slide({path_text(slide.path)!r}{mpp})"


def _scored(slide: str, settings: ScoreSettings, region: BaseGeometry | None = None) -> str:
    roi = "" if region is None else ", roi=region"
    return f"smse.score({slide}, model{roi}{_arguments(settings)})"


def _region_lines(region: BaseGeometry | None) -> list[str]:
    if region is None:
        return []
    return ["from shapely.geometry import shape", f"region = shape({mapping(region)!r})"]


def _model_words(model: str) -> list[str]:
    return [] if model == "bundled" else ["--model", model]


def _source_mpp_words(slide: Slide) -> list[str]:
    return ["--source-mpp", repr(slide.mpp)] if slide.scale.source is ScaleSource.USER else []


def _changed(settings: object) -> Iterator[tuple[Setting, Any]]:
    """Yield the settings of a record that differ from their defaults, with their values."""
    for name, setting in settings_of(type(settings)).items():
        value = getattr(settings, name)
        if value != setting.default:
            yield setting, value


def _options(settings: object) -> list[str]:
    return [word for setting, value in _changed(settings) for word in _option(setting, value)]


def _option(setting: Setting, value: object) -> list[str]:
    flag = f"-{setting.name}" if len(setting.name) == 1 else f"--{setting.name.replace('_', '-')}"
    if setting.option.unit in _TIMES:
        return [flag, f"{value:g}s"]
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if isinstance(value, tuple):
        parts = (part if isinstance(part, str) else f"{part:g}" for part in value)
        return [word for part in parts for word in (flag, part)]
    return [flag, f"{value:g}" if isinstance(value, float) else str(value)]


def _arguments(settings: object) -> str:
    return "".join(f", {setting.name}={value!r}" for setting, value in _changed(settings))


def _command(words: Sequence[str]) -> str:
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join([PROGRAM, *words])


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
