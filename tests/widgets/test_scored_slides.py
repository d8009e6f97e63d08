"""The slides of a viewer that questions are asked of."""

from types import SimpleNamespace

import pytest
from napari.components import ViewerModel

from napari_smse.annotations import AnnotationSet
from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection, TilePlace
from napari_smse.widgets import scored_slides
from napari_smse.widgets.session import ScoredLayer, Session


def place(x):
    return TilePlace("same", 0.5, x, 0, 64, 64)


@pytest.fixture
def opened(monkeypatch):
    """Two slides, one of which is open under two names and corrected under both."""
    slides = [
        SimpleNamespace(name=name, quick_hash=content)
        for name, content in (("a", "same"), ("b", "other"), ("copy of a", "same"))
    ]
    said = {
        "a": AnnotationSet(corrections=(TileCorrection(place(0), "ignore"),)),
        "b": AnnotationSet(),
        "copy of a": AnnotationSet(
            constraints=(PairConstraint(place(0), place(64), True),),
            corrections=(
                TileCorrection(place(0), "ignore"),
                TileCorrection(place(64), "class", "fat"),
            ),
        ),
    }
    layers = [ScoredLayer(one.name, one, f"run on {one.name}") for one in slides]
    monkeypatch.setattr(Session, "scored_layers", lambda _: layers)
    monkeypatch.setattr(scored_slides, "drawn_on", lambda _, layer, __: said[layer])
    return said


def test_a_slide_that_is_open_under_two_names_is_one(opened):
    found = scored_slides.scored_slides(ViewerModel())
    assert [(one.slide.name, one.run) for one in found] == [("a", "run on a"), ("b", "run on b")]
    (first, second) = found
    assert first.annotations.constraints == opened["copy of a"].constraints
    assert first.annotations.corrections == opened["copy of a"].corrections
    assert second.annotations == AnnotationSet()
