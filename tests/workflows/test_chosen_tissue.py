"""Tissue from a file, through a whole run: chosen by it, recorded, repeated."""

import json

import numpy as np
import platformdirs
import pytest

import napari_smse as smse
from napari_smse.api.model import Model
from napari_smse.errors import MaskError, NoTissueError, RequestError
from napari_smse.progress import run_task
from napari_smse.results import STORE_NAME, RunContext, save_results
from napari_smse.results.run_record import read_record
from napari_smse.scoring import ScoreRequest, ScoreStore, stored_plan
from napari_smse.segmentation import mask_file, weights
from napari_smse.segmentation.networks import GRANDQC_ARTEFACTS
from napari_smse.segmentation.weights import Segmenter
from napari_smse.slides import open_slide
from napari_smse.tiles import Ground, find_tissue
from napari_smse.workflows.chosen_tissue import chosen_tissue, ground_areas, is_at_hand
from napari_smse.workflows.replay.recorded_run import recorded_mask, recorded_settings
from napari_smse.workflows.replay.script import score_script
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings
from support.tissue_masks import ColourNetwork, write_mask

BOXES = [("Tissue", (0, 0, 1300, 600)), ("Fold", (0, 0, 400, 300))]
MPP = (0.25,)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache" / "tissue-masks"


@pytest.fixture
def slide(slide_path):
    with open_slide(slide_path) as opened:
        yield opened


@pytest.fixture
def drawn(tmp_path):
    return write_mask(tmp_path / "mask.geojson", BOXES)


@pytest.fixture
def weights_file(tmp_path, monkeypatch):
    """Weights of a network that tells ground by colour."""
    monkeypatch.setattr(
        weights,
        "load_segmenter",
        lambda path, mpp, device: Segmenter(GRANDQC_ARTEFACTS, mpp, ColourNetwork(), device),
    )
    path = tmp_path / "GrandQC_MPP1.pth"
    path.write_bytes(b"weights")
    return path


def settings(mask, **more):
    path = None if mask is None else str(mask)
    return ScoreSettings(MPP, device="cpu", tissue_mask=path, **more)


def run(slide, folder, **more):
    job = ScoreJob(slide, "redness", out=folder / STORE_NAME, threads=1, **more)
    return run_task(job.run())


def test_without_a_mask_a_request_is_what_it_ever_was(slide):
    facts = settings(None).request(slide=slide).facts()
    assert facts == ScoreRequest(MPP).facts()
    assert set(facts) == {"mpps", "overlap", "min_tissue", "roi"}
    assert run_task(chosen_tissue(slide, settings(None).request(slide=slide))) is None


def test_the_same_mask_elsewhere_is_the_same_request(slide, drawn, tmp_path):
    moved = tmp_path / "moved.geojson"
    moved.write_bytes(drawn.read_bytes())
    facts = settings(drawn).request(slide=slide).facts()
    assert facts == settings(moved).request(slide=slide).facts()
    assert facts != settings(drawn, leave_out=("blur",)).request(slide=slide).facts()
    drawn.write_text(drawn.read_text().replace("600", "500"))
    assert facts != settings(drawn).request(slide=slide).facts()


def test_tiles_lie_on_the_mask_and_what_is_left_out_is_told(slide, drawn, redness, tmp_path):
    plain = run(slide, tmp_path / "plain", settings=settings(None))
    masked = run(slide, tmp_path / "masked", settings=settings(drawn))
    (tiles,) = masked.plan.scales
    assert tiles.y.max() < 600
    assert not ((tiles.x + 32 < 400) & (tiles.y + 32 < 300)).any()
    assert plain.plan.scales[0].y.max() > 600
    assert plain.warnings == ()
    assert masked.warnings[0] == "Tissue as drawn in mask.geojson."
    assert masked.warnings[1].startswith("Tiles left out for artefacts:")
    assert masked.warnings[1].endswith(" fold.")
    everything = run(slide, tmp_path / "all", settings=settings(drawn, leave_out=("none",)))
    counted = int(masked.warnings[1].split()[5])
    assert everything.plan.tile_count == masked.plan.tile_count + counted
    assert len({one.store.facts["signature"] for one in (plain, masked, everything)}) == 3


def test_a_network_is_asked_once_and_its_licence_is_told(
    slide, weights_file, redness, tmp_path, monkeypatch
):
    request = settings(weights_file).request(slide=slide)
    assert not is_at_hand(slide, request)
    progress = []
    mask = run_task(chosen_tissue(slide, request, "cpu"), progress.append)
    assert any("Finding tissue" in one.message for one in progress)
    assert is_at_hand(slide, request)
    monkeypatch.setattr(weights, "load_segmenter", None)  # nobody asks again
    done = run(slide, tmp_path / "out", settings=settings(weights_file, leave_out=("pen",)))
    assert done.plan.mask.ground.shape == mask.ground.shape
    assert "CC BY-NC-SA 4.0" in done.warnings[0]


