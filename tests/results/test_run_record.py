from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from napari_smse.errors import OutputError
from napari_smse.results import (
    ModelRecord,
    RunRecord,
    ScaleRecord,
    SlideRecord,
    package_versions,
    write_run_json,
)


def record(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "slide": SlideRecord(
            path="a.svs",
            quick_hash="ab12",
            backend="openslide",
            width=6144,
            height=4608,
            mpp=0.25,
            mpp_source="TIFF resolution",
        ),
        "model": ModelRecord(
            name="bundled", version="1.0", weights_sha256="0" * 64, classes=("benign", "malignant")
        ),
        "scales": (ScaleRecord(mpp=0.5, tile_px=224, stride_px=224, tiles=12),),
        "device": "CPU",
        "precision": "float32",
        "started": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "finished": datetime(2026, 1, 1, 12, 1, tzinfo=UTC),
        "seconds": 60.0,
    }
    return RunRecord(**(values | changes))


def test_the_file_gives_back_the_record(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    written = record(settings={"overlap": 0.0}, warnings=("1.0 µm/px is outside ...",))
    write_run_json(path, written)
    assert RunRecord.model_validate_json(path.read_text()) == written


def test_the_file_says_what_the_issue_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_run_json(path, record())
    content = json.loads(path.read_text())
    assert content["slide"]["mpp"] == 0.25
    assert content["slide"]["mpp_source"] == "TIFF resolution"
    assert content["versions"]["torch"] == version("torch")
    assert content["scales"][0]["tiles"] == 12
    assert content["notice"].startswith("Research use only")
    assert content["started"].endswith("Z")


def test_a_scale_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="mpp"):
        ScaleRecord(mpp=0, tile_px=224, stride_px=224, tiles=1)


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="devise"):
        record(devise="CPU")


def test_a_missing_package_is_named_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_smse.results import run_record

    monkeypatch.setattr(run_record, "_PACKAGES", ("numpy", "no-such-package"))
    versions = package_versions()
    assert versions["numpy"] == version("numpy")
    assert versions["no-such-package"] == "not installed"


def test_a_record_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder does not exist"):
        write_run_json(tmp_path / "none" / "run.json", record())
