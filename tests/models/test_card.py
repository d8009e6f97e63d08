"""Model cards, and importing them without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from napari_smse.errors import DamagedModelError, EncoderWeightsError, ModelNotFoundError
from napari_smse.models import (
    ExpectedOutput,
    ModelCard,
    TrainingSource,
    bundled_models,
    read_card,
)
from napari_smse.models.card import card_json, case_hash, parse_card
from support.edited_json import facts_of
from support.encoders import empty_hub

__all__ = ["empty_hub"]  # fixture


def card(**changes: object) -> ModelCard:
    fields: dict[str, object] = {
        "name": "tiny",
        "version": "1",
        "classes": ("benign", "malignant"),
        "mpp_range": (0.2, 0.6),
        "trunk": "resnet18",
        "embedding_dim": 8,
    }
    return ModelCard.model_validate(fields | changes)


def test_a_card_survives_json() -> None:
    expected = (ExpectedOutput(tile=3, probabilities={"benign": 0.25, "malignant": 0.75}),)
    written = card(expected=expected, notes=("µm/px",))
    assert parse_card(card_json(written), Path()) == written


def test_class_colours_survive_json_and_older_cards_have_none() -> None:
    written = card(class_colours={"malignant": (0, 128, 255)})
    again = parse_card(card_json(written), Path())
    assert again.class_colours == {"malignant": (0, 128, 255)}
    facts = facts_of(card_json(written))
    del facts["class_colours"]
    assert ModelCard.model_validate(facts).class_colours == {}


def test_an_older_card_with_prototypes_is_read_and_written_without_them() -> None:
    older = {
        "prototypes": {"benign": [1.0] + [0.0] * 7, "malignant": [0.0] * 7 + [1.0]},
        "outlier_thresholds": {"0.25": 1.3499, "0.5": 1.3416},
    }
    facts = facts_of(card_json(card())) | older
    read = ModelCard.model_validate_json(json.dumps(facts))
    assert read.prototypes["malignant"] == (*[0.0] * 7, 1.0)
    assert read.outlier_thresholds == older["outlier_thresholds"]
    assert not set(older) & set(json.loads(card_json(read)))


@pytest.mark.parametrize(
    "changes",
    [
        {"prototypes": {"benign": [0.0] * 8}},
        {"prototypes": {"benign": [0.0] * 8, "malignant": [0.0] * 7}},
        {"outlier_thresholds": {"0.5": "far"}},
        {"classes": ("benign",)},
        {"classes": ("benign", "benign")},
        {"mpp_range": (0.6, 0.2)},
        {"mpp_range": (0.0, 0.2)},
        {"tile_px": 0},
        {"surprise": 1},
        {"class_colours": {"tumour": (1, 2, 3)}},
        {"class_colours": {"benign": (1, 2)}},
        {"class_colours": {"benign": (1, 2, 256)}},
        {"expected": [{"tile": 0, "probabilities": {"benign": 0.5, "tumour": 0.5}}]},
        {"expected": [{"tile": 0, "probabilities": {"benign": 1.5, "malignant": -0.5}}]},
    ],
)
def test_an_inconsistent_card_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        card(**changes)


def test_a_card_is_read_by_stem_card_or_weights(tmp_path: Path) -> None:
    (tmp_path / "my.model.json").write_text(card_json(card()), encoding="utf-8")
    for name in ("my.model", "my.model.json", "my.model.safetensors"):
        assert read_card(tmp_path / name) == card()
        assert read_card(str(tmp_path / name)) == card()


def test_an_unknown_model_lists_what_exists(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").touch()
    with pytest.raises(ModelNotFoundError, match=r"other\.safetensors") as caught:
        read_card(tmp_path / "missing")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="bundled"):
        read_card("no such model")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"name": "x"}'])
def test_an_unreadable_card_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(DamagedModelError, match=r"model\.json") as caught:
        read_card(tmp_path / "model")
    assert "\n" not in str(caught.value)


def test_the_bundled_card_says_what_the_model_knows() -> None:
    bundled = read_card()
    assert bundled == read_card("smse_v1")
    # What an earlier one scored can still be searched and fine-tuned.
    assert bundled_models() == ["smse_v0", "smse_v1"]
    assert bundled.classes == ("benign", "malignant")
    assert bundled.mpp_range[0] <= 0.25
    assert 0.5 <= bundled.mpp_range[1] < 1.0
    assert "research use only" in bundled.intended_use.lower()
    assert "laboratory that it never saw" in bundled.limits[0]
    assert bundled.undecided is not None
    assert bundled.figures
    for figure in bundled.figures:
        assert figure.how
    for source in bundled.training:
        assert source.licence
        assert sum(source.images.values()) > 0


def test_cards_and_names_need_no_torch() -> None:
    code = (
        "import sys, napari_smse.models as n; n.read_card(); dir(n); "
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules; "
        "n.SmseCnn; assert 'torch' in sys.modules; "
        "assert all(hasattr(n, name) for name in n.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    import napari_smse.models as network

    with pytest.raises(AttributeError, match="Surprise"):
        _ = network.Surprise


def test_a_case_is_remembered_by_a_hash_that_says_nothing_of_it() -> None:
    assert case_hash("breakhis 22549") == case_hash("breakhis 22549")
    assert case_hash("breakhis 22549") != case_hash("breakhis 22550")
    assert "22549" not in case_hash("breakhis 22549")
    source = TrainingSource(
        name="x", organ="breast", scanner="s", licence="l", case_hashes=(case_hash("a"),)
    )
    written = card(training=(source,))
    assert parse_card(card_json(written), Path()) == written


@pytest.mark.usefixtures("empty_hub")
def test_an_encoder_whose_weights_are_not_here_says_how_to_get_them() -> None:
    with pytest.raises(EncoderWeightsError, match=r"uni2-h are not here.*models get uni2-h"):
        read_card("UNI2")
