"""What version 0.1 wrote for its users opens as before, whatever the code is called now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from napari_smse.annotations import AnnotationSet, read_annotations
from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.models import load_model, read_card
from napari_smse.results import RunRecord
from napari_smse.scoring import ScoreStore
from napari_smse.scoring.runtimes import selection
from napari_smse.similarity.bank_file import bank_of, load_bank
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import open_slide
from napari_smse.widgets import autosave
from napari_smse.widgets.index.settings import read_choice

WRITTEN = Path(__file__).parent / "written_by_0_1"
QUICK_HASH = "a0bf7ca629475d2906ae4c2aedfc152bf058f9671c3e6aff41f2dcb6c78c626c"
CLASSES = ("benign", "malignant")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy, as opening a store or an index may write to it."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "written"))


def test_a_slide_keeps_its_quick_hash(folder: Path) -> None:
    with open_slide(folder / "slide.tif") as slide:
        assert slide.quick_hash == QUICK_HASH


def test_results_with_their_store(folder: Path) -> None:
    results = folder / "results" / "slide"
    record = RunRecord.model_validate_json((results / "run.json").read_text())
    assert record.slide.quick_hash == QUICK_HASH
    store = ScoreStore.open(results / "scores.zarr")
    assert store.complete
    assert store.classes == CLASSES
    assert store.facts["model"]["hash"] == record.model.weights_sha256
    table = parquet.read_table(results / "tiles.parquet")
    found = [store.scale(number).probability[:, 1] for number in range(store.scale_count)]
    assert [len(one) for one in found] == [64, 16]
    np.testing.assert_array_equal(np.concatenate(found), table["p_malignant"].to_numpy())


def test_a_model(folder: Path) -> None:
    model = load_model(str(folder / "models" / "mini"))
    assert model.card.classes == CLASSES
    assert model.card.class_colours["malignant"] == (213, 94, 0)


def test_the_history_of_fine_tunings(folder: Path) -> None:
    (entry,) = FineTuneHistory(folder / "history").entries()
    assert entry.note == "the first one"
    assert entry.trainable == "head"
    assert entry.parent.startswith("mini 1")
    bank = bank_of(entry.path)
    assert bank is not None
    assert bank.classes == CLASSES
    assert load_model(str(entry.path)).card.name == entry.path.stem


def test_a_bank_of_known_tiles(folder: Path) -> None:
    bank = load_bank(folder / "bank.safetensors")
    assert bank.classes == CLASSES
    assert bank.model == read_card(folder / "models" / "mini").weights_sha256
    assert set(bank.slides) == {QUICK_HASH}
    assert np.bincount(bank.labels).tolist() == [22, 28]
    assert bank.embeddings.shape == (len(bank), 4)


def test_an_index_of_slides(folder: Path) -> None:
    index = SlideIndex(folder / "index")
    (slide,) = index.slides
    assert slide.quick_hash == QUICK_HASH
    tiles = ScoreStore.open(folder / "results" / "slide" / "scores.zarr").tile_table()
    shard = index.shard(slide)
    assert len(shard.embeddings) == len(tiles)


@pytest.mark.parametrize("file", ["annotations.geojson", "autosave/slide-a0bf7ca629475d29.geojson"])
def test_annotations_with_links_and_corrections(folder: Path, file: str) -> None:
    check_annotations(read_annotations(folder / file))


def check_annotations(found: AnnotationSet) -> None:
    names = [one.class_name for one in found.annotations]
    assert names == ["benign", "benign", "malignant", "malignant"]
    areas = [one.geometry.area for one in found.annotations]
    assert areas == [192 * 192] * 3 + [192 * 192 - 100]
    assert found.colours["benign"] == (0, 114, 178)
    (link,) = found.constraints
    assert not link.must_link
    assert {(one.action, one.class_name) for one in found.corrections} == {
        ("class", "malignant"),
        ("ignore", ""),
    }
    assert all(one.place.slide == QUICK_HASH for one in found.corrections)


def test_annotations_that_a_crash_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autosave, "autosave_folder", lambda: folder / "autosave")
    with open_slide(folder / "slide.tif") as slide:
        left = autosave.Autosave(slide)
    assert left.left_behind is not None
    check_annotations(left.left_behind)
    assert left.classes == {"benign": (0, 114, 178), "malignant": (213, 94, 0)}


def test_what_is_remembered_between_sessions(folder: Path) -> None:
    choice = read_choice(folder / "cache" / "chosen_index.json")
    assert choice.folder == Path("INDEX")
    assert choice.taking == {Path("INDEX")}
    speeds = [
        [selection.Speed(**one) for one in tried]
        for tried in json.loads((folder / "cache" / "fastest.json").read_text()).values()
    ]
    assert {one.runtime for one in speeds[0]} == {"torch", "onnxruntime", "openvino"}
