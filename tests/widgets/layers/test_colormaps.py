import numpy as np
import pytest

from napari_smse.palette import MapColours, map_colours
from napari_smse.widgets.layers.colormaps import COLOUR_MAPS, ONE_CLASS, map_colormap

COLOURS = map_colours(("benign", "malignant"), "malignant")


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_cells_below_the_threshold_are_not_coloured(name):
    colours = map_colormap(name, "malignant", COLOURS, threshold=0.6).map(np.linspace(0, 1, 101))
    assert (colours[:59, 3] == 0).all()
    assert (colours[62:, 3] > 0.5).all()


@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.4, 0.8)])
def test_the_threshold_is_a_probability_whatever_the_range(limits):
    colours = map_colormap("viridis", "benign", COLOURS, threshold=0.5, limits=limits)
    share = (0.5 - limits[0]) / (limits[1] - limits[0])
    below, above = colours.map(np.array([share - 0.02, share + 0.02]))
    assert below[3] == 0
    assert above[3] == 1


def test_the_low_end_of_a_class_colour_is_transparent_and_its_nan_too():
    colours = map_colormap(ONE_CLASS, "malignant", COLOURS)
    assert colours.map(np.array([0.0]))[0, 3] == 0
    assert colours.nan_color[3] == 0


def test_a_class_takes_the_colour_given():
    usual, given = (
        map_colormap(ONE_CLASS, "x", MapColours(colour)) for colour in ((0, 0, 0), (10, 20, 30))
    )
    assert given.colors[-1, :3] == pytest.approx([10 / 255, 20 / 255, 30 / 255])
    assert given.name != usual.name


@pytest.mark.parametrize("name", COLOUR_MAPS)
@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.2, 0.9)])
def test_the_undecided_band_is_grey_in_any_colours_and_range(name, limits):
    colours = map_colours(("benign", "malignant"), "malignant", None, (0.4, 0.6))
    low, high = limits
    values = (np.array([0.3, 0.45, 0.55, 0.7]) - low) / (high - low)
    shown = map_colormap(name, "malignant", colours, limits=limits).map(values)
    grey = np.ptp(shown[:, :3], axis=1) < 0.01
    assert grey.tolist() == [False, True, True, False]


def test_colour_maps_of_other_settings_have_other_names():
    names = {map_colormap("viridis", "a", COLOURS, threshold=t).name for t in (0.0, 0.1, 0.2)}
    assert len(names) == 3


def test_napari_displays_a_short_name_whatever_the_settings():
    colours = map_colormap("viridis", "malignant", COLOURS, threshold=0.123, limits=(0.1, 0.9))
    assert colours._display_name == "viridis"
