from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_smse.errors import OutputError
from napari_smse.results import (
    TILE_COLUMNS,
    TileRows,
    tile_columns,
    tile_table,
    write_csv,
    write_parquet,
)

CLASSES = ("benign", "malignant")


@st.composite
def scale_tiles(draw: st.DrawFn, classes: int = 2) -> TileRows:
    n = draw(st.integers(0, 30))
    share = st.floats(0, 1, width=32)
    return TileRows(
        mpp=draw(st.floats(0.05, 10)),
        regions=draw(arrays(np.int64, (n, 4), elements=st.integers(-(2**31), 2**31 - 1))),
        tissue=draw(arrays(np.float32, n, elements=share)),
        probabilities=draw(arrays(np.float32, (n, classes), elements=share | st.just(np.nan))),
    )


def one_tile() -> pa.Table:
    tiles = TileRows(
        0.5, np.array([[10, 20, 448, 448]]), np.array([0.75]), np.array([[0.25, 0.75]])
    )
    return tile_table([tiles], CLASSES)


def test_columns_stand_in_the_promised_order() -> None:
    assert TILE_COLUMNS == (
        "x",
        "y",
        "width",
        "height",
        "mpp",
        "tissue",
        "p_benign",
        "p_malignant",
        "focus",
        "ood",
        "call",
        "model",
    )
    assert tuple(one_tile().column_names) == TILE_COLUMNS
    assert tile_columns(("a", "b c"))[6:8] == ("p_a", "p_b c")


def test_types_are_the_promised_ones() -> None:
    types = [str(field.type) for field in one_tile().schema]
    assert types == ["int32"] * 4 + ["double"] + ["float"] * 5 + ["string"] * 2


def test_what_is_called_of_a_tile_stands_beside_its_probabilities(tmp_path: Path) -> None:
    tiles = TileRows(
        0.5,
        np.tile([0, 0, 8, 8], (3, 1)),
        np.ones(3),
        np.array([[0.1, 0.9], [0.5, 0.5], [np.nan, np.nan]]),
        np.array([0.5, 1.5, np.nan]),
        ["malignant", "out of distribution", None],
        "smse 2",
    )
    table = tile_table([tiles], CLASSES)
    assert table["call"].to_pylist() == ["malignant", "out of distribution", None]
    assert table["ood"].to_pylist()[:2] == [0.5, 1.5]
    write_csv(table, tmp_path / "t.csv")
    again = pa.csv.read_csv(tmp_path / "t.csv").to_pylist()
    assert [row["call"] for row in again] == ["malignant", "out of distribution", ""]
    assert {row["model"] for row in again} == {"smse 2"}


def test_calls_of_another_number_of_tiles_are_refused() -> None:
    places = np.zeros((2, 4)), np.ones(2), np.ones((2, 2))
    with pytest.raises(ValueError, match="not of 2 tiles"):
        TileRows(0.5, *places, calls=["benign"])
    with pytest.raises(ValueError, match="not of 2 tiles"):
        TileRows(0.5, *places, ood=np.ones(3))


@given(st.lists(scale_tiles(), max_size=3))
def test_every_tile_of_every_scale_is_there_in_order(scales: list[TileRows]) -> None:
    table = tile_table(scales, CLASSES)
    assert len(table) == sum(len(tiles.regions) for tiles in scales)
    start = 0
    for tiles in scales:
        rows = table.slice(start, len(tiles.regions))
        start += len(rows)
        places = np.column_stack([rows[name].to_numpy() for name in ("x", "y", "width", "height")])
        np.testing.assert_array_equal(places, tiles.regions)
        np.testing.assert_array_equal(rows["p_malignant"].to_numpy(), tiles.probabilities[:, 1])
        assert set(rows["mpp"].to_pylist()) <= {tiles.mpp}


@given(st.lists(scale_tiles(), max_size=2))
def test_both_files_give_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, scales: list[TileRows]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    table = tile_table(scales, CLASSES)
    write_parquet(table, folder / "tiles.parquet")
    write_csv(table, folder / "tiles.csv")
    types = pa.csv.ConvertOptions(
        column_types=table.schema, null_values=[""], strings_can_be_null=True
    )
    from_csv = pa.csv.read_csv(folder / "tiles.csv", convert_options=types)
    for read in (pa.parquet.read_table(folder / "tiles.parquet"), from_csv):
        assert read.column_names == table.column_names
        for name in table.column_names:
            np.testing.assert_array_equal(read[name].to_numpy(), table[name].to_numpy())
    assert sorted(file.name for file in folder.iterdir()) == ["tiles.csv", "tiles.parquet"]


def test_an_empty_run_still_has_its_columns() -> None:
    assert tuple(tile_table([], CLASSES).column_names) == TILE_COLUMNS


def test_sizes_that_do_not_fit_are_refused() -> None:
    regions, tissue = np.zeros((2, 4), int), np.zeros(2)
    with pytest.raises(ValueError, match="do not fit"):
        TileRows(0.5, regions, np.zeros(3), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="probabilities of shape"):
        TileRows(0.5, regions, tissue, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="3 classes, but 2"):
        tile_table([TileRows(0.5, regions, tissue, np.zeros((2, 2)))], ("a", "b", "c"))


def test_a_place_beyond_int32_is_refused_rather_than_wrapped() -> None:
    regions = np.array([[2**31, 0, 1, 1]])
    with pytest.raises(pa.ArrowInvalid):
        tile_table([TileRows(0.5, regions, np.zeros(1), np.zeros((1, 2)))], CLASSES)


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_a_missing_folder_is_named(tmp_path: Path, write: object) -> None:
    assert callable(write)
    with pytest.raises(OutputError, match="its folder does not exist"):
        write(one_tile(), tmp_path / "none" / "tiles")


def test_of_the_only_class_of_an_encoder_there_is_no_probability() -> None:
    tiles = TileRows(0.5, np.array([[10, 20, 448, 448]]), np.array([0.75]), np.array([[1.0]]))
    table = tile_table([tiles], ("unclassified",))
    assert table.column_names == list(tile_columns(("unclassified",)))
    assert not any(name.startswith("p_") for name in table.column_names)
    assert table["tissue"].to_pylist() == [0.75]
