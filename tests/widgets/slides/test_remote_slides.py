"""Slides opened where they lie: the window goes on while a server takes its time."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QInputDialog

from napari_smse import reader
from napari_smse.errors import UnreachableSlideError
from napari_smse.reader import SLIDE_KEY, get_reader
from napari_smse.slides import Slide, open_slide
from napari_smse.slides.progressive_pyramid import ProgressiveLevel
from napari_smse.slides.remote_path import RemotePath
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.slides import dock as slides_dock
from napari_smse.widgets.slides.dock import SlidesDock
from support.remote import impatient, server
from support.slides import noise_image, write_pyramid_tiff

__all__ = ["impatient", "server"]  # the fixtures
pytestmark = pytest.mark.gui
SECRET = "s3cr3t"


@pytest.fixture
def url(server):
    write_pyramid_tiff(server.folder / "a.tif", noise_image(3000, 2400))
    server.token = SECRET
    return f"{server.url}/a.tif?token={SECRET}"


@pytest.fixture
def dock(viewer, monkeypatch):
    monkeypatch.setattr(slides_dock, "show_error", lambda _text: None)
    made = SlidesDock(viewer)
    viewer.window.add_dock_widget(made)
    yield made
    made.close()


def typed(monkeypatch, text):
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: (text, True))


def test_napari_opens_a_url_lazily_and_sharpens_what_is_in_view(viewer, until, server, url):
    assert get_reader(url) is not None
    assert get_reader("https://host/a.txt") is None
    assert get_reader("https://host/a.png") is None
    (layer,) = viewer.open(url, plugin="napari-smse")
    slide = slide_of(layer)
    assert isinstance(slide.path, RemotePath)
    assert SECRET not in str(layer.metadata["napari_smse"])
    local = open_slide(server.folder / "a.tif")
    server.seconds = 0.05
    box = (slice(1000, 1600), slice(1200, 1900))
    exact = local.read_level(0, 1200, 1000, 700, 600)
    assert all(isinstance(level, ProgressiveLevel) for level in layer.data[:-1])
    until(lambda: np.array_equal(layer.data[0][box], exact))
    assert np.array_equal(np.asarray(layer.data[-1]), np.asarray(layer.data[-1][:]))


def test_the_window_waits_for_an_address_for_so_long_at_most(viewer, until, url, monkeypatch):
    opened, may_answer = [], Event()

    def slow(path):
        may_answer.wait()
        opened.append(open_slide(path))
        return opened[0]

    monkeypatch.setattr(reader, "open_slide", slow)
    monkeypatch.setattr(reader, "WINDOW_SECONDS", 0.1)
    with pytest.raises(UnreachableSlideError, match=r"did not answer within 0.1 s.*Open address"):
        viewer.open(url, plugin="napari-smse")
    assert not viewer.layers
    closed = []
    monkeypatch.setattr(Slide, "close", lambda slide: closed.append(slide))
    may_answer.set()
    until(lambda: closed == opened != [])  # what comes too late is closed


def test_a_level_that_came_is_shown(viewer, until, url):
    (layer,) = viewer.open(url, plugin="napari-smse")
    layer.corner_pixels = np.array([[1000, 1200], [1600, 1900]])
    layer._data_level = 0
    shown = []
    level = layer.data[0]
    layer.events.set_data.connect(
        lambda _: shown.append(level.cached_box(1200, 1000, 9, 9) is not None)
    )
    layer.refresh()
    until(lambda: bool(shown) and shown[-1])


def test_an_address_is_opened_while_the_window_goes_on(
    viewer, until, dock, server, url, monkeypatch
):
    server.seconds = 0.1
    beats = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(1))
    timer.start(10)
    typed(monkeypatch, f" {url} ")
    dock.files.address.click()
    assert f"Opening {server.url}/a.tif …" in dock.message.text()
    assert len(viewer.layers) == 0
    until(lambda: len(viewer.layers) == 1)
    timer.stop()
    assert len(beats) > 10  # the event loop ran while the server took its time
    assert viewer.layers[0].metadata[SLIDE_KEY].name == "a"
    until(lambda: not dock.entries.task.is_running)
    assert [one.name for one in dock.entries] == ["a"]
    assert SECRET not in dock.table.item(0, 0).toolTip()


def test_what_cannot_be_opened_is_said_and_the_others_are_opened(viewer, until, dock, server, url):
    problems = []
    dock.files.problem.connect(problems.append)
    dock.files.open_addresses([f"{server.url}/none.svs?token={SECRET}", url])
    until(lambda: not dock.files.opening.is_running)
    assert [layer.name for layer in viewer.layers] == ["a"]
    assert problems == [f"there is no file {server.url}/none.svs; check the address"]


@pytest.mark.parametrize("text", ["slides/a.svs", "C:\\a.svs"])
def test_what_is_no_address_is_said(viewer, dock, monkeypatch, text):
    problems = []
    dock.files.problem.connect(problems.append)
    typed(monkeypatch, text)
    dock.files.address.click()
    assert "is no address" in problems[0]
    assert not dock.files.opening.is_running


def test_a_server_that_fails_later_is_said_and_the_window_stays(
    viewer, until, server, url, monkeypatch
):
    warned = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", warned.append)
    (layer,) = viewer.open(url, plugin="napari-smse")
    server.status = 503
    layer.data[0][:600, :600]
    until(lambda: bool(warned))
    assert "answers with error 503" in warned[0]
    assert SECRET not in warned[0]
