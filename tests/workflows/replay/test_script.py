"""What is copied from a dock does what the dock did: it is run here, or parsed by the shell."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from shapely import Polygon, box
from shapely.geometry import mapping

import napari_smse as smse
from napari_smse.api.scores import Scores
from napari_smse.cli.app import app
from napari_smse.errors import QueryError
from napari_smse.slides import Slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.replay.script import (
    Script,
    embedding_map_script,
    evidence_script,
    fine_tune_script,
    score_script,
    search_script,
    similar_script,
    suggest_script,
)
from napari_smse.workflows.runs.feature_run import open_feature_run
from napari_smse.workflows.scored_slide import ScoredSlide
from napari_smse.workflows.settings.embeddings import (
    EmbeddingMapSettings,
    EvidenceSettings,
    SearchSettings,
    SuggestSettings,
)
from napari_smse.workflows.settings.fine_tune import FineTuneSettings
from napari_smse.workflows.settings.score import ScoreSettings
from support import TESTS
from support.feature_files import mean_colours, write_features

SAMPLE = TESTS.parent / "sample_data"
# By torch in float32, as what is fastest may be another runtime at another time.
SETTINGS = ScoreSettings((1.0,), overlap=0.25, min_tissue=0.1, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide, in a folder with a blank in its name."""
    made = tmp_path_factory.mktemp("scripts") / "my slides"
    made.mkdir()
    shutil.copy(SAMPLE / "sample_slide.tif", made / "one.tif")
    return made


@pytest.fixture(scope="module")
def slide(folder: Path) -> Slide:
    return smse.open_slide(folder / "one.tif")


@pytest.fixture(scope="module")
def scored(slide: Slide, folder: Path) -> Scores:
    return smse.score(
        slide,
        smse.load_model("bundled"),
        SETTINGS.mpp,
        overlap=0.25,
        min_tissue=0.1,
        device="cpu",
        precision="float32",
        out=folder / "scores.zarr",
    )


