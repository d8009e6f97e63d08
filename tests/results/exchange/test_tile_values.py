"""Numbers of tiles by any program: read from what it wrote, laid where they belong, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import DataError
from napari_smse.results import TileRows, tile_table, write_csv, write_parquet, write_qupath_tiles
from napari_smse.results.exchange.tile_values import TileValues, read_tile_values
from napari_smse.scoring import HeatMapBuilder
from napari_smse.slides import Region, Slide, open_slide
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec
from support.slides import write_pyramid_tiff

EDGE = 100
CORNERS = [(x, y) for y in (50, 150, 350) for x in (0, 100, 200, 500)]
SCORES = np.linspace(0, 1, len(CORNERS)).astype(np.float32)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    pixels = np.full((600, 800, 3), 200, np.uint8)
    write_pyramid_tiff(path, pixels, mpp=0.5)
    return open_slide(path)


def written(path: Path, **columns: object) -> Path:
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    else:
        pa.csv.write_csv(table, path)
    return path


def places() -> dict[str, list[int]]:
    return {"x": [x for x, _ in CORNERS], "y": [y for _, y in CORNERS]}


def check(found: TileValues, name: str = "score") -> None:
    """Every tile lies where it was written, with its number."""
    np.testing.assert_array_equal(found.placed.corners, CORNERS)
    np.testing.assert_array_equal(found.values[name], SCORES)
    assert found.tile_size == EDGE
    heat_map = found.heat_map(name)
    middles = np.array(CORNERS, dtype=np.float64) + EDGE / 2
    np.testing.assert_allclose(heat_map.at(*middles.T), SCORES)
    assert np.isfinite(heat_map.values).sum() == len(CORNERS)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_with_corners_and_sizes(slide: Slide, tmp_path: Path, suffix: str) -> None:
    size = [EDGE] * len(CORNERS)
    path = written(
        tmp_path / f"a{suffix}", **places(), width=size, height=size, score=SCORES, call=["a"] * 12
    )
    (found,) = read_tile_values(path, slide)
    check(found)
    assert list(found.values) == ["score"]


def test_a_table_of_wsinfer(slide: Slide, tmp_path: Path) -> None:
    x, y = places().values()
    size = [EDGE] * len(CORNERS)
    columns = {"minx": x, "miny": y, "width": size, "height": size, "prob_Tumor": SCORES}
    (found,) = read_tile_values(written(tmp_path / "a.csv", **columns), slide)
    check(found, "prob_Tumor")


def test_without_a_size_tiles_touch_unless_it_is_given(slide: Slide, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", **places(), score=SCORES)
    (found,) = read_tile_values(path, slide)
    check(found)
    (larger,) = read_tile_values(path, slide, tile_size=150)
    assert larger.tile_size == 150


def test_edges_on_whole_pixels_make_no_second_size(slide: Slide, tmp_path: Path) -> None:
    size = [EDGE + number % 2 for number in range(len(CORNERS))]
    path = written(tmp_path / "a.csv", **places(), width=size, height=size, score=SCORES)
    (found,) = read_tile_values(path, slide)
    check(found)


def test_tiles_that_were_moved_inside_the_slide_make_no_finer_cells(
    slide: Slide, tmp_path: Path
) -> None:
    corners = [(x, y) for y in (0, 100, 200, 300, 400, 470) for x in (0, 100, 200)]
    x, y = zip(*corners, strict=True)
    path = written(tmp_path / "a.csv", x=x, y=y, w=[EDGE] * 18, h=[EDGE] * 18, score=range(18))
    (found,) = read_tile_values(path, slide)
    assert found.heat_map("score").cell == EDGE


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1)])
def test_attention_scores_of_clam(slide: Slide, tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "blockmap.h5"
    with h5py.File(path, "w") as file:
        file["coords"] = np.array(CORNERS)
        file["score"] = SCORES.reshape(shape)
        file["features"] = np.zeros((len(CORNERS), 8), np.float32)
    (found,) = read_tile_values(path, slide)
    check(found)
    assert list(found.values) == ["score"]


def test_what_this_program_wrote_is_read_each_scale_for_itself(
    slide: Slide, tmp_path: Path
) -> None:
    def rows(mpp: float, edge: int, corners: list[tuple[int, int]]) -> TileRows:
        regions = np.array([(x, y, edge, edge) for x, y in corners])
        share = np.linspace(0, 1, len(corners))
        return TileRows(mpp, regions, share, np.column_stack([1 - share, share]), model="m 1")

    table = tile_table([rows(0.5, 100, CORNERS), rows(1, 200, [(0, 0), (200, 0)])], ("a", "b"))
    write_csv(table, tmp_path / "tiles.csv")
    write_parquet(table, tmp_path / "tiles.parquet")
    write_qupath_tiles(tmp_path / "tiles.geojson", table, ("a", "b"))
    for name, column in (("csv", "p_b"), ("parquet", "p_b"), ("geojson", "P(b)")):
        fine, coarse = read_tile_values(tmp_path / f"tiles.{name}", slide)
        check(fine, column) if name != "geojson" else np.testing.assert_allclose(
            fine.values[column], SCORES, atol=1e-6
        )
        assert (fine.tile_size, coarse.tile_size, len(coarse)) == (100, 200, 2)


def geojson(path: Path, *features: object) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def feature(size: int, **measurements: float) -> dict[str, object]:
    ring = [[0, 0], [size, 0], [size, size], [0, size], [0, 0]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"measurements": measurements},
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,b\n1,2\n", "no columns x and y"),
        ("x,y\n1,2\n", "places alone"),
        ("x,y,score\n", "holds no tile"),
        ("x,y,score\n790,590,1\n900,0,1\n", "1 of 2 tiles that do not lie on slide"),
        ("x,y,score\n,,1\n", "do not lie on"),
        ("", "cannot be read"),
        ("x,y,score\n0,0,1\n", "does not say how large a tile is.*add columns width and height"),
        ("x,y,w,h,s\n0,0,9,9,1\n0,9,0,9,1\n", "a.csv has 0 in column w, row 3"),
        ("x,y,w,h,s\n0,0,9,9,1\n0,9,9,-9,1\n", "a.csv has -9 in column h, row 3"),
        ("x,y,w,h,s\n0,0,,9,1\n0,9,9,9,1\n", "a.csv has nothing in column w, row 2"),
        ("x,y,w,h,s\n0,0,9,9,1\n0,9,inf,9,1\n", "a.csv has inf in column w, row 3"),
        ("x,y,w,s\n0,0,9,1\n0,9,nan,1\n", "a.csv has nothing in column w, row 3"),
        ("x,y,s\n0,0,1\n0,9,2\n9,9,high\n", "a.csv has 'high' in column s, row 4"),
        ("x,y,s\n0,0,1\nb,9,2\n9,9,3\n", "a.csv has 'b' in column x, row 3"),
        ("x;y;s\n0;0;1,5\n0;9;high\n9;9;3,5\n", "a.csv has 'high' in column s, row 3"),
        ("x,y,s,t\n0,0,nan,\n0,9,inf,\n", "a.csv has no number in s, t, but empty, NaN or inf"),
        (
            "x,y,s\n0,0,1\n0,9,2\n0,0,1\n0,9,3\n",
            "tiles more than once, the first at x 0, y 9 with 2 and 3 in s: keep one",
        ),
    ],
)
def test_a_table_of_something_else_is_refused(
    slide: Slide, tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=reason) as refused:
        read_tile_values(path, slide)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("delimiter", "point"), [(";", "."), ("\t", "."), (";", ","), ("\t", ",")])
def test_a_table_of_a_spreadsheet_in_any_language(
    slide: Slide, tmp_path: Path, delimiter: str, point: str
) -> None:
    rows = [["x", "y", "width", "name", "score"]]
    tiles = zip(CORNERS, SCORES, strict=True)
    rows += [[str(x), str(y), "100", "a, b", f"{score:.9f}"] for (x, y), score in tiles]
    text = "\n".join(delimiter.join(row).replace(".", point) for row in rows)
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8-sig")
    (found,) = read_tile_values(path, slide)
    assert list(found.values) == ["score"]
    np.testing.assert_allclose(found.values["score"], SCORES, rtol=1e-6)
    np.testing.assert_array_equal(found.placed.corners, CORNERS)


def test_infinite_scores_are_missing_ones_and_what_is_there_twice_counts_once(
    slide: Slide, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,s,i\n0,0,1,1e99\n0,9,inf,2\n9,9,NA,3\n0,0,1,1e99\n")
    (found,) = read_tile_values(path, slide)
    np.testing.assert_array_equal(found.values["s"], [1, np.nan, np.nan, 1])
    np.testing.assert_array_equal(found.values["i"], [np.nan, 2, 3, np.nan])
    np.testing.assert_array_equal(found.heat_map("s").values, [[1, np.nan], [np.nan, np.nan]])


def test_names_that_are_nearly_all_numbers_are_no_scores(slide: Slide, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,s,tile_id,name\n0,0,1,1,a\n0,9,2,2,b\n9,9,3,3b,1\n9,0,,4,2\n")
    (found,) = read_tile_values(path, slide)
    assert list(found.values) == ["s"]


def test_without_a_size_tiles_at_the_far_edge_do_not_make_it_smaller(
    slide: Slide, tmp_path: Path
) -> None:
    corners = [(x, y) for y in (0, 100, 149) for x in (0, 100, 200, 220)]
    x, y = zip(*corners, strict=True)
    (found,) = read_tile_values(written(tmp_path / "a.csv", x=x, y=y, s=range(12)), slide)
    assert found.tile_size == 100
    assert np.isfinite(found.heat_map("s").values).sum() == 12


@pytest.mark.parametrize(
    ("about", "edge"),
    [
        ({"patch_size": 100}, 100),
        ({"patch_size": 50}, 100),  # of another scale: tiles touch
        ({"patch_size": 50, "downsample": 4.0}, 200),
    ],
)
def test_hdf5_states_sizes_in_its_own_way(
    slide: Slide, tmp_path: Path, about: dict[str, float], edge: int
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["coords"], file["score"] = np.array(CORNERS), SCORES
        file["coords"].attrs.update(about)
    (found,) = read_tile_values(tmp_path / "a.h5", slide)
    assert found.tile_size == edge


def test_scores_of_several_classes_are_a_column_each(slide: Slide, tmp_path: Path) -> None:
    scores = np.column_stack([SCORES, 1 - np.asarray(SCORES)])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["coords"], file["probabilities"] = np.array(CORNERS), scores
        file["features"] = np.zeros((len(CORNERS), 8))
        file["pooled"] = np.zeros((len(CORNERS), 33))  # too many for classes
    (found,) = read_tile_values(tmp_path / "a.h5", slide)
    assert list(found.values) == ["probabilities 0", "probabilities 1"]
    np.testing.assert_allclose(np.column_stack(list(found.values.values())), scores, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "numbers", "reason"),
    [
        ("score", np.ones(7), "7 numbers in score for 12 tiles in coords"),
        ("score", np.ones((1, 7)), "7 numbers in score for 12 tiles in coords"),
        ("features", np.ones((12, 8)), "or by napari_smse.open_features"),
        ("pooled", np.ones((12, 33)), "or by napari_smse.open_features"),
    ],
)
def test_hdf5_without_a_number_a_tile_is_refused(
    slide: Slide, tmp_path: Path, name: str, numbers: object, reason: str
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["coords"], file[name] = np.array(CORNERS), numbers
    with pytest.raises(DataError, match=rf"a.h5 .*{reason}"):
        read_tile_values(tmp_path / "a.h5", slide)


def test_files_of_something_else_are_refused(slide: Slide, tmp_path: Path) -> None:
    cells = geojson(tmp_path / "cells.geojson", *(feature(n, area=n) for n in range(3, 30)))
    with pytest.raises(DataError, match="sizes, which are no tiles"):
        read_tile_values(cells, slide)
    for content in ('{"features": [3]}', '{"features": 3}', "[", "[" * 100_000):
        path = tmp_path / "broken.geojson"
        path.write_text(content)
        with pytest.raises(DataError):
            read_tile_values(path, slide)
    (tmp_path / "short.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name in ("short.h5", "none.csv"):
        with pytest.raises(DataError, match=name):
            read_tile_values(tmp_path / name, slide)
    with h5py.File(tmp_path / "no.h5", "w") as file:
        file["score"] = SCORES
    with pytest.raises(DataError, match="no dataset coords"):
        read_tile_values(tmp_path / "no.h5", slide)


cells = st.tuples(st.integers(0, 7), st.integers(0, 5))


@given(st.sets(cells, min_size=2, max_size=20), st.integers(0, 40), st.data())
def test_tiles_of_any_part_of_a_grid_keep_their_places(
    tmp_path_factory: pytest.TempPathFactory,
    slide: Slide,
    chosen: set[tuple[int, int]],
    shift: int,
    data: st.DataObject,
) -> None:
    edge = data.draw(st.integers(20, 95))
    corners = [(column * edge + shift, row * edge + shift) for column, row in sorted(chosen)]
    scores = np.arange(len(corners), dtype=np.float32)
    path = tmp_path_factory.mktemp("tables") / "a.csv"
    x, y = zip(*corners, strict=True)
    (found,) = read_tile_values(
        written(path, x=x, y=y, tile_size=[edge] * len(x), score=scores), slide
    )
    middles = np.array(corners, dtype=np.float64) + edge / 2
    np.testing.assert_array_equal(found.heat_map("score").at(*middles.T), scores)


def scored(grid: TileGrid, chosen: list[int]) -> ScaleTiles:
    """Return tiles of a grid by their numbers, as they are scored."""
    rows, columns = np.divmod(np.array(chosen, dtype=np.int32), np.int32(grid.columns))
    return ScaleTiles(grid, columns, rows, np.ones(len(chosen), np.float32))


def check_map(folder: Path, slide: Slide, tiles: ScaleTiles) -> None:
    """Read back, tiles have the cells that they have in the map of their own run."""
    scores = np.arange(len(tiles), dtype=np.float32)
    size = [tiles.grid.edge] * len(tiles)
    path = written(folder / "a.csv", x=tiles.x, y=tiles.y, width=size, height=size, score=scores)
    (found,) = read_tile_values(path, slide)
    np.testing.assert_array_equal(found.placed.columns, tiles.columns - tiles.columns.min())
    np.testing.assert_array_equal(found.placed.rows, tiles.rows - tiles.rows.min())
    builder = HeatMapBuilder(tiles.grid)
    builder.add(tiles.columns, tiles.rows, scores)
    own, others = builder.heat_map().values, found.heat_map("score").values
    own = own[tiles.rows.min() :, tiles.columns.min() :][: others.shape[0], : others.shape[1]]
    np.testing.assert_allclose(others, own, rtol=0.02, atol=0.5)


@pytest.mark.parametrize("mpp", [0.5, 0.503, 0.561, 0.59])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_tiles_at_the_slide_s_far_edges_have_cells_of_their_own(
    slide: Slide, tmp_path: Path, mpp: float, overlap: float
) -> None:
    grid = TileGrid(TileSpec(33, mpp, 0.5, overlap), Region(0, 0, 800, 600))
    check_map(tmp_path, slide, scored(grid, [*range(grid.columns * grid.rows)]))
    # A hole, and no tile before the third row.
    check_map(
        tmp_path,
        slide,
        scored(
            grid,
            [
                *range(2 * grid.columns, 3 * grid.columns),
                *range(grid.columns * 5, grid.columns * grid.rows),
            ],
        ),
    )


def test_a_step_that_is_no_whole_number_does_not_add_up(slide: Slide, tmp_path: Path) -> None:
    # 12.48 px; the last column and row are moved back to 1 px behind those before.
    grid = TileGrid(TileSpec(12, 0.52, 0.5), Region(0, 0, 800, 800))
    check_map(tmp_path, slide, scored(grid, [*range(grid.columns * 40)]))
    corner = [63 + n * grid.columns for n in range(30)] + [64 + n * grid.columns for n in range(30)]
    check_map(tmp_path, slide, scored(grid, [*range(20), *corner]))


def test_tiles_that_lie_on_no_grid_are_found_at_their_middles(slide: Slide, tmp_path: Path) -> None:
    first = [(x, y) for y in (0, 100) for x in (0, 100, 200)]
    corners = [*first, *((x + 30, y + 245) for x, y in first), (430, 20), (530, 20)]
    x, y = zip(*corners, strict=True)
    size, scores = [EDGE] * len(x), np.arange(len(x), dtype=np.float32)
    path = written(tmp_path / "a.csv", x=x, y=y, w=size, h=size, score=scores)
    (found,) = read_tile_values(path, slide, tile_size=EDGE)
    middles = np.array(corners, dtype=np.float64) + EDGE / 2
    assert found.tile_size == EDGE
    np.testing.assert_array_equal(found.heat_map("score").at(*middles.T), scores)
