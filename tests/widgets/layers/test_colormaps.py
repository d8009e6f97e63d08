import numpy as np
import pytest

from napari_smse.widgets.layers.colormaps import COLOUR_MAPS, map_colormap


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_cells_below_the_threshold_are_not_coloured(name):
    colours = map_colormap(name, "malignant", threshold=0.6).map(np.linspace(0, 1, 101))
    assert (colours[:59, 3] == 0).all()
    assert (colours[62:, 3] > 0.5).all()


@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.4, 0.8)])
def test_the_threshold_is_a_probability_whatever_the_range(limits):
    colours = map_colormap("viridis", "benign", threshold=0.5, limits=limits)
    share = (0.5 - limits[0]) / (limits[1] - limits[0])
    below, above = colours.map(np.array([share - 0.02, share + 0.02]))
    assert below[3] == 0
    assert above[3] == 1


def test_the_low_end_of_a_class_colour_is_transparent_and_its_nan_too():
    colours = map_colormap(COLOUR_MAPS[0], "malignant")
    assert colours.map(np.array([0.0]))[0, 3] == 0
    assert colours.nan_color[3] == 0


def test_a_class_takes_the_colour_given():
    usual, given = (map_colormap(COLOUR_MAPS[0], "x", colour=c) for c in (None, (10, 20, 30)))
    assert given.colors[-1, :3] == pytest.approx([10 / 255, 20 / 255, 30 / 255])
    assert given.name != usual.name


def test_colour_maps_of_other_settings_have_other_names():
    names = {map_colormap("viridis", "a", threshold=t).name for t in (0.0, 0.1, 0.2)}
    assert len(names) == 3


def test_napari_displays_a_short_name_whatever_the_settings():
    colours = map_colormap("viridis", "malignant", threshold=0.123, limits=(0.1, 0.9))
    assert colours._display_name == "viridis"
