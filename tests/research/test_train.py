"""The bundled model, made by one command."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from napari_smse.models import load_model
from napari_smse.similarity.bank_file import load_bank, model_bank_path
from research.bundled import kept_networks, train
from support.training import SMALL, two_sources

RECIPE = SMALL.model_copy(update={"steps": 2, "trunk_learning_rate": 1e-4})


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command, on two small laboratories."""
    data = two_sources(tmp_path / "data", ("breakhis", "elsewhere"), cases=10, images=2)
    monkeypatch.setattr(train, "read_laboratories", lambda _folder: data)
    monkeypatch.setattr(train, "bundled_recipe", lambda: RECIPE)
    words = ["--data", tmp_path, "--work", tmp_path / "work", "--out", tmp_path / "out"]
    words += ["--predictions", tmp_path / "predictions", "--repeats", 1]
    monkeypatch.setattr(sys, "argv", ["train", *map(str, words)])
    return sys.argv


@pytest.mark.slow
@pytest.mark.usefixtures("command")
def test_the_model_is_made_with_its_figures_and_made_again_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.main()
    model = load_model(tmp_path / "out" / train.NAME)
    first = {(f.data, f.metric): f.value for f in model.card.figures}
    assert {source.name for source in model.card.training} == {"breakhis", "elsewhere"}
    for source in ("breakhis", "elsewhere"):
        assert (f"{source}, left out as a whole", "auc") in first
        assert 0 <= first[f"{source}, left out as a whole, outside the band to abstain in",
                          "share called"] <= 1  # fmt: skip
    assert ("BreakHis, this recipe, all sources", "auc") in first
    for source in ("breakhis", "elsewhere"):
        value = first[f"{source}, left out as a whole", "auc"]
        assert f"{source}: {value:.2f} (" in model.card.limits[0]
    assert len(load_bank(model_bank_path(model.path))) > 0
    assert len(list((tmp_path / "work").glob("*.safetensors"))) == 1 + 2 + 5

    # Without their weights, too, but for those of the model itself.
    for path in (tmp_path / "work").glob("*.safetensors"):
        if path.stem != "all":
            path.unlink()
    monkeypatch.setattr(kept_networks, "train", None)
    train.main()
    again = load_model(tmp_path / "out" / train.NAME)
    assert again.card == model.card


def test_the_band_is_of_laboratories_whose_organ_is_known(tmp_path: Path) -> None:
    data = two_sources(tmp_path / "data", ("one", "two"), cases=4, images=1)
    organs = {"one": "breast", "two": "breast", "three": "lung"}
    facts = next(iter(data.sources.values()))
    sources = {name: replace(facts, organ=organ) for name, organ in organs.items()}
    assert train.of_known_organs(replace(data, sources=sources)) == ["one", "two"]
    sources["two"] = replace(facts, organ="colon")
    assert train.of_known_organs(replace(data, sources=sources)) == ["one", "two", "three"]
