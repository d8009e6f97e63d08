"""The sample slide, scored once by a model of known answers and once by a tiny real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shapely.geometry import box

import napari_smse as smse
from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.api.model import Model
from napari_smse.api.scores import Scores
from napari_smse.scoring.runtimes import selection
from napari_smse.slides import Slide
from support.models import redness_model
from support.training import mini_model

MPPS = (1.0, 2.0)
MINI_MPP = 0.5


@pytest.fixture(scope="session")
def slide(sample_slide: Path) -> Iterator[Slide]:
    with smse.open_slide(sample_slide) as opened:
        yield opened


@pytest.fixture(scope="session")
def redness() -> Model:
    return Model(redness_model())


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(mini_model(tmp_path_factory.mktemp("mini")))


def _as_it_is(device, _model, _threads):
    return selection.Speed("torch", device.precision, 1.0, 0.0)


@pytest.fixture(scope="session")
def scored(slide: Slide, redness: Model, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """The sample slide at two scales, by redness."""
    out = tmp_path_factory.mktemp("scored") / "redness.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "selected_speed", _as_it_is)
        return smse.score(slide, redness, MPPS, out=out, device="cpu")


@pytest.fixture(scope="session")
def scored_by_mini(slide: Slide, mini: Model, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """The sample slide at one scale, by the tiny network."""
    out = tmp_path_factory.mktemp("scored") / "mini.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "selected_speed", _as_it_is)
        return smse.score(slide, mini, MINI_MPP, out=out, device="cpu")


@pytest.fixture(scope="session")
def notes() -> AnnotationSet:
    """Two regions of each class, on the two islands that differ."""
    drawn = {
        "benign": [(800, 1600, 1312, 2112), (1900, 1600, 2412, 2112)],
        "malignant": [(3300, 1300, 3812, 1812), (4700, 1300, 5212, 1812)],
    }
    return AnnotationSet(
        tuple(Annotation(name, box(*one)) for name, some in drawn.items() for one in some)
    )
