from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_smse.errors import OutputError
from napari_smse.palette import MapColours
from napari_smse.results import MapPanel, write_heat_map_picture

EXTENT = (0.0, 1000.0, 800.0, 0.0)
PALE = np.full((80, 100, 3), 240, np.uint8)


def heat_map(value: float) -> MapPanel:
    return MapPanel("P(malignant) at 0.5 µm/px", np.full((8, 10), value, np.float32), EXTENT)


def picture(path: Path, *maps: MapPanel) -> NDArray[np.int64]:
    write_heat_map_picture(path, PALE, maps, extent=EXTENT, caption="a slide")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def share(image: NDArray[np.int64], channel: int) -> float:
    """Share of the picture, colour bar left out, where `channel` is well above its opposite."""
    panels = image[:, : int(image.shape[1] * 0.88)]
    return float((panels[..., channel] - panels[..., 2 - channel] > 60).mean())


def test_malignant_is_red_benign_is_blue_and_no_tissue_neither(tmp_path: Path) -> None:
    red, blue = picture(tmp_path / "r.png", heat_map(1)), picture(tmp_path / "b.png", heat_map(0))
    none = picture(tmp_path / "n.png", heat_map(np.nan))
    assert share(red, 0) > 0.2
    assert share(red, 2) < 0.01
    assert share(blue, 2) > 0.2
    assert share(blue, 0) < 0.01
    assert share(none, 0) < 0.01
    assert share(none, 2) < 0.01


def test_a_map_in_its_class_colour_shows_nothing_where_the_class_is_not(tmp_path: Path) -> None:
    low, high = (heat_map(value)._replace(colours=MapColours((0, 40, 220))) for value in (0, 1))
    assert share(picture(tmp_path / "high.png", high), 2) > 0.2
    blank, none = picture(tmp_path / "low.png", low), picture(tmp_path / "n.png", heat_map(np.nan))
    # But for the colour bar and its letters, the two are the same.
    assert share(blank, 2) == pytest.approx(share(none, 2), abs=0.01)


def test_a_map_of_a_part_of_the_slide_lies_on_that_part(tmp_path: Path) -> None:
    right_half = MapPanel("part", np.ones((8, 5), np.float32), (500.0, 1000.0, 800.0, 0.0))
    whole = share(picture(tmp_path / "whole.png", heat_map(1)), 0)
    part = share(picture(tmp_path / "part.png", right_half), 0)
    assert part == pytest.approx(whole / 2, rel=0.1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 6])
def test_any_number_of_maps_has_room(tmp_path: Path, count: int) -> None:
    image = picture(tmp_path / "many.png", *[heat_map(1)] * count)
    assert (share(image, 0) > 0.1) == (count > 0)


def test_plain_tuples_will_do(tmp_path: Path) -> None:
    maps = [("title", np.ones((2, 2), np.float32), EXTENT)]
    write_heat_map_picture(tmp_path / "t.png", PALE, maps, extent=EXTENT, caption="")
    assert (tmp_path / "t.png").stat().st_size > 5000


def test_research_use_only_is_written_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.figure

    seen: list[str] = []
    save = matplotlib.figure.Figure.savefig

    def look(figure: matplotlib.figure.Figure, *args: object, **options: object) -> None:
        seen.extend(text.get_text() for text in figure.texts)
        save(figure, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", look)
    picture(tmp_path / "note.png", heat_map(1))
    assert seen == ["a slide", "Research use only"]


@pytest.mark.parametrize(("value", "told"), [(np.nan, True), (0.5, False)])
def test_a_map_without_a_tile_says_so(tmp_path: Path, value: float, told: bool) -> None:
    image = picture(tmp_path / "map.png", heat_map(value))
    height, width = image.shape[:2]
    inside = image[int(height * 0.4) : int(height * 0.6), int(width * 0.6) : int(width * 0.8)]
    assert (inside.max(axis=2) < 100).any() == told  # black letters on pale glass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"heatmap\.png: its folder does not exist"):
        picture(tmp_path / "none" / "heatmap.png", heat_map(1))
