"""What all tests share: data kept outside the repository, and a home of their own."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from napari_smse.models import Model

ROOT = Path(__file__).resolve().parent.parent
# Damaged files are read in forked processes whose memory is limited, which Linux alone has.
collect_ignore = [] if sys.platform == "linux" else ["fuzz"]
_HOME = pytest.StashKey[str]()

# How long an example takes says nothing on a busy machine; what CI finds, anyone must find again.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything heavy is imported: a fresh home, and few threads."""
    home = Path(tempfile.mkdtemp(prefix="napari-smse-home-"))
    config.stash[_HOME] = str(home)
    # Fonts are slow to find, so that one cache outlives the run.
    os.environ["MPLCONFIGDIR"] = str(config.cache.mkdir("matplotlib"))
    os.environ["NAPARI_CONFIG"] = str(home / "napari" / "settings.yaml")
    for variable, folder in {
        "HOME": "",
        "USERPROFILE": "",
        "APPDATA": "roaming",
        "LOCALAPPDATA": "local",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "XDG_DATA_HOME": "data",
        "XDG_STATE_HOME": "state",
    }.items():
        os.environ[variable] = str(home / folder)
    # torch reads this when it is first imported, so no test pays for importing it here. Tests that
    # run beside each other share the cores.
    beside = "PYTEST_XDIST_WORKER" in os.environ
    os.environ["OMP_NUM_THREADS"] = "1" if beside else str(min(2, os.cpu_count() or 1))
    # A shell starts what it puts in the background with Ctrl-C ignored, which tests of it must not
    # inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    if home := config.stash.get(_HOME, None):
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real slides and images, which are never part of the repository."""
    data = Path(os.environ.get("SMSE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not data.is_dir():
        pytest.skip(f"no test data at {data}; say where it is in SMSE_TEST_DATA")
    return data


@pytest.fixture(scope="session")
def sample_slide() -> Path:
    """The generated slide that is shipped with the package."""
    return ROOT / "sample_data" / "sample_slide.tif"


@pytest.fixture(autouse=True)
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models run as the device says: what is fastest on a busy machine is another every time.

    Nothing is remembered either: which other models with the same trunk were run before depends on
    the order of the tests, and decided whether the answers of the next one were compared.
    """
    from napari_smse.scoring.runtimes import selection

    def as_it_is(device: selection.ComputeDevice, model: object, threads: int) -> selection.Speed:
        return selection.Speed("torch", device.precision, 1.0, 0.0)

    monkeypatch.setattr(selection, "selected_speed", as_it_is)
    monkeypatch.setattr(selection, "remembered_speed", as_it_is)


@pytest.fixture
def maps_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results have an empty picture for their maps, which take longer to draw than to score."""
    from PIL import Image

    empty = io.BytesIO()
    Image.new("RGB", (8, 8)).save(empty, "PNG")
    monkeypatch.setattr(
        "napari_smse.results.save.draw_maps", lambda *_args, **_more: empty.getvalue()
    )


@pytest.fixture(scope="session")
def red_square_tiff(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of `slide_path`, written once."""
    import numpy as np

    from support.slides import write_pyramid_tiff

    rgb = np.full((1100, 1300, 3), (240, 240, 240), np.uint8)
    rgb[:, :900] = (205, 150, 190)
    rgb[256:384, 512:640] = (230, 90, 150)
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    return write_pyramid_tiff(path, rgb, mpp=0.25).read_bytes()


@pytest.fixture
def slide_path(tmp_path: Path, red_square_tiff: bytes) -> Path:
    """1300 x 1100 px at 0.25 um/px: pink tissue with a red square at x 512-640, y 256-384."""
    path = tmp_path / "slide.tif"
    path.write_bytes(red_square_tiff)
    return path


@pytest.fixture
def redness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    """The model whose answers are known, in place of any other; runs are kept in tmp_path."""
    from napari_smse.workflows import score_slide
    from support.models import hide_bundled_reference, redness_model

    model = redness_model()
    hide_bundled_reference(monkeypatch)
    monkeypatch.setattr(score_slide, "load_cached_model", lambda _name: model)
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    return model


@pytest.fixture(scope="session")
def scored_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two slides, a model and a stored run, made once; not to be changed."""
    from support.saved_sessions import write_scored_case

    return write_scored_case(tmp_path_factory.mktemp("scored_case"))
