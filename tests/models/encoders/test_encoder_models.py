"""Encoders as models of their own, which embed tiles and know no classes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from shapely.geometry import box

import napari_smse as smse
from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.errors import EncoderWeightsError, ModelError, ModelNotFoundError
from napari_smse.models import load_model, read_card
from napari_smse.models.encoders.encoder_card import UNCLASSIFIED
from napari_smse.models.encoders.weights import load_encoder
from napari_smse.slides import Slide
from support.encoders import TINY, empty_hub, tiny_weights
from support.training import mini_set

__all__ = ["empty_hub", "tiny_weights"]  # fixtures
MPP = 0.5


@pytest.fixture
def used(tiny_weights: Path) -> Path:
    """The weights of `TINY`, used once, and so known by its name."""
    load_encoder(TINY, tiny_weights)
    return tiny_weights


@pytest.fixture
def slide(sample_slide: Path) -> Iterator[Slide]:
    with smse.open_slide(sample_slide) as opened:
        yield opened


REGIONS = {
    "stroma": [(800, 1600, 1312, 2112), (1900, 1600, 2412, 2112)],
    "gland": [(3300, 1300, 3812, 1812), (4700, 1300, 5212, 1812)],
}
DRAWN = AnnotationSet(
    tuple(Annotation(name, box(*one)) for name, some in REGIONS.items() for one in some)
)


@pytest.mark.parametrize("name", ["tiny", "a_tiny_one", "somebody/tiny"])
def test_any_name_of_an_encoder_is_a_model(used: Path, name: str) -> None:
    model = smse.load_model(name)
    assert model.path == used
    card = read_card(name)
    assert model.card == card
    assert (card.label, card.classes, card.tile_px) == ("tiny encoder", (UNCLASSIFIED,), 64)
    assert not card.knows_classes
    assert card.encoder is not None
    assert card.encoder.sha256 == card.weights_sha256
    assert "no commercial use" in card.intended_use


def test_its_weights_are_it_once_they_were_used(tiny_weights: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        read_card(tiny_weights.with_name("none"))
    assert load_model("tiny", encoder_weights=tiny_weights).path == tiny_weights
    assert read_card(tiny_weights) == read_card("tiny")


def test_its_embedding_is_its_features(used: Path) -> None:
    tiles = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    model = smse.load_model("tiny")
    found = model.embed(tiles, device="cpu")
    with torch.inference_mode():
        images = (torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
        expected = torch.nn.functional.normalize(load_encoder(TINY, used)(images), dim=1)
    np.testing.assert_allclose(found, expected.numpy(), atol=5e-3)
    np.testing.assert_array_equal(model.predict(tiles, device="cpu"), 1)


@pytest.mark.usefixtures("empty_hub")
def test_without_its_weights_it_is_said_how_to_get_them() -> None:
    for ask in (read_card, load_model, smse.load_model):
        with pytest.raises(EncoderWeightsError, match=r"models get uni2-h.*CC BY-NC-ND 4.0"):
            ask("UNI2")


def test_a_model_of_the_same_name_goes_first(
    used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = read_card().model_copy(update={"name": "mine"})
    (tmp_path / "tiny.json").write_text(card.model_dump_json())
    monkeypatch.chdir(tmp_path)
    assert read_card("tiny").name == "mine"


def test_its_card_needs_no_torch(used: Path) -> None:
    """Of one that is no test's own: the catalogue of another process has no `TINY`."""
    code = (
        "import sys\nfrom napari_smse.errors import SmseError\n"
        "from napari_smse.models.model_files import read_card\n"
        "try:\n    read_card('phikon')\nexcept SmseError:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.usefixtures("used")
def test_a_slide_has_embeddings_and_no_map(slide: Slide, tmp_path: Path) -> None:
    scores = smse.score(slide, smse.load_model("tiny"), MPP, device="cpu")
    assert scores.classes == (UNCLASSIFIED,)
    lengths = np.linalg.norm(scores.embeddings(), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)
    assert smse.find_similar(scores, [box(900, 1700, 1500, 2100)])
    scores.save(tmp_path / "out", report=True)
    table = pq.read_table(tmp_path / "out" / "tiles.parquet")
    assert len(table) == len(scores)
    report = (tmp_path / "out" / "report.html").read_text()
    assert "It knows no classes" in report


@pytest.mark.usefixtures("used")
def test_regions_are_its_first_classes(slide: Slide, tmp_path: Path) -> None:
    model = smse.load_model("tiny")
    scores = smse.score(slide, model, MPP, device="cpu")
    tuned = smse.fine_tune(model, [(slide, scores, DRAWN)], steps=20, device="cpu")
    assert set(tuned.model.card.classes) == {"stroma", "gland"}
    assert not any(UNCLASSIFIED in one for one in tuned.warnings)
    path = tuned.save(tmp_path / "mine")
    again = smse.load_model(path)
    assert again.card.encoder == model.card.encoder
    tile = slide.read(scores.region(0), MPP)[None]
    np.testing.assert_allclose(
        again.predict(tile, "cpu"), tuned.model.predict(tile, "cpu"), atol=5e-3
    )


@pytest.mark.usefixtures("used")
def test_nothing_can_be_evaluated_that_needs_classes(tmp_path: Path) -> None:
    data = mini_set(tmp_path / "images")
    with pytest.raises(ModelError, match="tiny knows no classes"):
        smse.evaluate(smse.load_model("tiny"), data)
