"""The table of the classes to annotate with."""

import pytest

from napari_smse.palette import class_colours
from napari_smse.widgets.annotate.class_table import ClassTable

pytestmark = pytest.mark.gui


@pytest.fixture
def table(qtbot):
    made = ClassTable()
    qtbot.addWidget(made)
    made.show_classes(class_colours(["benign", "malignant"]))
    return made


def test_a_models_colours_are_taken_where_nobody_chose_another(table):
    table.set_colour(0, (1, 1, 1))
    assert table.suggest_colours({"benign": (2, 2, 2), "malignant": (3, 3, 3), "fat": (4, 4, 4)})
    assert table.colours == {"benign": (1, 1, 1), "malignant": (3, 3, 3)}
    assert not table.suggest_colours({"malignant": (3, 3, 3)})


def test_chosen_colours_of_a_whole_list_stay(table):
    table.show_classes({"fat": (5, 5, 5), "nerve": (6, 6, 6)}, chosen=True)
    assert not table.suggest_colours({"fat": (7, 7, 7)})
    table.add_class("bone")
    assert table.suggest_colours({"bone": (8, 8, 8)})
    assert table.colours["bone"] == (8, 8, 8)


def test_a_new_class_has_a_colour_that_no_other_has(table):
    for _ in range(4):
        table.add_class()
    assert len(set(table.colours.values())) == 6
