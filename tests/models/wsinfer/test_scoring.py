"""Slides scored by WSInfer's models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_smse as smse
from napari_smse.errors import IndexFilesError, ModelError
from support.wsinfer_models import ZOO, agree, write_wsinfer


@pytest.mark.parametrize("name", ["breast-tumor", "pancreas-tumor", "colorectal-kather"])
def test_a_slide_is_scored_at_the_models_own_scale(
    name: str, tmp_path: Path, sample_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    card = agree(write_wsinfer(tmp_path / name, ZOO[name]))
    model = smse.load_model(tmp_path / name)
    assert model.card == card
    with smse.open_slide(sample_slide) as slide:
        scores = smse.score(slide, model, mpp=card.mpp_range[0], device="cpu")
        probabilities = [scores.probability(one) for one in card.classes]
        np.testing.assert_allclose(np.sum(probabilities, axis=0), 1, atol=1e-3)
        area = [(0, 0), (900, 0), (900, 900), (0, 900)]
        with pytest.raises(ModelError, match="no embeddings to compare tiles by"):
            smse.find_similar(scores, [area])
        with pytest.raises(IndexFilesError, match="no embeddings to search by"):
            smse.SlideIndex.open(tmp_path / "index").add(slide, scores)
