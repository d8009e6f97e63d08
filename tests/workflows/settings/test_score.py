"""What score settings amount to."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely import box

from napari_smse.errors import ScaleError
from napari_smse.slides import Region, Slide, open_slide
from napari_smse.workflows.settings.score import ScoreSettings


def test_a_time_limit_scores_coarse_tiles_first() -> None:
    request = ScoreSettings((0.25, 0.5), overlap=0.5, min_tissue=0.1).request()
    assert (request.mpps, request.overlap, request.min_tissue) == ((0.25, 0.5), 0.5, 0.1)
    assert not request.coarse_first
    assert ScoreSettings(time_limit=60.0).request().coarse_first


@pytest.mark.parametrize("settings", [ScoreSettings((0.0,)), ScoreSettings(overlap=1.0)])
def test_what_is_impossible_is_refused(settings: ScoreSettings) -> None:
    with pytest.raises(ScaleError):
        settings.request()


def test_outlines_are_counted_from_the_bounds_of_the_slide(
    slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slide, "bounds", property(lambda _: Region(64, 128, 500, 384)))
    with open_slide(slide_path) as slide:
        request = ScoreSettings().request_on(slide, box(0, 0, 10, 20))
        assert request.roi is not None
        assert request.roi.bounds == (64, 128, 74, 148)
        assert ScoreSettings().request_on(slide, None).roi is None
