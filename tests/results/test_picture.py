from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_smse.palette import MapColours
from napari_smse.results import MapPanel, heat_map_picture

EXTENT = (0.0, 1000.0, 800.0, 0.0)
PALE = np.full((80, 100, 3), 240, np.uint8)


def heat_map(value: float) -> MapPanel:
    return MapPanel("P(malignant) at 0.5 µm/px", np.full((8, 10), value, np.float32), EXTENT)


def picture(*maps: MapPanel) -> NDArray[np.int64]:
    png = heat_map_picture(PALE, maps, extent=EXTENT, caption="a slide")
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def share(image: NDArray[np.int64], channel: int) -> float:
    """Share of the picture, colour bar left out, where `channel` is well above its opposite."""
    panels = image[:, : int(image.shape[1] * 0.92)]
    return float((panels[..., channel] - panels[..., 2 - channel] > 60).mean())


def test_malignant_is_red_benign_is_blue_and_no_tissue_neither() -> None:
    red, blue = picture(heat_map(1)), picture(heat_map(0))
    none = picture(heat_map(np.nan))
    assert share(red, 0) > 0.2
    assert share(red, 2) < 0.01
    assert share(blue, 2) > 0.2
    assert share(blue, 0) < 0.01
    assert share(none, 0) < 0.01
    assert share(none, 2) < 0.01


def test_a_map_in_its_class_colour_shows_nothing_where_the_class_is_not() -> None:
    low, high = (heat_map(value)._replace(colours=MapColours((0, 40, 220))) for value in (0, 1))
    assert share(picture(high), 2) > 0.2
    blank, none = picture(low), picture(heat_map(np.nan))
    # But for the colour bar and its letters, the two are the same.
    assert share(blank, 2) == pytest.approx(share(none, 2), abs=0.01)


def test_a_map_of_a_part_of_the_slide_lies_on_that_part() -> None:
    right_half = MapPanel("part", np.ones((8, 5), np.float32), (500.0, 1000.0, 800.0, 0.0))
    whole = share(picture(heat_map(1)), 0)
    part = share(picture(right_half), 0)
    assert part == pytest.approx(whole / 2, rel=0.1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 6])
def test_any_number_of_maps_has_room(count: int) -> None:
    image = picture(*[heat_map(1)] * count)
    assert (share(image, 0) > 0.1) == (count > 0)


def test_plain_tuples_will_do() -> None:
    maps = [("title", np.ones((2, 2), np.float32), EXTENT)]
    assert len(heat_map_picture(PALE, maps, extent=EXTENT, caption="")) > 5000


def test_research_use_only_is_written_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.figure

    seen: list[str] = []
    save = matplotlib.figure.Figure.savefig

    def look(figure: matplotlib.figure.Figure, *args: object, **options: object) -> None:
        seen.extend(text.get_text() for text in figure.texts)
        save(figure, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", look)
    picture(heat_map(1))
    assert seen == ["a slide", "Research use only"]


@pytest.mark.parametrize(("value", "told"), [(np.nan, True), (0.5, False)])
def test_a_map_without_a_tile_says_so(value: float, told: bool) -> None:
    image = picture(heat_map(value))
    height, width = image.shape[:2]
    inside = image[int(height * 0.4) : int(height * 0.6), int(width * 0.6) : int(width * 0.8)]
    assert (inside.max(axis=2) < 100).any() == told  # black letters on pale glass
