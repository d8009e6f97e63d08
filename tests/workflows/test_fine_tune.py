"""Fine-tuning from the viewer and from a shell is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_smse.annotations import AnnotationSet, read_annotations, write_annotations
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.errors import BankError
from napari_smse.finetuning.annotated_folder import scored_annotations
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.progress import run_task
from napari_smse.scoring import choose_device
from napari_smse.scoring.device import computes_bfloat16
from napari_smse.scoring.runtimes import selection
from napari_smse.similarity.annotated_exemplars import annotated_exemplars
from napari_smse.similarity.ood.reference import (
    OodReference,
    fitted_appearance,
    ood_reference_path,
    save_ood_reference,
)
from napari_smse.slides import open_slide
from napari_smse.tiles.appearance import MEASURES
from napari_smse.workflows import fine_tune, score_slide
from napari_smse.workflows.fine_tune import (
    FineTuneJob,
    FineTuneOutcome,
    FineTuneSettings,
    ScoredSlide,
)
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings
from support.annotated_slides import annotate, write_red_slide
from support.docks import seeing_model, seeing_network


@pytest.fixture
def model(monkeypatch, tmp_path):
    made = seeing_model(tmp_path)
    for place in (score_slide, fine_tune):
        monkeypatch.setattr(place, "load_cached_model", lambda _name: made)
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    return made


def scored(path):
    """A slide as the viewer scores it, with its annotations."""
    slide = open_slide(path)
    job = ScoreJob(slide, "mini", ScoreSettings(device="cpu"))
    run = run_task(job.run())
    return ScoredSlide(slide, run, read_annotations(path.with_suffix(".geojson")))


def test_the_tiny_network_is_the_same_in_every_test():
    one, other = (seeing_network().embedding_head.weight for _ in range(2))
    assert one.equal(other)


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request, monkeypatch):
    """In which precision torch was found to be the fastest on this machine."""
    if request.param == "bfloat16" and not computes_bfloat16():
        pytest.skip("this CPU computes in float32 only")
    found = selection.Speed("torch", request.param, 1.0, 0.0)
    monkeypatch.setattr(selection, "selected_speed", lambda *_args: found)
    return request.param


@pytest.mark.parametrize("trainable", ["head", "stage"])
def test_the_viewer_and_the_shell_learn_the_same(tmp_path, model, trainable, precision):
    (tmp_path / "slides").mkdir()
    paths = [write_red_slide(tmp_path / "slides", f"s{i}", i) for i in range(3)]
    for path in paths:
        annotate(path)
    steps = 30 if trainable == "head" else 3
    history = FineTuneHistory(tmp_path / "history")
    settings = FineTuneSettings("pair", steps=steps, trainable=trainable)
    slides = [scored(path) for path in paths]
    assert {one.run.device.precision for one in slides} == {precision}
    job = FineTuneJob(slides, settings, "cpu", history)
    viewers = run_task(job.run())
    assert isinstance(viewers, FineTuneOutcome)
    running = scored_annotations(tmp_path / "slides", model, choose_device("cpu"))
    tiles = run_task(running)
    recipe = fine_tune_recipe("pair", trainable, steps=steps)
    tuning = FineTuner(model, tiles.labelled_set, recipe, precomputed=tiles.outputs)
    shells = run_task(tuning.run())
    assert tuning.testing == viewers.tuning.testing
    torch.testing.assert_close(
        viewers.tuned.after.held_out.logits, shells.after.held_out.logits, atol=1e-4, rtol=1e-3
    )
    # And it is in the history, which the viewer lists.
    (entry,) = history.entries()
    assert entry.path == viewers.saved_path
    assert (entry.loss, entry.trainable) == ("pair", trainable)


def bank_of(one, regions):
    """The tiles of a slide in regions, as the Evidence dock adds them."""
    tiles = one.run.store.tile_table()
    model = one.run.card.weights_sha256
    about = {"model": model, "slide": one.slide.quick_hash, "name": one.slide.name}
    return annotated_exemplars(tiles, regions, one.run.plan.mask, **about)


def test_known_tiles_alone_are_enough(tmp_path, model):
    """Three slides went into a bank; one of them is open, and nothing is drawn on it."""
    paths = [write_red_slide(tmp_path, f"s{i}", i) for i in range(3)]
    slides = [scored(annotate(path)) for path in paths]
    banks = [bank_of(one, one.regions) for one in slides]
    bank = banks[0].joined(banks[1]).joined(banks[2])
    bare = replace(slides[0], annotations=AnnotationSet())
    history = FineTuneHistory(tmp_path / "history")
    found = run_task(FineTuneJob([bare], FineTuneSettings(steps=30), "cpu", history, bank).run())
    tuning = found.tuning
    assert len(tuning.labelled_set.images) == len(bank)
    cases = [
        {tuning.labelled_set.images[i].case for i in part}
        for part in (tuning.training, tuning.testing)
    ]
    assert len(cases[0]) == 2
    assert len(cases[1]) == 1
    assert not cases[0] & cases[1]
    assert [one.scored for one in found.slides] == [bare]
    assert found.saved_path is not None


def sides(tuning):
    """The slides that were learnt from, and those held out."""
    images = tuning.labelled_set.images
    return [{images[i].path.stem for i in part} for part in (tuning.training, tuning.testing)]


def test_two_slides_of_a_case_are_never_on_both_sides_in_viewer_and_shell(tmp_path, model):
    names = ("S19-1234_A1", "S19-1234_B1", "S20-0077_A1", "unlike")
    paths = [annotate(write_red_slide(tmp_path, name, i)) for i, name in enumerate(names)]
    # What a name does not say, somebody states, and the file of annotations keeps it.
    beside = paths[3].with_suffix(".geojson")
    write_annotations(beside, replace(read_annotations(beside), case="S20-0077"))
    settings, history = FineTuneSettings(steps=2), FineTuneHistory(tmp_path / "history")
    job = FineTuneJob([scored(path) for path in paths], settings, "cpu", history)
    viewers = run_task(job.run()).tuning
    tiles = run_task(scored_annotations(tmp_path, model, choose_device("cpu")))
    recipe = fine_tune_recipe("triplet", "head", steps=2)
    shells = FineTuner(model, tiles.labelled_set, recipe, device="cpu", precomputed=tiles.outputs)
    for tuning in (viewers, shells):
        assert sorted(map(sorted, sides(tuning))) == [sorted(names[:2]), sorted(names[2:])]


def test_known_tiles_of_a_case_are_not_held_out_from_its_slides(tmp_path, model):
    """The bank is of two slides of one case and one of another; one slide of each is open."""
    names = ("S19-1234_A1", "S19-1234_B1", "S20-0077_A1")
    slides = [scored(annotate(write_red_slide(tmp_path, name, i))) for i, name in enumerate(names)]
    first, second, third = [bank_of(one, one.regions) for one in slides]
    bank = first.joined(second).joined(third)
    history = FineTuneHistory(tmp_path / "history")
    job = FineTuneJob([slides[0], slides[2]], FineTuneSettings(steps=2), "cpu", history, bank)
    learnt, held_out = sides(run_task(job.run()).tuning)
    closed = slides[1].slide.quick_hash
    assert (closed in learnt) == (names[0] in learnt)
    assert (closed in held_out) == (names[0] in held_out)
    assert not learnt & held_out


def test_what_is_drawn_and_known_tiles_are_learnt_from_once(tmp_path, model):
    paths = [annotate(write_red_slide(tmp_path, f"s{i}", i)) for i in range(2)]
    slides = [scored(path) for path in paths]
    bank = bank_of(slides[0], slides[0].regions).joined(bank_of(slides[1], slides[1].regions))
    history = FineTuneHistory(tmp_path / "history")
    settings = FineTuneSettings(steps=3)
    alone = run_task(FineTuneJob(slides, settings, "cpu", history).run())
    both = run_task(FineTuneJob(slides, settings, "cpu", history, bank).run())
    places = [(one.path, one.region) for one in both.tuning.labelled_set.images]
    assert len(set(places)) == len(places)
    drawn = {(one.path, one.region) for one in alone.tuning.labelled_set.images}
    assert drawn <= set(places)


def test_what_was_said_of_a_tile_goes_before_the_bank(tmp_path, model):
    """On a slide without regions, too: a tile that is to be ignored is not learnt again."""
    paths = [annotate(write_red_slide(tmp_path, f"s{i}", i)) for i in range(3)]
    slides = [scored(path) for path in paths]
    first, second, third = (bank_of(one, one.regions) for one in slides)
    bank = first.joined(second).joined(third)
    assert bank.class_name(0) == bank.class_name(1) == "benign"
    hash_of, mpp = slides[0].slide.quick_hash, 0.5
    ignored, wrong = (
        TilePlace(hash_of, mpp, *(int(side) for side in bank.places[row])) for row in (0, 1)
    )
    corrections = (TileCorrection(ignored, "ignore"), TileCorrection(wrong, "class", "malignant"))
    bare = replace(slides[0], annotations=AnnotationSet(corrections=tuple(corrections)))
    history = FineTuneHistory(tmp_path / "history")
    found = run_task(FineTuneJob([bare], FineTuneSettings(steps=3), "cpu", history, bank).run())
    data = found.tuning.labelled_set
    called = {
        one.region: data.classes[one.label] for one in data.images if one.path == bare.slide.path
    }
    assert bank.region(0) not in called
    assert called[bank.region(1)] == "malignant"
    assert len(data.images) == len(bank) - 1


def test_the_tuned_model_knows_the_look_of_what_it_learnt_only(tmp_path, model):
    """Of tiles that are held out it must not know; of closed slides, what the bank says."""
    measures = len(MEASURES)
    elsewhere = np.random.default_rng(0).normal(50, 0.1, (200, measures))
    known = fitted_appearance("elsewhere", 0.5, elsewhere, 6.0)
    sha256 = model.card.weights_sha256
    save_ood_reference(
        OodReference(model=sha256, appearances=(known,)), ood_reference_path(model.path)
    )
    slides = [scored(annotate(write_red_slide(tmp_path, f"s{i}", i))) for i in range(3)]
    banks = []
    for number, one in enumerate(slides):
        own = bank_of(one, one.regions)
        looks = np.random.default_rng(number).normal(number * 10, 0.1, (len(own), measures))
        banks.append(replace(own, appearances=looks.astype(np.float32)))
    bank = banks[0].joined(banks[1]).joined(banks[2])
    bare = replace(slides[0], annotations=AnnotationSet())
    history = FineTuneHistory(tmp_path / "history")
    found = run_task(FineTuneJob([bare], FineTuneSettings(steps=3), "cpu", history, bank).run())
    assert found.tuned.ood_reference is not None
    (_, learnt) = found.tuned.ood_reference.appearances
    images = found.tuning.labelled_set.images
    names = {images[i].case for i in found.tuning.training}
    centre = np.mean([10 * int(name[-1]) for name in names])
    assert learnt.mean == pytest.approx([centre] * measures, abs=1)


def test_without_pixels_known_tiles_teach_the_heads_only(tmp_path, model):
    slides = [scored(annotate(write_red_slide(tmp_path, f"s{i}", i))) for i in range(2)]
    bank = bank_of(slides[0], slides[0].regions)
    settings = FineTuneSettings(steps=3, trainable="stage")
    history = FineTuneHistory(tmp_path / "history")
    found = run_task(FineTuneJob(slides, settings, "cpu", history, bank).run())
    assert any("only their embeddings are at hand" in told for told in found.warnings)


def test_known_tiles_of_another_model_are_refused(tmp_path, model):
    one = scored(annotate(write_red_slide(tmp_path, "s", 0)))
    bank = replace(bank_of(one, one.regions), model="b" * 64)
    with pytest.raises(BankError, match="bbbbbbbbbbbb"):
        run_task(FineTuneJob([one], FineTuneSettings(steps=3), "cpu", bank=bank).run())


def test_a_full_disk_loses_the_history_only(tmp_path, model):
    path = annotate(write_red_slide(tmp_path, "s", 0))
    (tmp_path / "file").write_text("")
    history = FineTuneHistory(tmp_path / "file" / "history")
    job = FineTuneJob([scored(path)], FineTuneSettings(steps=3), "cpu", history)
    found = run_task(job.run())
    assert found.saved_path is None
    assert any("could not be kept in the history" in warning for warning in found.warnings)
    assert found.tuned.heads is not None


def test_what_is_cancelled_while_maps_are_coloured_leaves_no_model(tmp_path, model):
    path = write_red_slide(tmp_path)
    annotate(path)
    history = FineTuneHistory(tmp_path / "history")
    job = FineTuneJob([scored(path)], FineTuneSettings("pair", steps=3), "cpu", history)
    running = job.run()
    while not next(running).message.startswith("Comparing"):
        pass
    assert len(history.entries()) == 1
    running.close()
    assert not history.entries()
