"""A session saved in one viewer and opened in another, as a user does it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from shapely.geometry import box

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.models import read_card
from napari_smse.progress import run_task
from napari_smse.slides import open_slide
from napari_smse.widgets import autosave
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.dock import open_dock, open_docks
from napari_smse.widgets.hit_annotations import add_annotations
from napari_smse.widgets.index import settings as index_settings
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.saved_session import session_files as module
from napari_smse.widgets.saved_session.buttons import SessionButtons
from napari_smse.widgets.saved_session.reader import get_reader
from napari_smse.widgets.saved_session.session_files import session_files
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_layers, slide_of
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.workflows import score_slide
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings
from napari_smse.workflows.stored_runs import maps_of_run
from napari_smse.workflows.viewer_session.record import MapDisplay, read_session
from support.annotated_slides import write_darker_slide, write_red_slide
from support.docks import seeing_model

pytestmark = pytest.mark.gui
NAME = "case.smse-session.json"
REGION = box(100, 100, 300, 250).difference(box(150, 150, 180, 180))
DISPLAY = MapDisplay(colours="viridis", opacity=0.8, threshold=0.25, low=0.1, grey_tissue=False)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A folder with two slides, a model, and the stored run of the first slide."""
    folder = tmp_path_factory.mktemp("session")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_slide, "runs_folder", lambda: folder / "runs")
        model = seeing_model(folder)
        patch.setattr(score_slide, "load_cached_model", lambda _name: model)
        first, second = write_red_slide(folder, "first"), write_darker_slide(folder, "second")
        with open_slide(first) as slide:
            settings = ScoreSettings((0.5, 0.6), float32=True)
            run_task(ScoreJob(slide, str(folder / "mini.safetensors"), settings).run())
    return folder


@pytest.fixture
def case(scored, tmp_path, monkeypatch):
    """A copy of the folder that a test may change."""
    folder = tmp_path / "case"
    shutil.copytree(scored, folder)
    monkeypatch.setattr(score_slide, "runs_folder", lambda: folder / "runs")
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    return folder


@pytest.fixture
def told(monkeypatch):
    """What the user was told."""
    texts = []
    for kind in ("show_error", "show_info", "show_warning"):
        monkeypatch.setattr(module, kind, texts.append)
    return texts


class Screen:
    """A viewer, with what saves and opens its sessions."""

    def __init__(self, viewer, until):
        self.viewer, self.until = viewer, until
        self.files, self.session = session_files(viewer), session_of(viewer)

    def open(self, path):
        self.files.open(path)
        self.wait()

    def wait(self):
        self.until(lambda: not self.files.is_opening)
        self.until(lambda: not self.files._runs.is_adding)

    @property
    def layers(self):
        return {layer.name: layer for layer in slide_layers(self.viewer)}

    def drawn(self, name):
        layer = self.layers[name]
        return drawn_on(self.viewer, layer, slide_of(layer))

    def show_run(self, name, folder):
        layer = self.layers[name]
        store = next((folder / "runs").glob("*.zarr"))
        weights = str(folder / "mini.safetensors")
        run = module_run(slide_of(layer), store, weights)
        maps = self.files._runs.show(layer, slide_of(layer), run, maps_of_run(run))
        self.wait()
        return maps

    def draw(self, name, *regions, **notes):
        layer = self.layers[name]
        new = AnnotationSet(regions, {"tumour": (10, 20, 30)}, **notes)
        add_annotations(self.viewer, layer, slide_of(layer), new)


def module_run(slide, store, weights):
    from napari_smse.scoring import ScoreStore
    from napari_smse.workflows.stored_runs import run_of_store

    return run_of_store(slide, ScoreStore.open(store), read_card(weights), weights)


@pytest.fixture
def screen(make_napari_viewer, until, told):
    """Make a viewer; two in a test are one that was closed, and a new one."""

    def make():
        return Screen(make_napari_viewer(show=False), until)

    return make


@pytest.fixture
def saved(screen, case):
    """A viewer with two slides, one scored and drawn on, whose session was saved."""
    made = screen()
    for name in ("first", "second"):
        made.viewer.open(case / f"{name}.tif", plugin="napari-smse")
    maps = made.show_run("first", case)
    made.session.show_maps(DISPLAY)
    maps.dress(DISPLAY)
    maps.show_only(next(name for name in maps.maps if name != maps.shown))
    place = TilePlace(slide_of(made.layers["first"]).quick_hash, 0.5, 0, 0, 64, 64)
    notes_of(made.layers["first"]).take_in([], [TileCorrection(place, "ignore")], "P7")
    made.draw("first", Annotation("tumour", REGION, "a"))
    made.session.choose(made.layers["second"])
    look(made.viewer, (300.0, 500.0), 0.5)
    made.session.choose(made.layers["first"])
    look(made.viewer, (100.0, 150.0), 2.0)
    made.files.save(case / NAME)
    return made


def look(viewer, centre, zoom):
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, *centre), zoom


def test_a_new_viewer_shows_what_the_saved_one_did(saved, screen, case, told):
    again = screen()
    again.open(case / NAME)
    assert told == [f"The session is saved to {case / NAME}.", f"{NAME}: 2 slides of 2 opened."]
    assert list(again.layers) == ["first", "second"]
    first, second = again.layers.values()
    assert again.session.slide_layer is first
    assert (first.visible, second.visible) == (True, False)
    camera = again.viewer.scene.camera
    assert camera.zoom == pytest.approx(2.0)
    assert camera.center[-2:] == pytest.approx((100.0, 150.0))
    before, now = (one.session.maps_of(one.layers["first"]) for one in (saved, again))
    assert now.shown == before.shown
    assert list(now.layers) and set(now.layers) == set(before.layers)
    for name, layer in now.layers.items():
        same = before.layers[name]
        np.testing.assert_array_equal(layer.data, same.data)
        assert (layer.opacity, layer.colormap.name) == (0.8, same.colormap.name)
        assert tuple(layer.contrast_limits) == tuple(same.contrast_limits)
        assert layer.visible == same.visible
    assert again.session.run_of(first).store.path == saved.session.run_of(
        saved.layers["first"]
    ).store.path
    assert again.session.run_of(second) is None
    (region,) = again.drawn("first").annotations
    assert region.id == "a"
    assert region.is_drawn_as(Annotation("tumour", REGION))
    assert again.drawn("first").colours["tumour"] == (10, 20, 30)
    assert notes_of(first).case == "P7"
    assert notes_of(first).corrections == notes_of(saved.layers["first"]).corrections
    assert again.session.display == DISPLAY
    again.session.choose(second)
    assert camera.zoom == pytest.approx(0.5)
    assert camera.center[-2:] == pytest.approx((300.0, 500.0))
