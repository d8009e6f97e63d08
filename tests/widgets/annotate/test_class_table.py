"""The table of the classes to annotate with."""

import pytest
from qtpy.QtCore import Qt

from napari_smse.palette import IGNORE, annotation_colours
from napari_smse.widgets.annotate.class_table import ClassTable

pytestmark = pytest.mark.gui


@pytest.fixture
def table(qtbot):
    made = ClassTable()
    qtbot.addWidget(made)
    made.show_classes(annotation_colours(["benign", "malignant"]))
    return made


def test_a_new_class_has_a_colour_that_no_other_has(table):
    for _ in range(4):
        table.add_class()
    assert len(set(table.colours.values())) == 7


def test_ignore_is_always_there_and_grey_and_keeps_its_name(table):
    assert list(table.colours)[-1] == IGNORE
    red, green, blue = table.colours[IGNORE]
    assert red == green == blue
    row = list(table.colours).index(IGNORE)
    assert not table.item(row, 1).flags() & Qt.ItemFlag.ItemIsEditable
    refused = []
    table.refused.connect(refused.append)
    table.choose(row)
    table.remove_current()
    assert IGNORE in table.colours
    assert IGNORE in refused[0]
    table.show_classes({"fat": (1, 2, 3)})
    assert list(table.colours) == ["fat", IGNORE]


def test_classes_that_are_ignored_take_no_tiles(table):
    table.show_counts({"benign": 1, IGNORE: 2}, {"benign": 0.5, IGNORE: 1.25}, {"benign": 7})
    row = list(table.colours).index(IGNORE)
    assert [table.item(row, column).text() for column in (2, 3, 4)] == ["2", "none", "1.25"]
    assert table.item(0, 3).text() == "7"
