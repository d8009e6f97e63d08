"""A folder of annotated slides, scored and labelled as the viewer does it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box

from napari_smse.annotations import read_annotations, write_annotations
from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection, TilePlace
from napari_smse.errors import DataError
from napari_smse.finetuning.annotated_folder import scored_annotations
from napari_smse.finetuning.annotated_tiles import AnnotatedTiles
from napari_smse.models import Model, ModelCard
from napari_smse.progress import run_task
from napari_smse.scoring import ComputeDevice, choose_device, score
from napari_smse.scoring.runtimes import selection
from napari_smse.slides import open_slide
from support.annotated_slides import annotate, write_red_slide, write_tiles_beside
from support.training import mini_network

CARD = ModelCard(
    name="mini",
    version="1",
    classes=("benign", "malignant"),
    tile_px=64,
    mpp_range=(0.2, 0.6),
    trunk="test_efficientnet",
    embedding_dim=4,
)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(mini_network(), CARD, Path("mini"))


def read(folder: Path, model: Model, **options: object) -> AnnotatedTiles:
    return run_task(scored_annotations(folder, model, choose_device("cpu"), **options))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(2):
        annotate(write_red_slide(tmp_path, f"slide{number}", number))
    return tmp_path


def test_tiles_lie_on_the_grid_of_the_whole_slide(folder: Path, model: Model) -> None:
    found = read(folder, model)
    images = found.labelled_set.images
    assert {image.case for image in images} == {"annotations slide0", "annotations slide1"}
    assert {image.label for image in images} == {0, 1}
    for image in images:
        assert image.region is not None
        assert image.region.x % 64 == image.region.y % 64 == 0
        assert image.label == (1 if image.region.x >= 512 else 0)
    assert set(found.outputs) == set(images)


def test_scales_and_cases_are_as_asked_for(folder: Path, model: Model) -> None:
    (folder / "cases.csv").write_text("slide,case\nslide0,one\nslide1.tif,one\n")
    found = read(folder, model, mpps=(0.5, 1.0))
    images = found.labelled_set.images
    assert {image.case for image in images} == {"annotations one"}
    assert {image.mpp_range for image in images} == {(0.5, 0.5), (1.0, 1.0)}


def test_slides_are_scored_in_the_way_that_is_the_fastest(
    folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the viewer, so that the same embeddings are learnt from there and here."""
    used: list[ComputeDevice] = []

    def noting(slide: Any, model: Any, plan: Any, store: Any, device: ComputeDevice) -> Any:
        used.append(device)
        return score(slide, model, plan, store, choose_device("cpu"))

    monkeypatch.setattr("napari_smse.finetuning.annotated_folder.score", noting)
    found = selection.Speed("onnxruntime", "float32", 1.0, 0.0)
    monkeypatch.setattr(selection, "selected_speed", lambda *_args: found)
    read(folder, model)
    assert {(one.runtime, one.precision) for one in used} == {("onnxruntime", "float32")}


def test_links_and_remarks_are_heard(folder: Path, model: Model) -> None:
    plain = read(folder, model)
    path = folder / "slide0.geojson"
    image = next(one for one in plain.labelled_set.images if one.path.stem == "slide0")
    assert image.region is not None
    with open_slide(folder / "slide0.tif") as slide:
        place = TilePlace(slide.quick_hash, 0.5, image.region.x, image.region.y, 64, 64)
    other = replace(place, y=place.y + 64)
    said = replace(
        read_annotations(path),
        constraints=(PairConstraint(place, other, True),),
        corrections=(TileCorrection(place, "ignore"),),
    )
    write_annotations(path, said)
    found = read(folder, model)
    assert len(found.labelled_set.images) == len(plain.labelled_set.images) - 1
    assert found.constraints is not None
    assert found.constraints.must_link.tolist() == [True]
    assert found.unmatched == 0
    # Also of a tile that no region reaches, as in the viewer, which scores the whole slide.
    outside = replace(place, x=64, y=320)
    write_annotations(
        path, replace(said, corrections=(TileCorrection(outside, "class", "malignant"),))
    )
    found = read(folder, model)
    assert found.unmatched == 0
    assert len(found.labelled_set.images) == len(plain.labelled_set.images) + 1


def test_what_cannot_be_learnt_from_is_skipped_with_the_reason(folder: Path, model: Model) -> None:
    (folder / "slide1.geojson").unlink()
    (folder / "broken.tif").write_bytes(b"no slide")
    (folder / "broken.geojson").write_text("{}")
    glass = annotate(write_red_slide(folder, "glass", 3), benign=box(1100, 0, 1400, 300))
    found = read(folder, model)
    reasons = {
        skipped_file.path.name: skipped_file.reason for skipped_file in found.labelled_set.skipped
    }
    assert set(reasons) == {"slide1.tif", "broken.tif", glass.name}
    assert "has no annotations" in reasons["slide1.tif"]


def test_nothing_to_learn_from_says_why(tmp_path: Path, model: Model) -> None:
    with pytest.raises(DataError, match="No slide in"):
        read(tmp_path, model)
    annotate(write_red_slide(tmp_path, "a", 0), benign=box(1100, 0, 1400, 300))
    with pytest.raises(DataError, match=r"a\.tif"):
        read(tmp_path, model)


def test_exported_tiles_are_no_labels(folder: Path, model: Model) -> None:
    plain = read(folder, model)
    path = write_tiles_beside(folder / "slide1.tif", among_annotations=True)
    found = read(folder, model)
    assert found.labelled_set.images == plain.labelled_set.images
    ((skipped, reason),) = [
        (skipped_file.path, skipped_file.reason) for skipped_file in found.labelled_set.skipped
    ]
    assert skipped == path
    assert "also holds 8 tiles or detections" in reason
    write_tiles_beside(folder / "slide1.tif")
    found = read(folder, model)
    assert {image.path.stem for image in found.labelled_set.images} == {"slide0"}
    (reason,) = [one.reason for one in found.labelled_set.skipped]
    assert "holds no annotation" in reason


def test_a_slide_under_two_names_is_scored_once(folder: Path, model: Model) -> None:
    plain = read(folder, model)
    for suffix in (".tif", ".geojson"):
        shutil.copy(folder / f"slide0{suffix}", folder / f"again{suffix}")
    with open_slide(folder / "slide0.tif") as slide:
        place = TilePlace(slide.quick_hash, 0.5, 64, 320, 64, 64)
    said = read_annotations(folder / "slide0.geojson")
    corrections = (TileCorrection(place, "class", "malignant"),)
    write_annotations(folder / "slide0.geojson", replace(said, corrections=corrections))
    found = read(folder, model)
    # As files are found in order of their names, the other name comes first.
    assert found.labelled_set.cases == {"annotations again", "annotations slide1"}
    assert len(found.labelled_set.images) == len(plain.labelled_set.images) + 1
    assert found.unmatched == 0
    (reason,) = [skipped_file.reason for skipped_file in found.labelled_set.skipped]
    assert reason.startswith("is the same slide as again.tif")
