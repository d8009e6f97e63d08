"""A model as an ONNX file, read as another program would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from napari_smse.errors import ModelError, OutputError
from napari_smse.models import load_model
from napari_smse.models.card import parse_card
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.scoring.runtimes import onnx_file
from napari_smse.scoring.runtimes.onnx_file import CARD_KEY, export_onnx
from support.training import mini_model


def test_any_number_of_tiles_gets_our_answers(tmp_path: Path) -> None:
    model = mini_model(tmp_path)
    assert export_onnx(model, tmp_path / "m.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    px = model.card.tile_px
    for count in (1, 5):
        tiles = np.stack([generated_tile(40 + number, px, px) for number in range(count)])
        probability, embedding = session.run(["probability", "embedding"], {"tiles": tiles})
        with torch.inference_mode():
            ours = model.network(torch.from_numpy(tiles).permute(0, 3, 1, 2))
        np.testing.assert_allclose(probability, ours.logits.softmax(dim=1), atol=1e-4)
        np.testing.assert_allclose(embedding, ours.embedding, atol=1e-4)


def test_the_card_is_in_it(tmp_path: Path) -> None:
    model = mini_model(tmp_path)
    export_onnx(model, tmp_path / "m.onnx")
    (card,) = (
        one.value for one in onnx.load(tmp_path / "m.onnx").metadata_props if one.key == CARD_KEY
    )
    assert parse_card(card, model.path) == load_model(model.path).card


def test_another_file_is_kept(tmp_path: Path) -> None:
    model = mini_model(tmp_path)
    (tmp_path / "m.onnx").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export_onnx(model, tmp_path / "m.onnx")
    with pytest.raises(OutputError, match="does not exist"):
        export_onnx(model, tmp_path / "none" / "m.onnx")
    assert (tmp_path / "m.onnx").read_text() == "mine"


def test_one_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mini_model(tmp_path)
    monkeypatch.setattr(onnx_file, "_own", lambda _model, tiles: np.full((len(tiles), 2), 7.0))
    with pytest.raises(ModelError, match="answers otherwise"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
