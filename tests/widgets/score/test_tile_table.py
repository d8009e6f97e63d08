import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_smse.scoring.tile_table import ScaleScores
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec
from napari_smse.widgets.score.tile_table import TileTableView

pytestmark = pytest.mark.gui

NAMES = ("benign", "malignant")


def scores(*p_malignant):
    """Tiles in one row, 224 px at 0.5 um/px on a slide of 0.25; NaN stands for one not scored."""
    n = len(p_malignant)
    p = np.array(p_malignant, np.float32)
    grid = TileGrid(TileSpec(224, 0.5, 0.25), Region(0, 0, 448 * n, 448))
    columns, rows = np.arange(n), np.zeros(n, int)
    tiles = ScaleTiles(grid, columns, rows, np.ones(n, np.float32))
    return ScaleScores(tiles, np.column_stack([1 - p, p]), np.zeros((n, 2), np.float16))


@pytest.fixture
def table(qtbot):
    made = TileTableView()
    qtbot.addWidget(made)
    made.resize(390, 300)
    made.show()
    return made


def show(table, scales, classes):
    table.show_scores(scales, classes, [np.array(["benign"] * len(one.tiles)) for one in scales])


def shown(table, column):
    return [table.tiles.index(row, column).data() for row in range(table.tiles.rowCount())]


def test_the_most_malignant_tile_comes_first_and_unscored_tiles_not_at_all(table):
    show(table, [scores(0.2, 0.9, np.nan, 0.5)], NAMES)
    assert shown(table, 5) == ["0.900", "0.500", "0.200"]
    assert table.tiles.tile(0).region == Region(448, 0, 448, 448)


def test_every_heading_says_what_it_means(table):
    show(table, [scores(0.2)], NAMES)
    told = [
        table.tiles.headerData(column, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
        for column in range(table.tiles.columnCount())
    ]
    assert "level-0 px" in told[1]
    assert told[-2] == "Probability of malignant"
    assert "indeterminate" in told[-1]
    assert all(told)


def test_the_name_of_the_class_sorted_by_has_room_beside_the_arrow(table):
    show(table, [scores(0.2, 0.9)], NAMES)
    header = table.horizontalHeader()
    text = header.fontMetrics().horizontalAdvance("malignant")
    assert header.sectionSize(5) >= text + 20


def test_other_classes_take_the_columns_and_the_sorting_over(table):
    show(table, [scores(0.2, 0.9)], NAMES)
    show(table, [scores(0.2, 0.9)], ("malignant", "benign"))
    assert table.horizontalHeader().sortIndicatorSection() == 4
    assert shown(table, 4) == ["0.800", "0.100"]
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    show(table, [scores(0.2, 0.9)], ("fat", "nerve"))
    assert shown(table, 1) == ["0", "448"]
    assert shown(table, 5) == ["0.200", "0.900"]


def test_what_is_called_of_a_tile_stands_beside_its_probability(table):
    calls = np.array(["indeterminate", "out of distribution", ""])
    table.show_scores([scores(0.5, 0.9, np.nan)], NAMES, [calls])
    assert shown(table, 6) == ["out of distribution", "indeterminate"]
    table.sortByColumn(6, Qt.SortOrder.AscendingOrder)
    assert shown(table, 6) == ["indeterminate", "out of distribution"]