def test_a_search_that_is_cancelled_leaves_nothing(slide, weights_file, cache):
    task = chosen_tissue(slide, settings(weights_file).request(slide=slide), "cpu")
    next(task)
    task.close()
    assert not cache.exists()


def test_a_plan_is_not_made_before_the_tissue_is_found(slide, weights_file, redness):
    request = settings(weights_file).request(slide=slide)
    with pytest.raises(RequestError, match=r"was not found by GrandQC_MPP1\.pth yet"):
        request.plan(slide, redness.card)


def test_a_mask_without_a_tile_of_tissue_is_refused(slide, redness, tmp_path):
    path = write_mask(tmp_path / "far.geojson", [("", (0, 0, 20, 20))])
    with pytest.raises(NoTissueError):
        run(slide, tmp_path / "out", settings=settings(path))


def test_an_artefact_without_a_mask_is_refused(slide):
    with pytest.raises(RequestError, match="told apart by a tissue mask only"):
        settings(None, leave_out=("fold",)).request(slide=slide)
    with pytest.raises(MaskError, match="cannot be read"):
        settings("gone.geojson").request(slide=slide)


@pytest.fixture
def recorded(slide, drawn, redness, tmp_path):
    done = run(slide, tmp_path / "results", settings=settings(drawn, leave_out=("fold",)))
    context = RunContext(redness.card, "CPU", done.warnings)
    save_results(tmp_path / "results", slide, done.store, context)
    return read_record(tmp_path / "results")


def test_the_record_says_what_the_tissue_is_from_and_repeats_it(recorded, slide, drawn, tmp_path):
    again = recorded_settings(recorded, "cpu", recorded_mask(recorded))
    assert (again.tissue_mask, again.leave_out) == (str(drawn), ("fold",))
    wanted = settings(drawn, leave_out=("fold",)).request(slide=slide)
    assert again.request(slide=slide).facts() == wanted.facts()
    assert recorded.settings["mask"]["path"] == str(drawn)
    assert any("fold" in warning for warning in recorded.warnings)
    moved = tmp_path / "moved"
    moved.mkdir()
    drawn.rename(moved / drawn.name)
    with pytest.raises(RequestError, match="--tissue-mask"):
        recorded_mask(recorded)
    assert recorded_mask(recorded, moved) == str(moved / drawn.name)
    (moved / drawn.name).write_text("{}")
    with pytest.raises(RequestError, match="is not the recorded tissue mask"):
        recorded_mask(recorded, moved)


def test_a_stored_run_is_drawn_on_its_mask_while_that_is_remembered(
    recorded, slide, tmp_path, cache, caplog
):
    store = ScoreStore.open(tmp_path / "results" / STORE_NAME)
    plan = stored_plan(slide, store)
    assert (plan.mask.ground == Ground.FOLD).any()
    assert plan.mask.left_out == {Ground.FOLD}
    for kept in cache.glob("*"):
        kept.unlink()
    plan = stored_plan(slide, store)
    assert np.array_equal(plan.mask.ground, find_tissue(slide).ground)
    assert "not in the cache any more" in caplog.text


def test_python_and_the_shell_say_the_same(slide, drawn, redness, tmp_path):
    model = Model(redness)
    scores = smse.score(slide, model, MPP, tissue_mask=drawn, leave_out=["fold"], device="cpu")
    assert max(scores.table()["y"].to_pylist()) < 600
    script = score_script(slide, "bundled", settings(drawn, leave_out=("fold",)))
    assert f"--tissue-mask {drawn} --leave-out fold" in script.command
    assert f"tissue_mask={str(drawn)!r}, leave_out=('fold',)" in script.python


def test_the_outlines_of_one_slide_are_not_taken_for_several(drawn, weights_file, tmp_path):
    settings(drawn).require_masks(1)
    settings(weights_file).require_masks(9)
    settings(tmp_path).require_masks(9)
    with pytest.raises(RequestError, match=r"mask\.geojson holds the outlines of one slide"):
        settings(drawn).require_masks(2)


def test_areas_are_told_in_mm2(slide, drawn):
    mask = run_task(chosen_tissue(slide, settings(drawn).request(slide=slide)))
    areas = ground_areas(mask, slide.mpp)
    assert set(areas) == {Ground.TISSUE, Ground.FOLD}
    assert areas[Ground.FOLD] == pytest.approx(400 * 300 * 0.25**2 / 1e6, rel=0.1)


def test_a_folder_has_a_mask_for_each_slide(slide, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    path = write_mask(folder / "slide.geojson", BOXES)
    request = settings(folder).request(slide=slide)
    assert request.mask.path == path
    assert mask_file.is_drawn(request.mask.path)
    json.dumps(request.facts())
