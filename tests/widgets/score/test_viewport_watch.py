"""A run is told what the viewer shows of its slide, for as long as it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import napari
import numpy as np
import pytest
import shapely
from napari.layers import Image
from pytestqt.qtbot import QtBot
from shapely.geometry.base import BaseGeometry

from napari_smse.scoring import Viewport
from napari_smse.slides import Region
from napari_smse.widgets.layers.regions import visible_region
from napari_smse.widgets.score import viewport_watch
from napari_smse.widgets.score.viewport_watch import ViewportWatch
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui

MPP, WIDTH, HEIGHT = 0.25, 4000, 3000
HERE, THERE = (700, 600), (3300, 2400)
"""Level-0 px, (x, y): nothing shows both at the zoom of these tests."""

Until = Callable[[Callable[[], object]], None]


class Told(Viewport):
    """Keeps everything that it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Region | None] = []

    def show(self, region: Region | None) -> None:
        super().show(region)
        self.all.append(region)

    @property
    def box(self) -> BaseGeometry:
        """What it was told last, (x, y) in level-0 px."""
        one = self.region
        return (
            shapely.Polygon() if one is None else shapely.box(one.x, one.y, one.right, one.bottom)
        )

    def shows(self, place: tuple[int, int]) -> bool:
        return bool(self.box.contains(shapely.Point(place)))


@pytest.fixture
def layer(viewer: napari.Viewer, tmp_path: Path) -> Image:
    """A slide so large that the viewer first shows a coarser level of it."""
    pixels = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    path = write_pyramid_tiff(tmp_path / "slide.tif", pixels, mpp=MPP)
    [shown] = viewer.open(path, plugin="napari-smse")
    return shown


@pytest.fixture
def watch(
    monkeypatch: pytest.MonkeyPatch, viewer: napari.Viewer, layer: Image
) -> Iterator[ViewportWatch]:
    monkeypatch.setattr(viewport_watch, "_EVERY_MS", 5)
    made = ViewportWatch(viewer)
    yield made
    made.end()


@pytest.fixture
def told() -> Told:
    return Told()


def look_at(viewer: napari.Viewer, place: tuple[int, int]) -> None:
    """Let the canvas show about 600 px around a place."""
    x, y = place
    viewer.scene.camera.center = (0, y * MPP, x * MPP)
    viewer.scene.camera.zoom = min(viewer.canvas.size) / (600 * MPP)


def test_what_is_shown_is_told_at_once(
    watch: ViewportWatch, viewer: napari.Viewer, layer: Image, told: Told, until: Until
) -> None:
    viewer.reset_view()
    watch.begin(layer, told)
    assert len(told.all) == 1
    whole = shapely.box(0, 0, WIDTH, HEIGHT)
    until(lambda: told.box.buffer(5).covers(whole))
    assert whole.buffer(5).covers(told.box)  # and what is off the slide is not


def test_moving_the_camera_changes_what_is_told(
    watch: ViewportWatch, viewer: napari.Viewer, layer: Image, told: Told, until: Until
) -> None:
    watch.begin(layer, told)
    look_at(viewer, HERE)
    until(lambda: told.shows(HERE) and not told.shows(THERE))
    look_at(viewer, THERE)
    until(lambda: told.shows(THERE) and not told.shows(HERE))


def test_what_is_told_is_what_is_shown(
    watch: ViewportWatch, viewer: napari.Viewer, layer: Image, told: Told, until: Until
) -> None:
    watch.begin(layer, told)
    for place in (HERE, THERE, (WIDTH // 2, 0)):
        look_at(viewer, place)
        shown = visible_region(viewer, layer).intersection(shapely.box(0, 0, WIDTH, HEIGHT))
        assert shown.area > 600 * 300
        # Nor much more, else its middle would be off.
        until(lambda shown=shown: told.box.symmetric_difference(shown).area < 0.02 * shown.area)


def test_after_the_end_nothing_is_told(
    watch: ViewportWatch, viewer: napari.Viewer, layer: Image, told: Told, qtbot: QtBot
) -> None:
    watch.begin(layer, told)
    watch.end()
    told.all.clear()
    look_at(viewer, HERE)
    qtbot.wait(100)
    assert not told.all


def test_only_the_latest_run_is_told(
    watch: ViewportWatch, viewer: napari.Viewer, layer: Image, told: Told, until: Until
) -> None:
    earlier = Told()
    watch.begin(layer, earlier)
    watch.begin(layer, told)
    earlier.all.clear()
    look_at(viewer, HERE)
    until(lambda: told.shows(HERE) and not told.shows(THERE))
    assert not earlier.all


def test_of_a_slide_that_was_removed_nothing_new_is_told(
    watch: ViewportWatch,
    viewer: napari.Viewer,
    layer: Image,
    told: Told,
    until: Until,
    qtbot: QtBot,
) -> None:
    watch.begin(layer, told)
    look_at(viewer, HERE)
    until(lambda: told.shows(HERE) and not told.shows(THERE))
    last = told.region
    viewer.layers.remove(layer)
    told.all.clear()
    look_at(viewer, THERE)
    qtbot.wait(100)
    assert told.all == []
    assert told.region == last
