"""Which slide is in view, and what is hidden with the others; on a viewer without a window."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.reader import SLIDE_KEY
from napari_smse.slides import open_slide
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    LayerMark,
    is_of_kind,
    layers_of_kind,
    mark_of,
)
from support.slides import write_pyramid_tiff


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three open slides of other pixels."""
    folder = tmp_path_factory.mktemp("slides")
    opened = []
    for number in range(3):
        path = folder / f"slide{number}.tif"
        write_pyramid_tiff(path, np.full((64, 96, 3), 90 + 40 * number, np.uint8), mpp=0.5)
        opened.append(open_slide(path))
    yield opened
    for slide in opened:
        slide.close()


def slide_layer(slide):
    pixels = np.zeros((64, 96, 3), np.uint8)
    return Image(pixels, rgb=True, name=slide.name, metadata={SLIDE_KEY: slide})


def lying_on(slide, name, *, visible=True):
    metadata = LayerMark(LayerKind.TISSUE, slide.quick_hash).metadata
    return Image(np.zeros((4, 4)), name=name, visible=visible, metadata=metadata)


def seen(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def test_what_is_opened_is_in_view_alone(slides):
    viewer = ViewerModel()
    session = session_of(viewer)
    assert session.slide_layer is None
    heard = []
    session.slide_changed.connect(lambda: heard.append(session.slide_layer))
    layers = [viewer.add_layer(slide_layer(one)) for one in slides[:2]]
    assert heard == layers
    assert seen(viewer) == ["slide1"]


def test_a_session_that_begins_late_shows_what_lies_on_top(slides):
    viewer = ViewerModel()
    for one in slides:
        viewer.add_layer(slide_layer(one))
    viewer.layers["slide2"].visible = False
    assert session_of(viewer).slide_layer is viewer.layers["slide1"]
    assert seen(viewer) == ["slide1"]


def test_a_session_that_begins_late_looks_at_all_of_the_slide_on_top(slides):
    viewer = ViewerModel()
    first, last = (viewer.add_layer(slide_layer(one)) for one in slides[:2])
    last.scale = np.asarray(last.scale) / 10
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0.0, 32.0, 48.0), 3.0
    session = session_of(viewer)
    assert session.slide_layer is last
    middle = last.extent.world[:, -2:].mean(axis=0)
    np.testing.assert_allclose(camera.center[-2:], middle)
    assert camera.zoom > 3
    session.choose(first)  # which is as it was
    assert camera.center[-2:] == (32.0, 48.0)
    assert camera.zoom == 3


def test_one_slide_is_looked_at_as_before_when_a_session_begins(slides):
    viewer = ViewerModel()
    viewer.add_layer(slide_layer(slides[0]))
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0.0, 10.0, 20.0), 9.0
    session_of(viewer)
    assert (camera.center[-2:], camera.zoom) == ((10.0, 20.0), 9.0)


def test_a_slide_is_chosen_in_naparis_own_list_of_layers(slides):
    viewer = ViewerModel()
    session = session_of(viewer)
    first, second = (viewer.add_layer(slide_layer(one)) for one in slides[:2])
    first.visible = True
    assert session.slide_layer is first
    assert not second.visible
    first.visible = False
    assert session.slide_layer is first
    session.choose(first)
    assert first.visible


def test_a_slide_comes_back_as_it_was(slides):
    viewer = ViewerModel()
    first = viewer.add_layer(slide_layer(slides[0]))
    session = session_of(viewer)
    for name, visible in (("map", True), ("other map", False)):
        viewer.add_layer(lying_on(slides[0], name, visible=visible))
    viewer.add_layer(Image(np.zeros((4, 4)), name="of no slide"))
    viewer.add_layer(slide_layer(slides[1]))
    assert seen(viewer) == ["of no slide", "slide1"]
    session.choose(first)
    assert seen(viewer) == ["slide0", "map", "of no slide"]


