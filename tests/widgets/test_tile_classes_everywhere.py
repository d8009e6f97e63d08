"""Whoever asks of which class a tile is, by regions and corrections, hears the same."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely import box

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.annotations.tile_labels import assign_classes
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.errors import DataError, QueryError
from napari_smse.finetuning.annotated_slide import AnnotatedSlide
from napari_smse.finetuning.annotated_tiles import annotated_tiles
from napari_smse.scoring import ScoreStore
from napari_smse.similarity.annotated_exemplars import annotated_exemplars
from napari_smse.tiles import (
    Ground,
    ReadBlock,
    ScaleTiles,
    TileGrid,
    TilePlan,
    TileSpec,
    TissueMask,
)
from napari_smse.workflows import batch_effect, label_efficiency
from napari_smse.workflows.annotation_counts import TILE_MPP, TILE_PX, count_tiles
from napari_smse.workflows.label_issues import annotated_classes
from napari_smse.workflows.scored_slide import Run, ScoredSlide
from support.exemplar_banks import AREA, CLASSES, MODEL, made_bank
from support.models import redness_model

SIDE = 10
NAMES = ("benign", "malignant", "fat")
# As what is drawn is counted in: 64 level-0 px.
SLIDE_MPP = TILE_PX * TILE_MPP / 64
MASK = TissueMask(np.full((80, 80), Ground.TISSUE, np.uint8), AREA)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A slide of 10 x 10 tiles, all scored, without the slide itself."""
    path = tmp_path_factory.mktemp("scored") / "slide.tif"
    columns, rows = (
        axis.ravel().astype(np.int32) for axis in np.meshgrid(range(SIDE), range(SIDE))
    )
    grid = TileGrid(TileSpec(TILE_PX, TILE_MPP, SLIDE_MPP), AREA)
    tiles = ScaleTiles(grid, columns, rows, np.ones(SIDE * SIDE, np.float32))
    blocks = (ReadBlock(AREA, TILE_MPP, ((0, 0, SIDE * SIDE),)),)
    plan = TilePlan((tiles,), blocks, MASK)
    store = ScoreStore.create(path.with_suffix(".zarr"), plan, CLASSES, 8, {})
    malignant = np.random.default_rng(0).random(SIDE * SIDE)
    probability = np.stack([1 - malignant, malignant], axis=1).astype(np.float32)
    store.write_rows(0, 0, probability, made_bank(SIDE * SIDE).embeddings)
    level = SimpleNamespace(downsample=1.0)
    slide = SimpleNamespace(
        path=path,
        name="slide",
        quick_hash="hash",
        mpp=SLIDE_MPP,
        bounds=AREA,
        levels=(level,),
        level_for=lambda _: 0,
    )
    return slide, Run(plan, store, redness_model().card, None, (), "nowhere")


BOXES = st.tuples(*(st.integers(0, 512) for _ in range(2)), *(st.integers(32, 300),) * 2).map(
    lambda at: box(at[0], at[1], at[0] + at[2], at[1] + at[3])
)
DRAWN = st.lists(st.builds(Annotation, st.sampled_from(NAMES), BOXES), max_size=4)
# One of the tiles said to be of a class that is not drawn; and corrections on what is no tile.
PLACES = st.builds(
    TilePlace,
    st.sampled_from(["hash"] * 4 + ["another"]),
    st.sampled_from([TILE_MPP] * 4 + [1.0]),
    st.integers(0, SIDE - 1).map(lambda column: 64 * column),
    st.integers(0, SIDE - 1).map(lambda row: 64 * row),
    st.just(64),
    st.just(64),
)
REMARKS = st.one_of(
    st.builds(TileCorrection, PLACES, st.just("class"), st.sampled_from([*NAMES, "bone"])),
    st.builds(TileCorrection, PLACES, st.sampled_from(["ignore", "exemplar"])),
)


def by_fine_tuning(one, names):
    regions, corrections = one.annotations.regions(), one.annotations.corrections
    slide = AnnotatedSlide(
        one.slide, regions, MASK, one.run.store, one.slide.name, corrections=corrections
    )
    try:
        found = annotated_tiles([slide], names).labelled_set
    except DataError:
        return {}
    return {(at.region.x, at.region.y): found.classes[at.label] for at in found.images}


def by_the_bank(one):
    tiles = one.run.store.tile_table()
    about = {"model": MODEL, "slide": one.slide.quick_hash, "name": one.slide.name}
    try:
        bank = annotated_exemplars(
            tiles, one.annotations.regions(), MASK, corrections=one.annotations.corrections, **about
        )
    except QueryError:
        return {}
    places = [bank.region(row) for row in range(len(bank))]
    return {(at.x, at.y): bank.class_name(row) for row, at in enumerate(places)}


def placement(tiles, names):
    corners = zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)
    return {at: name for at, name in zip(corners, names, strict=True) if name}


@given(
    st.lists(REMARKS, max_size=8).map(tuple),
    DRAWN.map(tuple),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_agree_on_the_class_of_every_tile(scored, corrections, drawn):
    slide, started = scored
    one = ScoredSlide(slide, started, AnnotationSet(drawn, corrections=corrections))
    regions, tiles = one.annotations.regions(), started.plan.scales[0]
    rule = assign_classes(tiles, slide.quick_hash, regions, MASK, corrections)
    wanted = placement(tiles, rule.class_names.tolist())

    stored = started.store.tile_table()
    assert placement(tiles, annotated_classes(one, stored, 0).names.tolist()) == wanted
    sample = batch_effect._Sample(one)
    assert placement(tiles.take(sample.rows), sample.drawn) == wanted
    comparison = label_efficiency._Labelled(one, "case")
    assert sorted(comparison.names.tolist()) == sorted(wanted.values())
    assert by_fine_tuning(one, rule.names) == wanted
    assert by_the_bank(one) == wanted
    counts = count_tiles(slide, regions, MASK, corrections)
    assert {name: number for name, number in counts.tiles.items() if number} == {
        name: list(wanted.values()).count(name) for name in set(wanted.values())
    }
