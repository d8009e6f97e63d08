"""A folder as a session names it: two slides, a model, and the stored run of one of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from napari_smse.models import read_card
from napari_smse.progress import run_task
from napari_smse.scoring import ScoreStore
from napari_smse.slides import open_slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.runs.stored_runs import run_of_store
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings
from napari_smse.workflows.viewer_session.places import place_of
from napari_smse.workflows.viewer_session.record import (
    FORMAT,
    VERSION,
    SessionMap,
    SessionRecord,
    SessionRun,
    SessionSlide,
)
from napari_smse.workflows.viewer_session.stored_run import model_place
from support.annotated_slides import write_darker_slide, write_red_slide
from support.docks import seeing_model

NAME = "case.smse-session.json"


def write_scored_case(folder):
    """Write the slides `first` and `second`, the model `mini`, and the run of the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_slide, "runs_folder", lambda: folder / "runs")
        model = seeing_model(folder)
        patch.setattr(score_slide, "load_cached_model", lambda _name: model)
        first = write_red_slide(folder, "first")
        write_darker_slide(folder, "second")
        with open_slide(first) as slide:
            # In float32, as it is measured else what is the fastest.
            settings = ScoreSettings((0.5, 0.6), precision="float32")
            run_task(ScoreJob(slide, weights_in(folder), settings).run())
    return folder


def weights_in(folder):
    return str(folder / "mini.safetensors")


def store_in(folder):
    return next((folder / "runs").glob("*.zarr"))


def stored_run(slide, folder):
    """Return the run of the first slide."""
    weights = weights_in(folder)
    return run_of_store(slide, ScoreStore.open(store_in(folder)), read_card(weights), weights)


def session_slide(path, session, annotations=None, **changed):
    with open_slide(path) as slide:
        facts = {
            "place": place_of(path, session),
            "name": slide.name,
            "quick_hash": slide.quick_hash,
            "width": slide.width,
            "height": slide.height,
            "annotations": annotations,
        }
    return SessionSlide(**{**facts, **changed})


def session_run(folder, session):
    card = read_card(weights_in(folder))
    return SessionRun(
        store=place_of(store_in(folder), session),
        model=model_place(weights_in(folder), session),
        label=card.label,
        weights_sha256=card.weights_sha256,
        mpps=(0.5, 0.6),
        shown=SessionMap(class_name="malignant", scale="20x"),
    )


def session_record(slides, **changed):
    facts = {"format": FORMAT, "version": VERSION, "saved": datetime(2026, 12, 1, tzinfo=UTC)}
    return SessionRecord(**{**facts, "slides": tuple(slides), **changed})
