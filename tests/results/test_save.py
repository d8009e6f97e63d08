"""A scored slide's folder: every file tells the same story as the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as csv
import pyarrow.parquet as parquet
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_smse.annotations import read_regions
from napari_smse.errors import OutputError
from napari_smse.models.card import Undecided
from napari_smse.results import (
    MapPanel,
    RunContext,
    RunRecord,
    save_results,
)
from napari_smse.scoring import ScoreRequest, ScoreStore, choose_device, open_run, score
from napari_smse.similarity.ood.reference import OodReference, fitted_appearance
from napari_smse.slides import Region, Slide, open_slide
from napari_smse.tiles.appearance import MEASURES
from support.models import redness_model
from support.slides import write_pyramid_tiff
from support.stores import forget_appearance

MODEL = redness_model()
CONTEXT = RunContext(MODEL.card, "CPU of the test", ("one warning",))


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    """Pink tissue with one red square, glass on the right; 0.25 um/px."""
    rgb = np.full((640, 900, 3), 240, np.uint8)
    rgb[:, :700] = (205, 150, 190)
    rgb[128:256, 256:384] = (230, 90, 150)
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    write_pyramid_tiff(path, rgb, mpp=0.25)
    with open_slide(path) as opened:
        yield opened


def scored(slide: Slide, path: Path, *, finish: bool = True) -> ScoreStore:
    request, device = ScoreRequest((0.25, 0.5)), choose_device("cpu")
    plan = request.plan(slide, MODEL.card)
    store = open_run(path, slide, MODEL.card, request, plan, device)
    if finish:
        for _ in score(slide, MODEL, plan, store, device):
            pass
    return store


@pytest.fixture(scope="module")
def store(slide: Slide, tmp_path_factory: pytest.TempPathFactory) -> ScoreStore:
    return scored(slide, tmp_path_factory.mktemp("cache") / "scores.zarr")


@pytest.fixture(scope="module")
def folder(slide: Slide, store: ScoreStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "slide"
    save_results(folder, slide, store, CONTEXT, geojson=True)
    return folder


def test_the_promised_files_are_there_and_no_others(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "heatmap.png",
        "run.json",
        "scores.zarr",
        "tiles.csv",
        "tiles.geojson",
        "tiles.parquet",
    ]


def test_the_tables_have_the_promised_columns_and_no_others(folder: Path) -> None:
    columns = ["x", "y", "width", "height", "mpp", "tissue", "p_benign", "p_malignant"]
    columns += ["focus", "ood", "call", "model"]
    assert parquet.read_table(folder / "tiles.parquet").column_names == columns
    assert csv.read_csv(folder / "tiles.csv").column_names == columns


def test_the_table_holds_what_the_store_holds(folder: Path, store: ScoreStore) -> None:
    table = parquet.read_table(folder / "tiles.parquet")
    scales = [store.scale(number) for number in range(store.scale_count)]
    assert len(scales) == 2
    assert len(table) == sum(len(scores.tiles) for scores in scales)
    mpp = table["mpp"].to_numpy()
    for scores in scales:
        rows = table.filter(mpp == scores.mpp)
        for name in ("x", "y", "width", "height", "tissue"):
            np.testing.assert_array_equal(rows[name].to_numpy(), getattr(scores.tiles, name))
        for number, name in enumerate(store.classes):
            given = rows[f"p_{name}"].to_numpy()
            np.testing.assert_allclose(given, scores.probability[:, number], rtol=1e-6)
        assert set(rows["width"].to_pylist()) == {round(64 * scores.mpp / 0.25)}


def test_both_tables_say_the_same(folder: Path) -> None:
    exact, text = parquet.read_table(folder / "tiles.parquet"), csv.read_csv(folder / "tiles.csv")
    assert text["call"].to_pylist() == exact["call"].to_pylist()
    assert text["model"].to_pylist() == exact["model"].to_pylist()
    for name in exact.column_names[:-3]:
        np.testing.assert_allclose(text[name].to_numpy(), exact[name].to_numpy(), atol=1e-5)


def test_what_is_called_is_the_same_in_all_files(
    slide: Slide, store: ScoreStore, tmp_path: Path
) -> None:
    band = Undecided(low=0.3, high=0.6, accuracy=0.9, coverage=0.5, target=0.9)
    card = MODEL.card.model_copy(update={"undecided": band})
    appearance = np.concatenate([store.appearance(0), store.appearance(1)])
    assert np.isfinite(appearance).all()
    # The red square is unlike what this model knows, which is the pink tissue around it.
    pink = fitted_appearance("pink", 0.35, np.median(appearance, axis=0) + _noise(300), 12.0)
    reference = OodReference(model="m", appearances=(pink,))
    context = RunContext(card, "CPU", reference=reference)
    save_results(tmp_path, slide, store, context, geojson=True)
    rows = parquet.read_table(tmp_path / "tiles.parquet").to_pylist()
    found = json.loads((tmp_path / "tiles.geojson").read_text())
    assert found["model"] == rows[0]["model"] == f"{card.name} {card.version}"
    for row, feature in zip(rows, found["features"], strict=True):
        assert feature["properties"]["classification"]["name"] == row["call"]
        if row["ood"] > 1:
            assert row["call"] == "out of distribution"
        else:
            p = row["p_malignant"]
            assert row["call"] == (
                "benign" if p <= 0.3 else "malignant" if p >= 0.6 else "indeterminate"
            )
    assert {row["call"] for row in rows} > {"out of distribution"}


def _noise(n: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(0, 0.05, (n, len(MEASURES)))


def test_scores_of_an_earlier_version_are_saved_without_what_is_out_of_distribution(
    slide: Slide, tmp_path: Path
) -> None:
    store = scored(slide, tmp_path / "old.zarr")
    forget_appearance(store)
    reference = OodReference(
        model="m", appearances=(fitted_appearance("a", 0.5, _noise(300), 6.0),)
    )
    context = RunContext(MODEL.card, "CPU", reference=reference)
    save_results(tmp_path / "out", slide, store, context)
    table = parquet.read_table(tmp_path / "out" / "tiles.parquet")
    assert np.isnan(table["ood"].to_numpy()).all()
    assert set(table["call"].to_pylist()) <= {"benign", "malignant"}


def test_the_red_square_is_the_most_malignant_tile(folder: Path) -> None:
    table = parquet.read_table(folder / "tiles.parquet")
    worst = table.take([int(np.argmax(table["p_malignant"].to_numpy()))]).to_pylist()[0]
    assert 256 <= worst["x"] < 384
    assert 128 <= worst["y"] < 256


def test_the_tiles_for_qupath_cover_the_tiles_of_the_table(folder: Path) -> None:
    table = parquet.read_table(folder / "tiles.parquet")
    features = json.loads((folder / "tiles.geojson").read_text())["features"]
    assert len(features) == len(table)
    left = min(table["x"].to_pylist())
    assert read_regions(folder / "tiles.geojson").bounds[0] == left


def test_tiles_for_qupath_count_from_the_bounds_of_the_slide(
    slide: Slide, store: ScoreStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slide, "bounds", property(lambda _: Region(40, 24, 800, 600)))
    save_results(tmp_path, slide, store, CONTEXT, geojson=True)
    rows = parquet.read_table(tmp_path / "tiles.parquet").to_pylist()
    features = json.loads((tmp_path / "tiles.geojson").read_text())["features"]
    for row, feature in zip(rows, features, strict=True):
        corner = feature["geometry"]["coordinates"][0][0]
        assert corner == [row["x"] - 40, row["y"] - 24]


def test_the_record_says_how_it_came_about(folder: Path, store: ScoreStore, slide: Slide) -> None:
    record = RunRecord.model_validate_json((folder / "run.json").read_text())
    assert record.slide.mpp == 0.25
    assert record.slide.quick_hash == slide.quick_hash
    assert record.model.weights_sha256 == MODEL.card.weights_sha256
    assert record.device == "CPU of the test"
    assert record.warnings == ("one warning",)
    assert [scale.tiles for scale in record.scales] == [
        len(store.scale(number).tiles) for number in range(2)
    ]
    assert record.started <= record.finished
    assert record.slide.mpp_source == str(slide.scale.source)
    assert [(scale.mpp, scale.tile_px, scale.stride_px) for scale in record.scales] == [
        (0.25, 64, 64),
        (0.5, 64, 64),
    ]
    assert all(scale.in_trained_range for scale in record.scales)
    assert record.settings["overlap"] == 0
    assert {"napari-smse", "torch", "numpy"} <= set(record.versions)


def test_the_picture_shows_it(folder: Path) -> None:
    with Image.open(folder / "heatmap.png") as image:
        assert image.format == "PNG"
        assert 800 < image.width < 4000
        assert 400 < image.height < 4000
        assert np.asarray(image.convert("L")).std() > 10


def test_the_store_comes_along_whole(folder: Path, store: ScoreStore) -> None:
    copied = ScoreStore.open(folder / "scores.zarr")
    assert copied.complete
    np.testing.assert_array_equal(copied.scale(0).embedding, store.scale(0).embedding)


def test_saving_again_replaces_what_was_there(
    slide: Slide, store: ScoreStore, tmp_path: Path
) -> None:
    save_results(tmp_path, slide, store, CONTEXT)
    before = (tmp_path / "tiles.csv").read_bytes()
    (tmp_path / "tiles.csv").write_text("broken")
    save_results(tmp_path, slide, store, CONTEXT)
    assert (tmp_path / "tiles.csv").read_bytes() == before
    assert not (tmp_path / "tiles.geojson").exists()


def test_saving_a_run_over_another_leaves_nothing_of_the_other(
    slide: Slide, store: ScoreStore, tmp_path: Path
) -> None:
    for name in ("tiles.geojson", "tiles.csv", "run.json"):
        (tmp_path / name).write_text("of another run")
    (tmp_path / "scores.zarr").mkdir()
    (tmp_path / "scores.zarr" / "of another run").touch()
    save_results(tmp_path, slide, store, CONTEXT)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["heatmap.png", "run.json", "scores.zarr", "tiles.csv", "tiles.parquet"]
    assert not (tmp_path / "scores.zarr" / "of another run").exists()
    assert ScoreStore.open(tmp_path / "scores.zarr").complete


@pytest.mark.parametrize(
    ("mpp_range", "told"),
    [
        ((0.2, 0.6), "P(malignant), multi-scale mean"),
        ((0.2, 0.3), "P(malignant), multi-scale mean of the trained scales"),
        ((2.0, 4.0), "P(malignant), multi-scale mean: outside the model's magnifications"),
    ],
)
def test_the_fused_map_says_what_it_is_made_of(
    slide: Slide,
    store: ScoreStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mpp_range: tuple[float, float],
    told: str,
) -> None:
    titles: list[str] = []

    def look(_thumbnail: Any, maps: list[MapPanel], **_: Any) -> bytes:
        titles.extend(panel.title for panel in maps)
        return b""

    monkeypatch.setattr("napari_smse.results.map_panels.heat_map_picture", look)
    card = MODEL.card.model_copy(update={"mpp_range": mpp_range})
    save_results(tmp_path, slide, store, RunContext(card, "CPU"))
    assert titles[-1] == told
    assert [": outside the model's magnifications" in title for title in titles[:2]] == [
        not mpp_range[0] <= mpp <= mpp_range[1] for mpp in (0.25, 0.5)
    ]


def test_the_models_colours_go_into_picture_and_tiles(
    slide: Slide, store: ScoreStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels: list[MapPanel] = []
    monkeypatch.setattr(
        "napari_smse.results.map_panels.heat_map_picture",
        lambda _thumbnail, maps, **_: panels.extend(maps) or b"",
    )
    colours = {"benign": (1, 2, 3), "malignant": (9, 8, 7)}
    card = MODEL.card.model_copy(update={"class_colours": colours})
    save_results(tmp_path, slide, store, RunContext(card, "CPU"), geojson=True)
    assert {(panel.colours.colour, panel.colours.other) for panel in panels} == {
        ((9, 8, 7), (1, 2, 3))
    }
    features = json.loads((tmp_path / "tiles.geojson").read_text())["features"]
    found = {tuple(one["properties"]["classification"]["color"]) for one in features}
    assert found <= set(colours.values())
    assert found


def test_a_store_that_lies_there_already_is_not_copied(slide: Slide, tmp_path: Path) -> None:
    store = scored(slide, tmp_path / "scores.zarr")
    save_results(tmp_path, slide, store, CONTEXT)
    assert ScoreStore.open(tmp_path / "scores.zarr").complete


def test_unfinished_scores_are_not_saved_as_a_result(slide: Slide, tmp_path: Path) -> None:
    store = scored(slide, tmp_path / "cache.zarr", finish=False)
    with pytest.raises(OutputError, match="not complete"):
        save_results(tmp_path / "out", slide, store, CONTEXT)
    assert not (tmp_path / "out").exists()


def test_a_failure_halfway_leaves_no_record(
    slide: Slide, store: ScoreStore, tmp_path: Path
) -> None:
    save_results(tmp_path, slide, store, CONTEXT)
    (tmp_path / "heatmap.png").unlink()
    (tmp_path / "heatmap.png").mkdir()  # in the way of the picture
    with pytest.raises(OutputError, match="there is a folder of that name"):
        save_results(tmp_path, slide, store, CONTEXT)
    assert not (tmp_path / "run.json").exists()


def test_a_file_in_the_way_of_the_folder_is_named(
    slide: Slide, store: ScoreStore, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=str(tmp_path / "out")):
        save_results(tmp_path / "out", slide, store, CONTEXT)


def test_the_record_says_what_the_probabilities_are_by(
    slide: Slide, store: ScoreStore, folder: Path, tmp_path: Path
) -> None:
    assert json.loads((folder / "run.json").read_text())["classifier"] == "class head"
    context = RunContext(MODEL.card, "CPU", classifier="nearest reference tile of mine")
    save_results(tmp_path / "slide", slide, store, context)
    record = json.loads((tmp_path / "slide" / "run.json").read_text())
    assert record["classifier"] == "nearest reference tile of mine"
