from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from shapely import MultiPolygon, box

from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.errors import BankError
from napari_smse.scoring import MapName, ScoreMaps, ScoreStore, fused_scales
from napari_smse.similarity.bank_file import save_bank
from napari_smse.similarity.exemplar_classifier import ExemplarClassifier, fitted_temperature
from napari_smse.tiles import Ground, ReadBlock, TilePlan, TissueMask
from napari_smse.workflows import evidence
from napari_smse.workflows.evidence import NamedBank, read_tiles, with_annotated
from napari_smse.workflows.scored_slide import Run
from support.exemplar_banks import AREA, CLASSES, made_bank, made_scale
from support.models import redness_model


@pytest.fixture
def started(tmp_path):
    """A run at two scales of which some tiles are scored, in an order of blocks, not of rows."""
    rng = np.random.default_rng(0)
    fine = made_scale(0.5, [3, 4, 3, 0, 1, 0], [0, 0, 1, 0, 0, 1])
    coarse = made_scale(1.0, [1, 0, 2], [0, 0, 0])
    blocks = (ReadBlock(AREA, 0.5, ((0, 0, 6), (1, 0, 3))),)
    plan = TilePlan(
        (fine, coarse), blocks, TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), AREA)
    )
    store = ScoreStore.create(tmp_path / "scores.zarr", plan, CLASSES, 8, {"precision": "float32"})
    for scale, start, number in ((0, 0, 2), (0, 4, 2), (1, 1, 1)):
        malignant = rng.random(number)
        store.write_rows(
            scale,
            start,
            np.stack([1 - malignant, malignant], axis=1).astype(np.float32),
            made_bank(number, start).embeddings,
        )
    return Run(plan, store, redness_model().card, None, (), "nowhere")


@pytest.fixture
def read(started):
    made = read_tiles(SimpleNamespace(quick_hash="a slide"), started)
    return made


def test_the_class_heads_maps_are_those_of_the_run(read, started):
    wanted = ScoreMaps(started.plan, CLASSES, fused_scales([0.5, 1.0], started.card))
    wanted.add_stored(started.store)
    found = read.head_maps()
    assert list(found) == list(wanted)
    for name in wanted:
        np.testing.assert_array_equal(found.heat_map(name).values, wanted.heat_map(name).values)


def test_maps_by_known_tiles_lie_where_the_tiles_do(read):
    origin = made_bank(30, cases=5)
    known = NamedBank(origin, "mine", False, origin)
    first = read.exemplar_maps(known, "nearest")
    fewer = known.changed(origin.without([0, 1, 2]))
    assert fewer.name == "mine, changed"
    assert fewer.changed(origin).name == "mine, changed"
    found = read.exemplar_maps(fewer, "nearest")
    # What was fitted on the bank as it was loaded stays, so that only the change is seen.
    temperature = fitted_temperature(origin, "nearest")
    wanted = ExemplarClassifier(read.tiles.embeddings, fewer.bank, "nearest", temperature)
    heat_map = read.tiles.heat_map(wanted.probability()[:, 1], 0)
    name = MapName("malignant", found.scale_names[0])
    np.testing.assert_allclose(found.heat_map(name).values, heat_map.values, atol=1e-5)
    known_cells = np.isfinite(first.heat_map(name).values)
    np.testing.assert_array_equal(known_cells, np.isfinite(heat_map.values))
    assert known_cells.sum() == 4
    with pytest.raises(BankError):
        read.exemplar_maps(known.changed(origin.take([])), "prototypes")


def test_the_models_own_bank_is_read_or_it_is_said_why_not(started, tmp_path, read):
    assert len(read.own_bank.bank) == 0
    assert "There is no model" in read.note
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"")
    mine = Run(**{**started.__dict__, "model": str(weights)})
    found = read_tiles(None, mine)
    assert "brings no reference tiles" in found.note
    save_bank(made_bank(4), tmp_path / "mine.exemplars.safetensors")
    found = read_tiles(None, mine)
    assert len(found.own_bank.bank) == 0
    assert "embeddings of two models do not compare" in found.note
    bank = made_bank(4)
    object.__setattr__(bank, "model", started.card.weights_sha256)
    save_bank(bank, tmp_path / "mine.exemplars.safetensors")
    found = read_tiles(None, mine)
    assert len(found.own_bank.bank) == 4
    assert found.own_bank.own
    assert found.note == ""


def test_a_corrected_tile_takes_its_place_in_the_bank(read, monkeypatch):
    monkeypatch.setattr(evidence, "_appearances", lambda *_: None)
    read = replace(read, slide=SimpleNamespace(quick_hash="hash", name="a"))
    bank = made_bank(4)
    bank = replace(bank, model=read.model)
    regions = {"benign": MultiPolygon([box(0, 0, 640, 640)])}
    first, new = with_annotated(bank, read, regions, pictures=False)
    assert len(first) == 4 + len(new) == 4 + len(read.tiles)
    places = [
        TilePlace("hash", float(read.tiles.mpps[row]), *read.tiles.places[row].tolist())
        for row in range(2)
    ]
    corrections = [
        TileCorrection(places[0], "class", "malignant"),
        TileCorrection(places[1], "ignore"),
    ]
    second, new = with_annotated(first, read, regions, False, corrections)
    assert len(second) == len(first) - 1
    names = {second.region(row): second.class_name(row) for row in range(4, len(second))}
    assert names[read.tiles.region(0)] == "malignant"
    assert read.tiles.region(1) not in names