def test_no_layer_of_a_hidden_slide_stays_active(slides):
    viewer = ViewerModel()
    first = viewer.add_layer(slide_layer(slides[0]))
    session = session_of(viewer)
    second = viewer.add_layer(slide_layer(slides[1]))
    on_second = viewer.add_layer(lying_on(slides[1], "map"))
    assert viewer.layers.selection.active is on_second
    session.choose(first)
    assert viewer.layers.selection.active is first
    free = viewer.add_layer(Image(np.zeros((4, 4)), name="of no slide"))
    session.choose(second)
    assert viewer.layers.selection.active is free


def test_each_slide_is_looked_at_as_it_was_last(slides):
    viewer = ViewerModel()
    first = viewer.add_layer(slide_layer(slides[0]))
    session = session_of(viewer)
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0.0, 7.0, 11.0), 3.0
    second = slide_layer(slides[1])
    second.scale, second.translate = (5, 5), (1000, 2000)
    viewer.add_layer(second)
    # All of what is new is in view.
    middle = 1000 + 5 * (64 - 1) / 2, 2000 + 5 * (96 - 1) / 2
    assert camera.center[-2:] == pytest.approx(middle)
    height, width = viewer.canvas.size
    assert camera.zoom == pytest.approx(0.95 * min(height / (5 * 63), width / (5 * 95)))
    session.choose(first)
    assert (camera.center[-2:], camera.zoom) == ((7.0, 11.0), 3.0)


def test_what_is_shown_on_a_hidden_slide_waits_until_it_is_in_view(slides):
    viewer = ViewerModel()
    first = viewer.add_layer(slide_layer(slides[0]))
    session = session_of(viewer)
    old = viewer.add_layer(lying_on(slides[0], "old"))
    viewer.add_layer(slide_layer(slides[1]))
    new = viewer.add_layer(lying_on(slides[0], "new"))
    session.set_shown(old, False)
    assert not new.visible
    assert session.is_shown(new)
    assert not session.is_shown(old)
    session.choose(first)
    assert seen(viewer) == ["slide0", "new"]


def test_a_slide_that_is_removed_makes_room_for_another(slides):
    viewer = ViewerModel()
    session = session_of(viewer)
    for one in slides[:2]:
        viewer.add_layer(slide_layer(one))
    viewer.layers.remove("slide1")
    assert session.slide_layer is viewer.layers["slide0"]
    assert seen(viewer) == ["slide0"]
    viewer.layers.remove("slide0")
    assert session.slide_layer is None


def test_a_session_ends_with_its_viewer(slides):
    viewer = ViewerModel()
    viewer.add_layer(slide_layer(slides[0]))
    session = weakref.ref(session_of(viewer))
    assert session_of(viewer) is session()
    del viewer
    gc.collect()
    assert session() is None


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(["open", "add", "choose", "hide", "show"]), st.integers(0, 2))
    )
)
def test_whatever_happens_one_slide_is_seen_and_nothing_of_the_others(slides, steps):
    viewer = ViewerModel()
    session = session_of(viewer)
    for action, number in steps:
        name = f"slide{number}"
        there = name in viewer.layers
        if action == "open" and not there:
            viewer.add_layer(slide_layer(slides[number]))
        elif action == "add":
            viewer.add_layer(lying_on(slides[number], f"on {number}"))
        elif action == "choose" and there:
            session.choose(viewer.layers[name])
        elif action in ("hide", "show"):
            for layer in viewer.layers:
                if is_of_kind(layer, LayerKind.TISSUE, slides[number].quick_hash):
                    session.set_shown(layer, action == "show")
        opened = [one for one in viewer.layers if SLIDE_KEY in one.metadata]
        if not opened:
            continue
        assert [one for one in opened if one.visible] == [session.slide_layer]
        slide = session.slide_layer.metadata[SLIDE_KEY]
        lying = (one for one in layers_of_kind(viewer, LayerKind.TISSUE) if one.visible)
        assert {mark_of(one).slide for one in lying} <= {slide.quick_hash}
