from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from napari.components import ViewerModel

from napari_smse import samples
from napari_smse.errors import DamagedSlideError, SlideNotFoundError
from napari_smse.reader import METADATA_KEY


def test_generated_slide_opens() -> None:
    (layer_data,) = samples.generated_slide()
    (layer,) = ViewerModel()._add_layer_from_data(*layer_data)
    assert layer.name == "sample_slide"
    assert layer.metadata[METADATA_KEY]["mpp"] == pytest.approx(0.25)
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2


def test_generated_slide_in_the_package_counts_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lib" / "site-packages" / "napari_smse"
    (package / "sample_data").mkdir(parents=True)
    (package / "sample_data" / "sample_slide.tif").touch()
    monkeypatch.setattr(samples, "__file__", str(package / "samples.py"))
    assert samples.generated_slide_path() == package / "sample_data" / "sample_slide.tif"


def test_a_lacking_generated_slide_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "__file__", str(tmp_path / "a" / "b" / "samples.py"))
    with pytest.raises(SlideNotFoundError, match="install napari-smse again"):
        samples.generated_slide_path()


def test_offline_says_how_to_get_it_by_hand(tmp_path: Path) -> None:
    def offline(url: str, output_file: Any, pooch: Any) -> None:
        raise requests.ConnectionError("no route to host\nmore")

    with pytest.raises(SlideNotFoundError, match="by hand and open it") as raised:
        samples.fetch_cmu_small_region(offline, tmp_path)
    assert samples.CMU_URL in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_another_file_than_expected_is_refused_and_not_kept(tmp_path: Path) -> None:
    def login_page(url: str, output_file: Any, pooch: Any) -> None:
        Path(output_file).write_text("<html>please sign in</html>")

    with pytest.raises(DamagedSlideError, match="SHA-256"):
        samples.fetch_cmu_small_region(login_page, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_pooch_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(SlideNotFoundError, match="pip install pooch"):
        samples.cmu_small_region()


def test_the_real_slide_has_the_known_checksum_and_is_fetched_once(
    shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "slides" / samples.CMU_NAME
    assert hashlib.sha256(source.read_bytes()).hexdigest() == samples.CMU_SHA256
    asked: list[str] = []

    def copy(url: str, output_file: Any, pooch: Any) -> None:
        asked.append(url)
        shutil.copyfile(source, output_file)

    path = samples.fetch_cmu_small_region(copy, tmp_path)
    assert samples.fetch_cmu_small_region(copy, tmp_path) == path
    assert asked == [samples.CMU_URL]


def test_the_command_opens_what_was_fetched(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shared_data / "slides" / samples.CMU_NAME
    monkeypatch.setattr(samples, "fetch_cmu_small_region", lambda: source)
    ((levels, arguments, kind),) = samples.cmu_small_region()
    assert (kind, arguments["name"], levels[0].shape) == (
        "image",
        "CMU-1-Small-Region",
        (2967, 2220, 3),
    )
