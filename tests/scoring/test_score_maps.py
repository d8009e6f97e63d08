import numpy as np
import pytest

from napari_smse.scoring import MULTI_SCALE_MEAN, MapName, ScoreMaps, TileScores, shown_class
from napari_smse.slides import Region
from napari_smse.tiles import Ground, ScaleTiles, TileGrid, TilePlan, TileSpec, TissueMask

AREA = Region(0, 0, 400, 200)
CLASSES = ("benign", "malignant")


def plan_of(*mpps):
    scales = []
    for mpp in mpps:
        grid = TileGrid(TileSpec(50, mpp, 0.25), AREA)
        rows, columns = (i.ravel().astype(np.int32) for i in np.mgrid[: grid.rows, : grid.columns])
        scales.append(ScaleTiles(grid, columns, rows, np.ones(len(rows), np.float32)))
    mask = TissueMask(np.full((2, 4), Ground.TISSUE, np.uint8), AREA)
    return TilePlan(tuple(scales), (), mask)


def scores(scale, index, malignant):
    malignant = np.asarray(malignant, dtype=np.float32)
    return TileScores(scale, np.array(index), np.stack([1 - malignant, malignant], axis=1))


def test_names_go_scale_by_scale_with_the_fused_last():
    names = [str(name) for name in ScoreMaps(plan_of(0.25, 0.5), CLASSES, [0, 1])]
    # Of two classes one has a map, as the other's would say the same again.
    assert names == [f"P(malignant) {s}" for s in ("40x", "20x", "multi-scale mean")]
    assert [name.scale for name in ScoreMaps(plan_of(0.5), CLASSES, [0])] == ["20x"]
    three = [str(name) for name in ScoreMaps(plan_of(0.25), ("a", "b", "c"), [0])]
    assert three == ["P(a) 40x", "P(b) 40x", "P(c) 40x"]


def test_malignant_is_shown_first_and_else_the_last_class():
    assert shown_class(("malignant", "benign")) == "malignant"
    assert shown_class(("stroma", "tumour", "necrosis")) == "necrosis"


def test_scales_that_round_to_one_power_keep_apart():
    maps = ScoreMaps(plan_of(0.3333, 0.3334), CLASSES, [0, 1])
    assert maps.scale_names == ["0.3333 µm/px", "0.3334 µm/px"]


def test_maps_tables_and_points_tell_the_same():
    maps = ScoreMaps(plan_of(0.25, 0.5), CLASSES, [0, 1])
    maps.add([scores(0, [0, 9], [0.9, 0.3]), scores(1, [0], [0.5])])
    malignant = maps.heat_map(MapName("malignant", "40x")).values
    assert malignant[0, 0] == pytest.approx(0.9)
    assert malignant[1, 1] == pytest.approx(0.3)
    assert np.isfinite(malignant).sum() == 2
    assert maps.heat_map(MapName("malignant", MULTI_SCALE_MEAN)).values[0, 0] == pytest.approx(0.7)
    table = maps.scores()
    assert table[0].probability[9, 1] == pytest.approx(0.3)
    assert np.isnan(table[0].probability[1]).all()
    assert maps.values_at(10, 10) == {
        "40x": {"benign": pytest.approx(0.1), "malignant": pytest.approx(0.9)},
        "20x": {"benign": pytest.approx(0.5), "malignant": pytest.approx(0.5)},
        MULTI_SCALE_MEAN: {"benign": pytest.approx(0.3), "malignant": pytest.approx(0.7)},
    }
    assert maps.values_at(390, 190) == {}
    assert maps.values_at(-5, 10) == {}


def test_an_untrained_scale_is_left_out_of_the_fused_map():
    maps = ScoreMaps(plan_of(0.25, 0.5), CLASSES, [0])
    maps.add([scores(0, [0], [0.2]), scores(1, [0], [1.0])])
    fused = maps.heat_map(MapName("malignant", MULTI_SCALE_MEAN)).values
    assert fused[0, 0] == pytest.approx(0.2)
    assert np.isnan(fused[1, 1])


def test_the_fused_value_at_a_point_is_that_of_the_fused_map():
    maps = ScoreMaps(plan_of(0.25, 0.5), CLASSES, [0, 1])
    rng = np.random.default_rng(0)
    for number, tiles in enumerate(maps.plan.scales):
        some = np.flatnonzero(rng.uniform(size=len(tiles)) < 0.7)
        maps.add([scores(number, some, rng.uniform(size=len(some)))])
    fused = maps.heat_map(MapName("malignant", MULTI_SCALE_MEAN))
    for x, y in rng.uniform(0, 400, size=(200, 2)):
        expected = float(fused.at(np.array(x), np.array(y)))
        found = maps.values_at(x, y)
        if found:
            assert found[MULTI_SCALE_MEAN]["malignant"] == pytest.approx(expected, abs=1e-6)
