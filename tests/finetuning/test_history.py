"""The folder of fine-tunings."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from napari_smse.errors import ModelError, ModelNotFoundError, OutputError
from napari_smse.finetuning import history as history_module
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.models import (
    Model,
    ModelCard,
    load_model,
    read_card,
    save_model,
)
from napari_smse.progress import run_task
from napari_smse.similarity.bank_file import bank_of_weights
from napari_smse.similarity.ood.reference import OodReference, fitted_appearance, load_ood_reference
from napari_smse.tiles.appearance import MEASURES
from support.training import TRUNK, mini_network, mini_set

Learnt = tuple[FineTuner, FineTuneResult]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    folder = tmp_path_factory.mktemp("learnt")
    card = ModelCard(
        name="mini",
        version="3",
        classes=("benign", "malignant"),
        tile_px=32,
        mpp_range=(0.4, 0.7),
        trunk=TRUNK,
        embedding_dim=4,
        weights_sha256="ab" * 32,
    )
    base = Model(mini_network(), card, folder / "mini.safetensors")
    tuning = FineTuner(
        base, mini_set(folder / "data", cases=8, images=6), fine_tune_recipe(steps=2)
    )
    return tuning, run_task(tuning.run())


@pytest.fixture
def history(tmp_path: Path) -> FineTuneHistory:
    return FineTuneHistory(tmp_path / "models")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time, which goes on by a minute at every look."""
    now = [datetime(2026, 3, 1, 12, 0, 0)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            now.append(now[-1] + timedelta(minutes=1))
            return now[-1]

    monkeypatch.setattr(history_module, "datetime", Clock)
    return now


def names(history: FineTuneHistory) -> set[str]:
    return {path.name for path in history.folder.iterdir()}


def test_what_is_kept_is_an_ordinary_model(history: FineTuneHistory, learnt: Learnt) -> None:
    path = history.add(*learnt, note="better on fat", colours={"benign": (1, 2, 3)})
    loaded = load_model(path)
    assert loaded.card.notes == ("better on fat",)
    assert loaded.card.class_colours == {"benign": (1, 2, 3)}
    assert loaded.card.name == "mini tuned"
    assert loaded.card.version == f"{datetime.now():%Y-%m-%d}" + loaded.card.version[10:]
    assert path.stem.startswith(loaded.card.version.replace(" ", "_").replace(":", "-"))
    assert bank_of_weights(path, loaded.card.weights_sha256) is not None
    stem = path.stem
    ends = (".safetensors", ".json", ".exemplars.safetensors")
    assert names(history) == {f"{stem}{end}" for end in ends}
    assert stem.endswith("_pair_head")


def test_looks_are_of_their_entry_and_go_with_it(history: FineTuneHistory, learnt: Learnt) -> None:
    tuning, tuned = learnt
    tiles = np.random.default_rng(0).normal(size=(50, len(MEASURES)))
    appearances = OodReference(
        model="of the model tuned", appearances=(fitted_appearance("one", 0.5, tiles),)
    )
    path = history.add(tuning, replace(tuned, ood_reference=appearances))
    assert load_ood_reference(path, read_card(path).weights_sha256) is not None
    assert [entry.path for entry in history.entries()] == [path]
    history.remove(path)
    assert names(history) == set()


def test_an_entry_says_what_was_learnt(
    history: FineTuneHistory, learnt: Learnt, clock: list[datetime]
) -> None:
    tuning, tuned = learnt
    path = history.add(tuning, tuned)
    (entry,) = history.entries()
    assert entry.path == path
    assert entry.when == datetime(2026, 3, 1, 12, 1).astimezone()
    assert entry.parent == "mini 3, weights " + "ab" * 8
    assert (entry.loss, entry.trainable) == ("pair", "head")
    assert entry.training_tiles == len(tuning.training)
    assert entry.note == ""
    for figure in (entry.auc_before, entry.auc_after):
        assert figure is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high


def test_two_of_the_same_second_are_two(
    history: FineTuneHistory, learnt: Learnt, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 3, 1, 12, 0, 0)

    monkeypatch.setattr(history_module, "datetime", Still)
    paths = [history.add(*learnt) for _ in range(3)]
    assert len(set(paths)) == 3
    assert [entry.path for entry in history.entries()] == paths[::-1]


def test_a_name_that_another_process_holds_is_not_taken(
    history: FineTuneHistory, tmp_path: Path
) -> None:
    history.folder.mkdir()
    with history._free_name("x") as one, history._free_name("x") as other:
        assert one != other
    assert names(history) == set()


def test_the_newest_comes_first_and_names_tell_the_time(
    history: FineTuneHistory, learnt: Learnt, clock: list[datetime]
) -> None:
    paths = [history.add(*learnt) for _ in range(3)]
    history.set_note(paths[0], "touched last")
    assert [entry.path for entry in history.entries()] == paths[::-1]


def test_a_note_leaves_weights_and_the_rest_of_the_card_alone(
    history: FineTuneHistory, learnt: Learnt
) -> None:
    path = history.add(*learnt)
    weights, card = path.read_bytes(), read_card(path)
    history.set_note(path, "  first\nsecond ")
    assert history.entries()[0].note == "first\nsecond"
    assert path.read_bytes() == weights
    assert read_card(path) == card.model_copy(update={"notes": ("first\nsecond",)})
    history.set_note(path.with_suffix(".json"), "")
    assert read_card(path) == card
    load_model(path)


def test_what_is_removed_is_gone_and_nothing_else(history: FineTuneHistory, learnt: Learnt) -> None:
    kept, gone = history.add(*learnt), history.add(*learnt)
    history.remove(gone)
    assert [entry.path for entry in history.entries()] == [kept]
    assert len(names(history)) == 3
    with pytest.raises(ModelNotFoundError, match="look at the list again"):
        history.remove(gone)


def test_what_lies_elsewhere_is_not_touched(
    history: FineTuneHistory, learnt: Learnt, tmp_path: Path
) -> None:
    history.add(*learnt)
    tuning, tuned = learnt
    elsewhere = save_model(tuned.network, tuning.model.card, tmp_path / "mine")
    inner = save_model(tuned.network, tuning.model.card, history.folder / "inner" / "mine")
    for path in (elsewhere, inner, history.folder / ".." / "mine.safetensors", Path("mine")):
        with pytest.raises(ModelError, match="does not lie in"):
            history.remove(path)
        with pytest.raises(ModelError, match="does not lie in"):
            history.set_note(path, "mine")
    assert elsewhere.exists()
    assert inner.exists()


def test_old_ones_are_forgotten_but_for_those_with_a_note_or_another_name(
    history: FineTuneHistory, learnt: Learnt, clock: list[datetime]
) -> None:
    noted = history.add(*learnt, note="keep me")
    old = history.add(*learnt)
    own = save_model(learnt[1].network, read_card(old), history.folder / "my_best")
    new = [history.add(*learnt) for _ in range(2)]
    os.utime(own, (0, 0))
    assert history.forget_old(keep=2) == [old]
    assert {entry.path for entry in history.entries()} == {noted, own, *new}
    assert history.forget_old() == []


@pytest.mark.parametrize("damage", ["cut card", "no card", "other card", "no weights", "empty"])
def test_a_damaged_entry_is_left_out_told_and_left_alone(
    history: FineTuneHistory,
    learnt: Learnt,
    damage: str,
    caplog: pytest.LogCaptureFixture,
    clock: list[datetime],
) -> None:
    path, whole = history.add(*learnt), history.add(*learnt)
    card = path.with_suffix(".json")
    if damage == "cut card":
        card.write_bytes(card.read_bytes()[:100])
    elif damage == "no card":
        card.unlink()
    elif damage == "other card":
        card.write_text(json.dumps({"name": "package"}))
    elif damage == "no weights":
        path.unlink()
    else:
        path.write_bytes(b"")
    before = names(history)
    with caplog.at_level(logging.WARNING):
        assert [entry.path for entry in history.entries()] == [whole]
    assert (path.stem in caplog.text) == (damage != "no card")
    history.forget_old(keep=0)
    assert names(history) == {name for name in before if not name.startswith(whole.stem)}


def test_a_model_without_a_history_is_an_entry_too(
    history: FineTuneHistory, learnt: Learnt
) -> None:
    save_model(learnt[1].network, learnt[0].model.card, history.folder / "mine")
    (entry,) = history.entries()
    assert (entry.loss, entry.trainable, entry.training_tiles) == ("", "", None)
    assert entry.auc_before is None
    assert not entry.is_own


def test_a_folder_that_is_not_there_is_empty(history: FineTuneHistory) -> None:
    assert history.entries() == []
    assert history.forget_old() == []
    assert not history.folder.exists()


def test_what_cannot_be_written_is_told_and_leaves_nothing(
    history: FineTuneHistory, learnt: Learnt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_smse.similarity.bank_file.write_atomic", full)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        history.add(*learnt)
    assert "\n" not in str(caught.value)
    assert names(history) == set()


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path, learnt: Learnt) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write to"):
        FineTuneHistory(tmp_path / "file").add(*learnt)
    assert FineTuneHistory(tmp_path / "file").entries() == []


def test_looking_back_needs_no_torch(history: FineTuneHistory, learnt: Learnt) -> None:
    history.add(*learnt)
    code = (
        "import sys; from pathlib import Path; "
        "from napari_smse.finetuning.history import FineTuneHistory; "
        "(one,) = FineTuneHistory(Path(sys.argv[1])).entries(); one.auc_after; "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(history.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_usual_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / name)
    assert FineTuneHistory().folder == tmp_path / "napari-smse" / "models"
