"""Pictures of reference tiles, found again in the data they were cut from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from napari_smse.datasets.crops import crop_grid
from napari_smse.errors import BankError, DataError
from napari_smse.models import ModelCard, load_model, read_card, save_model
from napari_smse.models.card import TrainingSource
from napari_smse.models.smse_network import initialise_from_features
from napari_smse.progress import run_task
from napari_smse.scoring import choose_device
from napari_smse.similarity.bank_file import save_bank
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, ExemplarBank
from napari_smse.workflows import reference_pictures
from napari_smse.workflows.reference_pictures import (
    PictureSearch,
    pictures_path,
    with_cached_pictures,
    without_picture,
)
from support.exemplar_banks import same_banks
from support.training import TRUNK, mini_network

PX = 64
CASES = {"SOB_B_A-14-101-100": "breakhis 101", "SOB_M_DC-14-202-100": "breakhis 202"}


@pytest.fixture
def pictures(tmp_path):
    """Two images of each of two cases, of blocks of colour that no two tiles share."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "deep"
    folder.mkdir(parents=True)
    for name in CASES:
        for number in (1, 2):
            coarse = rng.integers(40, 255, (23, 35, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((700, 460), Image.Resampling.NEAREST)
            picture.save(folder / f"{name}-00{number}.png")
    return tmp_path / "data"


@pytest.fixture
def model(tmp_path, pictures):
    """A tiny model that tells tiles apart, given as a path."""
    network = mini_network(embedding_dim=16)
    tiles = np.stack([tile for *_, tile in tiles_of(pictures)])
    with torch.no_grad():
        features = network.features(torch.from_numpy(tiles).permute(0, 3, 1, 2)).float()
        initialise_from_features(network, features)
    source = TrainingSource(
        name="BreakHis", organ="breast", scanner="x", licence="CC BY 4.0", citation="",
        mpp_range=(0.2, 0.6), scale_note="", images={}, cases={}, cases_total=2,
    )  # fmt: skip
    card = ModelCard(
        name="mini", version="1", classes=("benign", "malignant"), tile_px=PX,
        mpp_range=(0.2, 0.6), trunk=TRUNK, embedding_dim=16, training=(source,),
    )  # fmt: skip
    return save_model(network, card, tmp_path / "model" / "mini")


def tiles_of(pictures):
    """Every tile of all images at two scales: its case, um/px and pixels."""
    for path in sorted(pictures.rglob("*.png")):
        for mpp in (0.25, 0.5):
            for tile in crop_grid(Image.open(path).convert("RGB"), 0.197, mpp, PX):
                yield CASES[path.stem[:-4]], mpp, tile


@pytest.fixture
def learnt(pictures, model):
    """A bank as a training makes it, and the tiles that it is of."""
    found = list(tiles_of(pictures))
    chosen = [found[row] for row in np.random.default_rng(1).permutation(len(found))[:12]]
    batch = torch.from_numpy(np.stack([tile for *_, tile in chosen])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        embeddings = load_model(model).network(batch).embedding.numpy()
    cases = tuple(case for case, *_ in chosen)
    bank = ExemplarBank(
        embeddings,
        np.array([case == "breakhis 202" for case in cases], np.int64),
        np.array([mpp for _, mpp, _ in chosen], np.float32),
        ("benign", "malignant"),
        cases,
        ("breakhis",) * len(cases),
        read_card(model).weights_sha256,
    )
    return bank, [tile for *_, tile in chosen]


def search(bank, model, folder):
    return run_task(PictureSearch(bank, str(model), folder, choose_device("cpu")).run())


def small(tile):
    return np.asarray(
        Image.fromarray(tile).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    )


def test_every_tile_gets_the_very_picture_it_was_cut_from(learnt, model, pictures) -> None:
    bank, tiles = learnt
    found = search(bank, model, pictures)
    assert (found.found, found.wanted, found.missing) == (12, 12, {})
    assert found.sentence == "Found 12 of 12 pictures."
    for row, tile in enumerate(tiles):
        np.testing.assert_array_equal(found.bank.thumbnail(row), small(tile))
    assert found.bank.licence == "BreakHis: CC BY 4.0"


def test_what_was_found_is_there_at_the_next_start(learnt, model, pictures) -> None:
    bank, _ = learnt
    found = search(bank, model, pictures)
    same_banks(with_cached_pictures(bank), found.bank)
    # It is of this model alone, and rows may come and go.
    part = with_cached_pictures(bank.take([7, 2]))
    np.testing.assert_array_equal(part.thumbnails, found.bank.thumbnails[[7, 2]])
    assert with_cached_pictures(replace(bank, model="b" * 64)).thumbnails is None
    again = search(with_cached_pictures(bank), model, pictures)
    assert "have their pictures" in again.sentence


def test_why_others_were_not_found_is_counted(learnt, model, pictures) -> None:
    bank, _ = learnt
    for path in pictures.rglob("*-101-*"):
        path.unlink()
    for path in pictures.rglob("*-001.png"):
        # Another picture under the same name.
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    found = search(bank, model, pictures)
    no_case = bank.cases.count("breakhis 101")
    assert found.missing["no image of their case is in the folder"] == no_case
    other = 12 - no_case - found.found
    assert other > 0
    assert f"{other}: the images of their case there are other copies" in found.sentence
    for row in without_picture(found.bank).tolist():
        assert found.bank.thumbnail(row) is None


def test_a_copy_as_jpeg_is_still_known(learnt, model, pictures) -> None:
    bank, _ = learnt
    for path in list(pictures.rglob("*.png")):
        Image.open(path).save(path.with_suffix(".jpg"), quality=92, subsampling=0)
        path.unlink()
    assert search(bank, model, pictures).found >= 10


def test_stopping_keeps_what_was_found(learnt, model, pictures) -> None:
    bank, _ = learnt
    searching = PictureSearch(bank, str(model), pictures, choose_device("cpu"))
    task = searching.run()
    for progress in task:
        if progress.done:
            break
    searching.stop()
    found = run_task(task)
    assert 0 < found.found < 12
    assert "stopped before" in found.sentence
    same_banks(with_cached_pictures(bank), found.bank)


def test_tiles_added_from_slides_are_left_alone(learnt, model, pictures) -> None:
    bank, _ = learnt
    mixed = replace(bank, slides=("a slide",) + ("",) * 11)
    assert search(mixed, model, pictures).wanted == 11


def test_a_folder_without_such_data_is_refused(learnt, model, tmp_path) -> None:
    with pytest.raises(DataError, match="holds no image of the cases"):
        search(learnt[0], model, tmp_path / "model")


def test_another_models_bank_is_refused(learnt, model, pictures) -> None:
    with pytest.raises(BankError, match="do not compare"):
        search(replace(learnt[0], model="b" * 64), model, pictures)


def test_a_damaged_image_is_left_out(learnt, model, pictures) -> None:
    next(iter(sorted(pictures.rglob("*.png")))).write_bytes(b"no picture")
    assert 0 < search(learnt[0], model, pictures).found < 12


def test_what_was_kept_and_is_damaged_is_left_out(learnt, caplog) -> None:
    bank, _ = learnt
    path = pictures_path(bank.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nothing")
    assert with_cached_pictures(bank).thumbnails is None
    assert "not shown" in caplog.text
    save_bank(bank.take([]), path)
    assert with_cached_pictures(bank).thumbnails is None


def test_a_cache_that_cannot_be_written_is_told(learnt, model, pictures, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(reference_pictures.platformdirs, "user_cache_path", lambda _name: blocked)
    with pytest.raises(BankError, match="cannot be made"):
        search(learnt[0], model, pictures)
