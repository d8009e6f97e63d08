"""A session saved in one viewer and opened in another, as a user does it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog
from shapely.geometry import box

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.widgets import autosave
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.dock import open_dock, open_docks
from napari_smse.widgets.hit_annotations import add_annotations
from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.saved_session import session_files as module
from napari_smse.widgets.saved_session.buttons import SessionButtons
from napari_smse.widgets.saved_session.session_files import session_files
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_layers, slide_of
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.workflows import score_slide
from napari_smse.workflows.runs.stored_runs import maps_of_run
from napari_smse.workflows.viewer_session.record import FORMAT, MapDisplay, read_session
from support.saved_sessions import NAME, stored_run

pytestmark = pytest.mark.gui
REGION = box(100, 100, 300, 250).difference(box(150, 150, 180, 180))
DISPLAY = MapDisplay(colours="viridis", opacity=0.8, threshold=0.25, low=0.1, grey_tissue=False)


@pytest.fixture
def case(scored_case, tmp_path, monkeypatch):
    """A copy of the folder that a test may change."""
    folder = tmp_path / "case"
    shutil.copytree(scored_case, folder)
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
        run = stored_run(slide_of(layer), folder)
        maps = self.files._runs.show(layer, slide_of(layer), run, maps_of_run(run))
        self.wait()
        return maps

    def draw(self, name, *regions, **notes):
        layer = self.layers[name]
        new = AnnotationSet(regions, {"tumour": (10, 20, 30)}, **notes)
        add_annotations(self.viewer, layer, slide_of(layer), new)


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
    assert len(now.layers) > 1
    assert set(now.layers) == set(before.layers)
    for name, layer in now.layers.items():
        same = before.layers[name]
        np.testing.assert_array_equal(layer.data, same.data)
        assert (layer.opacity, layer.colormap.name) == (0.8, same.colormap.name)
        assert tuple(layer.contrast_limits) == tuple(same.contrast_limits)
        assert layer.visible == same.visible
    assert (
        again.session.run_of(first).store.path
        == saved.session.run_of(saved.layers["first"]).store.path
    )
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


def test_opened_twice_nothing_is_doubled_and_what_was_drawn_since_stays(saved, case, told):
    saved.draw("first", Annotation("tumour", box(400, 400, 480, 480), "b"))
    saved.draw("first", Annotation("tumour", box(0, 0, 50, 50), "a"))  # edited since
    notes_of(saved.layers["first"]).state_case("P8")
    before = list(saved.viewer.layers)
    saved.open(case / NAME)
    assert list(saved.viewer.layers) == before
    drawn = {one.id: one for one in saved.drawn("first").annotations}
    assert {*drawn} == {"a", "b"}
    assert drawn["a"].is_drawn_as(Annotation("tumour", box(0, 0, 50, 50)))
    assert notes_of(saved.layers["first"]).case == "P8"
    assert "first: 1 of its regions were drawn otherwise since" in told[-1]
    # What was erased since comes back, as it is in the session.
    assert len(saved.session.maps_of(saved.layers["first"]).layers) > 1


def test_what_cannot_be_opened_stays_in_the_session_that_is_saved_again(
    saved, screen, case, told, tmp_path
):
    (case / "first.tif").rename(tmp_path / "away.tif")
    again = screen()
    again.open(case / NAME)
    assert list(again.layers) == ["second"]
    assert told[-1].startswith(f"{NAME}: 1 slide of 2 opened.")
    assert f"first: {case / 'first.tif'} is not there" in told[-1]
    again.files.save(case / NAME)
    assert told[-1].endswith("Kept in it: 1 slide that could not be opened.")
    assert [one.name for one in read_session(case / NAME).slides] == ["second", "first"]
    # It is found beside the session once it is put back, and is then no longer carried along.
    (tmp_path / "away.tif").rename(case / "first.tif")
    again.open(case / NAME)
    assert [one.id for one in again.drawn("first").annotations] == ["a"]
    again.files.save(case / NAME)
    assert len(read_session(case / NAME).slides) == 2


def test_a_session_that_is_cancelled_keeps_what_was_opened_and_loses_no_region(
    saved, screen, case, told, until
):
    again = screen()
    buttons = SessionButtons(again.viewer)
    again.files.open(case / NAME)
    assert buttons.open.text() == "Cancel opening"
    assert not buttons.save.isEnabled()
    until(lambda: len(again.files._slides) == 1)
    buttons.open.click()
    shown = list(again.layers)
    assert shown in (["first"], ["first", "second"])  # the second may have been on its way
    assert told[-1] == f"Cancelled: {len(shown)} of 2 slides were opened."
    assert buttons.open.text() == "Open session …"
    again.files.save(case / "part.smse-session.json")
    kept = read_session(case / "part.smse-session.json").slides
    assert [one.name for one in kept] == ["first", "second"]
    buttons.close()


def test_a_file_that_is_no_session_is_told_in_one_line(screen, case, told):
    made = screen()
    newer = json.dumps({"format": FORMAT, "version": 2, "tabs": []}).encode()
    for content, why in ((b"{", "damaged"), (b"", "damaged"), (newer, "newer version")):
        (case / NAME).write_bytes(content)
        made.open(case / NAME)
        assert why in told[-1]
        assert NAME in told[-1]
        assert "\n" not in told[-1]
    assert not made.layers


def test_docks_classes_and_unsaved_regions_come_back(screen, case, told, tmp_path):
    made = screen()
    for name in ("SMSE: Slides", "SMSE: Annotate"):
        open_dock(made.viewer, name)
    made.viewer.open(case / "first.tif", plugin="napari-smse")
    annotate = made.session.annotator
    annotate.table.add_class("gland", (1, 2, 3))
    quoted = {"objectType": "annotation", "name": "T1"}
    annotate.files.add(AnnotationSet((Annotation("gland", REGION, "a", quoted),), {}))
    made.files.save(case / NAME)
    assert set(read_session(case / NAME).docks) == {"SMSE: Slides", "SMSE: Annotate"}
    # What was edited after that, and never saved, is still offered after a crash.
    edited = Annotation("gland", box(10, 10, 90, 90), "a")
    annotate.files.add(AnnotationSet((edited,), {}))
    annotate.files.save_now()
    slide = annotate.slide
    again = screen()
    again.open(case / NAME)
    assert set(open_docks(again.viewer)) == {"SMSE: Slides", "SMSE: Annotate"}
    docked = again.session.annotator
    assert docked is not annotate
    assert docked.classes["gland"] == (1, 2, 3)
    (region,) = docked.drawing.annotations().annotations
    assert region.is_drawn_as(Annotation("gland", REGION))
    assert region.properties == quoted
    docked.files.save_now()
    assert docked.recovery.is_asking
    left = Autosave(slide).left_behind
    assert left is not None
    docked.recovery.wanted.emit()
    (region,) = docked.drawing.annotations().annotations
    assert region.is_drawn_as(edited)


def test_index_and_reference_tiles_that_are_gone_are_told(saved, screen, case, told, tmp_path):
    index, tiles = tmp_path / "index", tmp_path / "tiles.safetensors"
    index.mkdir()
    tiles.write_bytes(b"x")
    index_settings().choose(index)
    saved.session.bank_files["0" * 64] = tiles
    saved.files.save(case / NAME)
    index_settings().choose(tmp_path)
    again = screen()
    again.open(case / NAME)
    assert index_settings().folder == index
    assert again.session.bank_files == {"0" * 64: tiles}
    index.rmdir()
    tiles.unlink()
    again.open(case / NAME)
    assert f"The index {index} is not there." in told[-1]
    assert f"The reference tiles {tiles} are not there." in told[-1]


def test_layers_that_are_no_part_of_a_session_are_named(saved, case, told):
    saved.viewer.add_points([[0, 0]], name="my points")
    saved.files.save(case / NAME)
    assert told[-1].endswith("save them by themselves: my points.")


def test_a_viewer_without_a_slide_has_nothing_to_save(screen, tmp_path, told):
    screen().files.save(tmp_path / NAME)
    assert told == ["There is nothing to save: open a slide first (File > Open)."]
    assert not (tmp_path / NAME).exists()


def test_a_session_is_opened_like_any_file_and_saved_under_its_own_ending(
    saved, screen, case, told, monkeypatch
):
    chosen = str(case / "named")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (chosen, ""))
    saved.files.ask_where_to_save()
    assert (case / "named.smse-session.json").is_file()
    again = screen()
    # As dropping it, or `napari FILE`, does.
    again.viewer.open(case / "named.smse-session.json", plugin="napari-smse")
    again.wait()
    assert list(again.layers) == ["first", "second"]
    assert told[-1] == "named.smse-session.json: 2 slides of 2 opened."
