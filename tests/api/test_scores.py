"""Scores: made, read back, looked at, saved; the same as the command line's."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet
import pytest
from shapely.geometry import box

import napari_smse as smse
from napari_smse import errors
from napari_smse.slides import Region
from support.shell import shell  # noqa: F401
from support.slides import write_pyramid_tiff

TISSUE = box(3000, 1000, 5000, 2500)


def told_of(wanted):
    """Collect progress, and stop at the first that is wanted."""
    seen = []

    def listen(progress):
        seen.append(progress)
        if wanted(progress):
            raise InterruptedError

    return seen, listen


def test_a_table_has_one_row_a_tile_in_the_order_of_the_embeddings(scored, slide):
    table = scored.table()
    assert table.column_names == [
        *("x", "y", "width", "height", "mpp", "tissue"),
        *("p_benign", "p_malignant", "focus", "ood", "call", "model"),
    ]
    assert set(table["call"].to_pylist()) <= {"benign", "malignant", "out of distribution"}
    assert table.num_rows == len(scored) == len(scored.embeddings())
    assert scored.mpps == (1.0, 2.0)
    per_scale = [scored.embeddings(mpp) for mpp in scored.mpps]
    assert np.array_equal(np.concatenate(per_scale), scored.embeddings())
    assert np.allclose(np.linalg.norm(scored.embeddings(), axis=1), 1, atol=1e-6)
    assert table["p_malignant"].to_numpy() == pytest.approx(scored.probability("malignant"))
    row = int(scored.probability("malignant").argmax())
    region = scored.region(row)
    assert [table[name][row].as_py() for name in ("x", "y", "width", "height")] == [
        *(region.x, region.y, region.width, region.height)
    ]
    pixels = slide.read(region, float(scored.tiles.mpps[row])).astype(float)
    logit = (pixels[..., 0].mean() - pixels[..., 1].mean()) / 16
    assert scored.probability("malignant")[row] == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.02)


def test_maps_show_the_tiles(scored):
    heat_map = scored.heat_map("malignant", 2.0)
    tiles = scored.tiles.scales[1]
    values = scored.probability("malignant")[scored.tiles.rows_of(1)]
    middle = heat_map.at(tiles.x + tiles.width / 2, tiles.y + tiles.height / 2)
    assert middle == pytest.approx(values)
    fused = scored.fused("malignant")
    assert fused.cell == scored.heat_map("malignant", 1.0).cell
    assert np.nanmax(fused.values) <= 1


def test_it_is_what_the_command_line_writes(shell, redness, slide, tmp_path):  # noqa: F811
    shell(
        *("score", slide.path, "--out", tmp_path / "cli", "--device", "cpu", "--geojson"),
        *("--mpp", "1", "--mpp", "0.8", "--overlap", "0.25", "--min-tissue", "0.5"),
    )
    options = {"overlap": 0.25, "min_tissue": 0.5, "device": "cpu"}
    scores = smse.score(slide, redness, [1, 0.8], out=tmp_path / "a.zarr", **options)
    folder = tmp_path / "cli" / "sample_slide"
    written = pyarrow.parquet.read_table(folder / "tiles.parquet")
    assert scores.table() == written
    columns = written.column_names[:-3]
    again = smse.read_scores(folder, slide).table()
    assert again.select(columns) == written.select(columns)
    saved = scores.save(tmp_path / "api", geojson=True)
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert {path.name for path in saved.iterdir() if not path.name.startswith(".")} == names
    assert (saved / "tiles.csv").read_bytes() == (folder / "tiles.csv").read_bytes()
    assert (saved / "tiles.geojson").read_bytes() == (folder / "tiles.geojson").read_bytes()
    one, other = (json.loads((at / "run.json").read_text()) for at in (saved, folder))
    for name in ("slide", "model", "scales", "settings", "precision", "device", "warnings"):
        assert one[name] == other[name], name


def test_scores_come_back_with_or_without_their_slide(scored, slide):
    alone = smse.read_scores(scored.path)
    # Without the model's card, what it would call is not known.
    known = alone.table().column_names[:-3]
    assert alone.table().select(known) == scored.table().select(known)
    assert alone.table()["call"].null_count == len(alone)
    assert repr(alone) == repr(scored) == (
        f"<Scores of sample_slide.tif by redness: {len(scored)} tiles at 1, 2 µm/px>"
    )  # fmt: skip
    assert alone.complete
    with pytest.raises(errors.SlideError, match="read_scores"):
        _ = alone.slide
    with pytest.raises(errors.ModelNotFoundError, match="scored by redness"):
        alone.fused("malignant")
    assert smse.read_scores(scored.path, slide).slide is slide


def test_scores_that_were_read_back_are_saved_like_those_just_made(
    mini, scored_by_mini, slide, tmp_path
):
    back = smse.read_scores(scored_by_mini.path, slide, model=mini.path)
    assert back.run.plan.blocks == scored_by_mini.run.plan.blocks
    one, other = back.save(tmp_path / "one"), scored_by_mini.save(tmp_path / "other")
    assert (one / "tiles.csv").read_bytes() == (other / "tiles.csv").read_bytes()
    record = json.loads((one / "run.json").read_text())
    assert record["device"] == "not recorded"
    assert record["precision"] == json.loads((other / "run.json").read_text())["precision"]


def test_results_of_another_run_are_replaced_only_when_that_is_wanted(
    scored, scored_by_mini, tmp_path
):
    folder = scored_by_mini.save(tmp_path / "slide")
    before = (folder / "tiles.csv").read_bytes()
    assert scored_by_mini.save(folder) == folder
    with pytest.raises(errors.OutputError, match=r"another run: choose .* overwrite=True"):
        scored.save(folder)
    assert (folder / "tiles.csv").read_bytes() == before
    scored.save(folder, overwrite=True)
    assert (folder / "tiles.csv").read_bytes() != before


def test_a_region_and_other_ways_to_name_a_scale(redness, slide, tmp_path):
    some = smse.score(slide, redness, "10x", roi=TISSUE, out=tmp_path / "a.zarr", device="cpu")
    same = smse.score(
        slide, redness, [1], roi=Region(3000, 1000, 2000, 1500), out=tmp_path / "b.zarr"
    )
    assert some.mpps == same.mpps == (1.0,)
    assert some.table()["x"] == same.table()["x"]
    assert 0 < len(some) < 80
    back = smse.read_scores(some.path, slide, model=None)
    columns = back.table().column_names[:-3]
    assert back.table().select(columns) == some.table().select(columns)


def test_without_a_place_scores_go_to_the_cache_and_are_found_there_again(redness, slide):
    first = smse.score(slide, redness, 2.0, roi=TISSUE, device="cpu")
    seen, listen = told_of(lambda _progress: False)
    again = smse.score(slide, redness, 2.0, roi=TISSUE, device="cpu", progress=listen)
    assert again.path == first.path
    assert seen[-1].done == seen[-1].total == len(first)
    assert all(one.done in (0, len(first)) for one in seen)


def test_what_progress_raises_stops_the_run_and_leaves_no_finished_result(
    redness, slide, tmp_path, monkeypatch
):
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 256)
    out, whole = tmp_path / "a.zarr", tmp_path / "whole.zarr"
    seen, stop = told_of(lambda progress: 0 < progress.done < progress.total)
    with pytest.raises(InterruptedError):
        smse.score(slide, redness, 1.0, out=out, device="cpu", progress=stop)
    assert [one.message for one in seen[:3]] == [
        "Loading the model …",
        "Looking for tissue …",
        "Finding the fastest way to run it …",
    ]
    stopped = smse.read_scores(out, slide)
    assert not stopped.complete
    assert len(stopped) < seen[-1].total
    with pytest.raises(errors.ModelNotFoundError):
        stopped.save(tmp_path / "results")
    assert not (tmp_path / "results" / "run.json").exists()
    with pytest.raises(errors.IndexFilesError, match="not scored to its end"):
        smse.SlideIndex.open(tmp_path / "index").add(slide, stopped)
    resumed = smse.score(slide, redness, 1.0, out=out, device="cpu")
    assert resumed.complete
    assert resumed.table() == smse.score(slide, redness, 1.0, out=whole, device="cpu").table()


def test_another_runs_scores_are_kept_unless_told_otherwise(redness, slide, tmp_path):
    out = tmp_path / "a.zarr"
    smse.score(slide, redness, 2.0, roi=TISSUE, out=out, device="cpu")
    with pytest.raises(errors.OutputError, match="another run"):
        smse.score(slide, redness, 1.0, roi=TISSUE, out=out, device="cpu")
    changed = smse.score(slide, redness, 1.0, roi=TISSUE, out=out, device="cpu", overwrite=True)
    assert changed.mpps == (1.0,)


@pytest.mark.parametrize("mpp", [0.001, -1, float("nan"), "20y", "", [], None, [0.5, "x"], object])
def test_what_is_no_scale_is_refused(redness, slide, mpp):
    with pytest.raises(errors.ScaleError):
        smse.score(slide, redness, mpp)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"overlap": 1.5}, errors.ScaleError),
        ({"min_tissue": 2}, errors.ScaleError),
        ({"roi": box(90000, 0, 90100, 100)}, errors.RegionError),
        ({"roi": "here"}, errors.RegionError),
        ({"device": "cuda:99"}, errors.DeviceError),
    ],
)
def test_what_cannot_be_is_refused_by_name(redness, slide, options, error):
    with pytest.raises(error):
        smse.score(slide, redness, 1.0, **options)


def test_a_slide_without_a_scale_is_refused(redness, tmp_path):
    path = write_pyramid_tiff(tmp_path / "a.tif", np.full((600, 600, 3), 200, np.uint8), None)
    with pytest.raises(errors.MissingScaleError):
        smse.score(smse.open_slide(path), redness)


def test_unknown_classes_and_scales_are_named(scored):
    with pytest.raises(errors.RequestError, match="benign, malignant"):
        scored.heat_map("tumour", 1.0)
    with pytest.raises(errors.ScaleError, match="choose one of 1, 2 µm/px"):
        scored.embeddings(0.5)
    with pytest.raises(errors.ScaleError, match="several scales"):
        scored.heat_map("malignant")


def test_what_is_no_store_or_another_slides_is_refused(scored, mini, slide_path, tmp_path):
    with pytest.raises(errors.OutputError):
        smse.read_scores(tmp_path)
    with pytest.raises(errors.ChangedSlideError):
        smse.read_scores(scored.path, smse.open_slide(slide_path))
    with pytest.raises(errors.ModelError, match="not by mini"):
        smse.read_scores(scored.path, model=mini.path)