@pytest.fixture
def one(
    slide: Slide, scored: Scores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ScoredSlide:
    """The slide as a dock has it; what the scripts score goes elsewhere than to the cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    return ScoredSlide(slide, replace(scored.on_slide(slide).run, model="bundled"))


def tile_box(one: ScoredSlide, row: int) -> Polygon:
    """Where a scored tile lies."""
    tile = one.run.store.tile_table().region(row)
    return box(tile.x, tile.y, tile.right, tile.bottom)


DRAWN = {
    "benign": (box(0, 600, 1700, 1600), box(3300, 3250, 5000, 4300)),
    "malignant": (box(3900, 0, 5000, 1600), box(0, 2600, 1700, 3600)),
}


def annotate(one: ScoredSlide) -> None:
    """Draw two regions of each class, apart from each other, in a file beside the slide."""
    features = [
        {
            "type": "Feature",
            "geometry": mapping(region),
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for name, regions in DRAWN.items()
        for region in regions
    ]
    path = one.slide.path.with_suffix(".geojson")
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def ran(script: Script) -> dict[str, Any]:
    """The names that a script leaves behind."""
    names: dict[str, Any] = {}
    exec(compile(script.python, "script", "exec"), names)
    return names


def parsed(script: Script) -> tuple[str, dict[str, Any]]:
    """The command's name and what the shell understands of its options."""
    (line,) = (line for line in script.command.splitlines() if not line.startswith("#"))
    program, name, *words = shlex.split(line)
    assert program == "napari-smse"
    command = typer.main.get_command(app).commands[name]
    return name, command.make_context(name, words).params


def test_scoring_is_the_same_in_both_languages(one: ScoredSlide, scored: Scores) -> None:
    script = score_script(one.slide, "bundled", SETTINGS)
    names = ran(script)
    np.testing.assert_array_equal(
        names["scores"].probability("malignant"), scored.probability("malignant")
    )
    assert (Path("results") / "run.json").exists()
    name, options = parsed(script)
    assert name == "score"
    assert [str(path) for path in options["slides"]] == [str(one.slide.path)]
    chosen = {key: options[key] for key in ("mpp", "overlap", "min_tissue", "device", "model")}
    assert chosen == {
        "mpp": [1.0],
        "overlap": 0.25,
        "min_tissue": 0.1,
        "device": "cpu",
        "model": "bundled",
    }


def test_a_region_and_a_stated_scale_go_along(one: ScoredSlide) -> None:
    slide, region = one.slide.with_mpp(0.3), box(100.5, 200, 1500, 1400)
    script = score_script(slide, "bundled", ScoreSettings((1.0,)), region)
    assert "mpp=0.3" in script.python
    _, options = parsed(script)
    assert options["source_mpp"] == 0.3
    assert str(options["roi"]) == "region.geojson"
    names = ran(score_script(one.slide, "bundled", ScoreSettings((1.0,), device="cpu"), region))
    assert names["region"].equals(region)
    assert len(names["scores"]) < len(one.run.store.tile_table())


def test_of_a_region_that_was_scored_no_more_is_scored(one: ScoredSlide, tmp_path: Path) -> None:
    region = box(100.5, 200, 1500, 1400)
    model, path = smse.load_model("bundled"), tmp_path / "region.zarr"
    part = smse.score(one.slide, model, 1.0, roi=region, device="cpu", float32=True, out=path)
    scored = ScoredSlide(one.slide, replace(part.run, model="bundled"))
    script = embedding_map_script([scored], EmbeddingMapSettings())
    assert "any_stain" not in script.python
    assert len(ran(script)["scores_1"]) == len(part)


@pytest.mark.parametrize(
    "settings",
    [
        FineTuneSettings(),
        FineTuneSettings("triplet", "stage", 0.0, 12, 30.0, "focal", 0.5, "hard", 0.002),
    ],
)
def test_fine_tuning_is_understood_by_the_shell(
    one: ScoredSlide, settings: FineTuneSettings
) -> None:
    name, options = parsed(fine_tune_script([one], settings))
    assert name == "finetune"
    assert options["mpp"] == [1.0]
    assert options["data"] == one.slide.path.parent
    assert {key: options[key] for key in vars(settings)} == vars(settings)


def test_an_applied_profile_goes_along(one: ScoredSlide) -> None:
    script = score_script(one.slide, "bundled", ScoreSettings((1.0,), icc=True))
    assert "icc=True" in script.python
    assert parsed(script)[1]["icc"] is True
    by_profile = replace(one, run=replace(one.run, plan=replace(one.run.plan, icc=True)))
    assert fine_tune_script([by_profile], FineTuneSettings()).command == ""


def test_fine_tuning_learns_from_the_annotations_beside_the_slide(one: ScoredSlide) -> None:
    annotate(one)
    names = ran(fine_tune_script([one], FineTuneSettings(steps=3)))
    assert names["tuned"].training_tiles > 0


def test_the_most_similar_tiles_are_found_again(one: ScoredSlide) -> None:
    names = ran(similar_script(one, [tile_box(one, 0)], [tile_box(one, 20)], 1.0))
    similar = names["similar"]
    assert len(similar.like) > 0
    assert len(similar.unlike) > 0


def test_an_index_is_searched_again(one: ScoredSlide, scored: Scores, tmp_path: Path) -> None:
    index = smse.SlideIndex(tmp_path / "my index")
    index.add(one.slide, scored)
    region, settings = one.run.store.tile_table().region(0), SearchSettings(3, 1.0)
    script = search_script(tmp_path / "my index", one, region, settings)
    (found,) = ran(script)["hits"].slides
    assert len(found.hits) == 3
    name, options = parsed(script)
    assert name == "search"
    assert (options["k"], options["mpp"], options["width"]) == (3, 1.0, region.width)


def test_maps_suggestions_and_evidence_are_found_again(one: ScoredSlide) -> None:
    places = ran(embedding_map_script([one], EmbeddingMapSettings()))["places"]
    assert len(places.points) == len(one.run.store.tile_table())
    annotate(one)
    queue = ran(suggest_script([one], SuggestSettings(2)))["queue"]
    assert len(queue) == 2
    tile = one.run.store.tile_table().region(0)
    middle = tile.x + tile.width / 2, tile.y + tile.height / 2
    evidence = ran(evidence_script(one, middle, EvidenceSettings(k=2)))["evidence"]
    assert len(evidence) >= 1


def test_features_of_a_file_are_opened_and_not_scored(one: ScoredSlide, tmp_path: Path) -> None:
    corners, features = mean_colours(one.slide, 512)
    path = write_features(tmp_path / "features_colour" / "one.h5", corners, features, 512)
    of_file = ScoredSlide(one.slide, open_feature_run(path, one.slide))
    script = similar_script(of_file, [tile_box(of_file, 3)])
    assert "load_model" not in script.python
    assert len(ran(script)["similar"].order) == len(corners) - 1
    places = ran(embedding_map_script([of_file], EmbeddingMapSettings()))["places"]
    assert len(places) == len(corners)
    annotate(one)
    tuning = fine_tune_script([of_file], FineTuneSettings())
    assert (tuning.command, "load_model('colour')" in tuning.python) == ("", True)
    region = one.run.store.tile_table().region(0)
    assert not search_script(tmp_path, of_file, region, SearchSettings()).command


def test_where_there_is_nothing_to_copy_the_reason_is_named() -> None:
    with pytest.raises(QueryError, match="Score a slide first"):
        fine_tune_script([], FineTuneSettings())
    with pytest.raises(QueryError, match="Click a tile"):
        evidence_script(None, None, EvidenceSettings())
