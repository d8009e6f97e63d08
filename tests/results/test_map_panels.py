"""The saved picture hatches what the tables call out of distribution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_smse.results import MapPanel, RunContext, map_panels
from napari_smse.results.map_panels import draw_maps
from napari_smse.scoring import ScaleScores, ScoreRequest, choose_device, open_run, score
from napari_smse.similarity.ood.reference import OodReference, fitted_appearance
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles.appearance import MEASURES
from support.models import redness_model

MODEL = redness_model()


@pytest.fixture
def slide(slide_path: Path) -> Iterator[Slide]:
    with open_slide(slide_path) as opened:
        yield opened


@pytest.fixture
def scales(slide: Slide, tmp_path: Path) -> list[ScaleScores]:
    request, device = ScoreRequest((0.25, 0.5)), choose_device("cpu")
    plan = request.plan(slide, MODEL.card)
    store = open_run(tmp_path / "scores.zarr", slide, MODEL.card, request, plan, device)
    for _ in score(slide, MODEL, plan, store, device):
        pass
    return [store.scale(number) for number in range(2)]


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[MapPanel]:
    """What is drawn."""
    drawn: list[MapPanel] = []

    def picture(_thumbnail: object, maps: list[MapPanel], **_more: object) -> bytes:
        drawn.extend(maps)
        return b""

    monkeypatch.setattr(map_panels, "heat_map_picture", picture)
    return drawn


def knowing_pink(scales: list[ScaleScores], finest: float, coarsest: float) -> RunContext:
    """A model of some magnifications that knows the pink tissue, and not the red square on it."""
    noise = np.random.default_rng(0).normal(0, 0.05, (300, len(MEASURES)))
    appearance = np.concatenate([one.appearance for one in scales])
    pink = fitted_appearance("pink", 0.35, np.median(appearance, axis=0) + noise, 12.0)
    card = MODEL.card.model_copy(update={"mpp_range": (finest, coarsest)})
    return RunContext(card, "CPU", reference=OodReference(model="m", appearances=(pink,)))


def hatched_at(panel: MapPanel, x: float, y: float) -> bool:
    """Whether a level-0 point of 0.25 um/px is hatched."""
    assert panel.out_of_distribution is not None
    rows, columns = panel.out_of_distribution.shape
    left, right, bottom, top = panel.extent
    column = int((x * 0.25 - left) / (right - left) * columns)
    row = int((y * 0.25 - top) / (bottom - top) * rows)
    return bool(panel.out_of_distribution[row, column])


def test_each_scale_and_their_mean_are_hatched_where_nothing_is_called(
    slide: Slide, scales: list[ScaleScores], panels: list[MapPanel]
) -> None:
    draw_maps(slide, scales, knowing_pink(scales, 0.2, 0.6))
    assert len(panels) == 3
    assert [hatched_at(panel, 576, 320) for panel in panels] == [True] * 3
    assert [hatched_at(panel, 250, 800) for panel in panels] == [False] * 3


def test_a_scale_that_was_not_trained_is_hatched_as_a_whole_and_not_in_the_mean(
    slide: Slide, scales: list[ScaleScores], panels: list[MapPanel]
) -> None:
    draw_maps(slide, scales, knowing_pink(scales, 0.2, 0.3))
    fine, coarse, mean = panels
    assert coarse.out_of_distribution is not None
    np.testing.assert_array_equal(coarse.out_of_distribution, np.isfinite(coarse.values))
    assert "outside the model's magnifications" in coarse.title
    assert [hatched_at(panel, 250, 800) for panel in (fine, mean)] == [False] * 2
