"""A page over many slides: who scored what, and how it compares with labels."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_smse.errors import DataError, OutputError
from napari_smse.models.card import TrainingSource, case_hash
from napari_smse.models.encoders import find_encoder
from napari_smse.models.encoders.encoder_card import encoder_card
from napari_smse.progress import run_task
from napari_smse.results import RunContext
from napari_smse.results.report.cohort_page import CohortSlide, cohort_html
from napari_smse.scoring import ScaleScores
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec
from napari_smse.workflows.report.cohort import (
    CohortSettings,
    CohortSource,
    cohort_slide,
    gather_cohort,
    saved_sources,
    write_cohort,
)
from napari_smse.workflows.report.labels import CohortLabels
from support import TESTS
from support.models import redness_model

CARD = redness_model().card
CONTEXT = RunContext(CARD, "CPU")


def scales_of(p: float, mpp: float = 0.5) -> list[ScaleScores]:
    edge = round(4 * 64 * mpp / 0.25)
    grid = TileGrid(TileSpec(64, mpp, 0.25), Region(0, 0, edge, edge))
    rows, columns = (part.ravel().astype(np.int32) for part in np.mgrid[0:4, 0:4])
    tiles = ScaleTiles(grid, columns, rows, np.ones(16, np.float32))
    probability = np.tile(np.float32([1 - p, p]), (16, 1))
    return [ScaleScores(tiles, probability, np.empty((0, 0), np.float16))]


def slide(name: str, p: float, case: str = "", context: RunContext = CONTEXT) -> CohortSlide:
    return cohort_slide(context, scales_of(p), name=name, case=case or name, content=f"hash {name}")


def labels(**by_case: str) -> CohortLabels:
    return CohortLabels(Path("labels.csv"), by_case)


SLIDES = [slide("a", 0.1), slide("b", 0.4), slide("c", 0.3), slide("d", 0.9)]
LABELS = labels(a="benign", b="Malignant", c="benign", d="malignant")


def test_the_auc_is_of_cases_and_has_an_interval() -> None:
    (group,) = gather_cohort(SLIDES, LABELS).groups
    assert [one.name for one in group.slides] == ["d", "b", "c", "a"]
    comparison = group.comparison
    assert comparison is not None
    assert comparison.auc.value == pytest.approx(1.0)
    assert (comparison.negative, comparison.positive) == (2, 2)
    assert comparison.roc.startswith(b"<?xml")
    wrong = replace(
        LABELS, by_case={"a": "malignant", "b": "benign", "c": "malignant", "d": "benign"}
    )
    auc = gather_cohort(SLIDES, wrong).groups[0].comparison.auc
    assert auc.value == pytest.approx(0.0)


def test_slides_of_one_case_count_once_by_the_highest() -> None:
    slides = [*SLIDES, slide("e", 0.95, case="a")]
    comparison = gather_cohort(slides, LABELS).groups[0].comparison
    assert comparison.auc.cases == 4
    # The case a, benign, now scores the highest of all.
    assert comparison.auc.value == pytest.approx(0.5)


def test_too_few_cases_give_no_auc_but_the_number_that_is_missing() -> None:
    few = labels(a="benign", b="malignant", c="benign")
    comparison = gather_cohort(SLIDES, few).groups[0].comparison
    assert comparison.auc.value is None
    assert comparison.roc == b""
    assert "malignant lacks 1 case" in comparison.describe("malignant")
    assert comparison.notes == ("Without a label, and left out: d.",)


def test_an_unknown_label_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"labels\.csv labels b as 'tumour'.*benign, malignant"):
        gather_cohort(SLIDES, labels(a="benign", b="tumour"))


def test_labels_without_a_slide_are_told() -> None:
    more = replace(LABELS, by_case={**LABELS.by_case, "z": "benign"}, warnings=("a warning",))
    cohort = gather_cohort(SLIDES, more)
    assert cohort.warnings == ("a warning", "labels.csv has 1 case without a slide here: z.")


def test_models_are_never_pooled() -> None:
    other_card = CARD.model_copy(update={"name": "other", "weights_sha256": "0" * 64})
    other = replace(CONTEXT, card=other_card)
    by_exemplars = replace(CONTEXT, classifier="nearest exemplar of mine")
    slides = [*SLIDES, slide("x", 0.2, context=other), slide("y", 0.2, context=by_exemplars)]
    cohort = gather_cohort(slides, LABELS)
    assert [len(group.slides) for group in cohort.groups] == [4, 1, 1]
    html = cohort_html(cohort)
    assert "scored by 3 models (redness 1, other 1, redness 1, by nearest exemplar of mine)" in html
    assert "do not compare" in html


def test_slides_at_other_scales_and_in_part_are_said_to_be_so() -> None:
    fine = cohort_slide(
        CONTEXT, scales_of(0.2, 0.25), name="f", case="f", content="h", complete=False
    )
    html = cohort_html(gather_cohort([*SLIDES, fine]))
    assert "scored at different scales (20x, 0.5 µm/px; 40x, 0.25 µm/px)" in html
    assert html.count("scored in part: the time was up") == 2  # to read, and to sort by
    assert "different scales" not in cohort_html(gather_cohort(SLIDES))


def test_what_a_model_learnt_from_is_not_judged() -> None:
    source = TrainingSource(
        name="s", organ="o", scanner="s", licence="l", case_hashes=(case_hash("d"),)
    )
    tuned = replace(CONTEXT, card=CARD.model_copy(update={"training": (source,)}))
    slides = [slide(one.name, 0.5, context=tuned) for one in SLIDES]
    assert [one.trained_on for one in slides] == [False, False, False, True]
    comparison = gather_cohort(slides, LABELS).groups[0].comparison
    assert comparison.auc.cases == 3
    assert "Left out, as the model was trained on them: d." in comparison.notes
    by_content = TrainingSource(
        name="s", organ="o", scanner="s", licence="l", case_hashes=(case_hash("slide hash a"),)
    )
    card = CARD.model_copy(update={"training": (by_content,)})
    assert slide("a", 0.5, context=replace(CONTEXT, card=card)).trained_on


def test_a_scale_that_the_model_never_saw_gives_no_score() -> None:
    outside = cohort_slide(CONTEXT, scales_of(0.9, 2.0), name="o", case="o", content="h")
    assert outside.score is None
    assert SLIDES[3].score == pytest.approx(0.9)
    comparison = (
        gather_cohort(
            [*SLIDES, outside], replace(LABELS, by_case={**LABELS.by_case, "o": "benign"})
        )
        .groups[0]
        .comparison
    )
    assert comparison.notes[-1].endswith(": o.")
    assert comparison.auc.cases == 4


def test_a_page_is_whole_and_its_names_are_text() -> None:
    hostile = "<script>alert(1)</script>"
    slides = [*SLIDES, replace(SLIDES[0], name=hostile, case=hostile, report='"><b>')]
    failed = CohortSlide(hostile, hostile, problem=hostile)
    html = cohort_html(gather_cohort([*slides, failed], LABELS, hostile))
    assert html.count("<script") == html.count("</script>") == 1  # the page's own
    assert html.count("&lt;script&gt;alert(1)") > 6
    assert '"><b>"' not in html
    assert "http" not in re.sub(r"data:image/[^\"]*", "", html)
    assert "5 slides scored, of 6 slides of 5 cases" in html
    assert "AUC " in html


def test_saved_results_of_any_state_are_on_the_page(tmp_path: Path) -> None:
    written = Path(shutil.copytree(TESTS / "written_by_0_1", tmp_path / "w"))
    (written / "results" / "slide" / "report.html").write_text("x")
    shutil.copytree(written / "results" / "slide", written / "results" / "a broken #1 one")
    shutil.rmtree(written / "results" / "a broken #1 one" / "scores.zarr")
    settings = CohortSettings(tmp_path / "cohort.html", models=(str(written / "models" / "mini"),))
    folders = [written / "results" / "a broken #1 one", written / "results" / "slide"]
    cohort = run_task(write_cohort(saved_sources(folders, settings), settings))
    (group,) = cohort.groups
    assert (group.model, group.slides[0].name) == ("mini 1", "slide")
    assert group.slides[0].report == "w/results/slide/report.html"
    assert group.slides[0].picture == b""  # the slide is not where it was
    assert "holds no readable scores" in cohort.unscored[0].problem
    html = settings.out.read_text(encoding="utf-8")
    assert 'href="w/results/slide/report.html"' in html
    moved = replace(settings, slides=written)
    cohort = run_task(write_cohort(saved_sources(folders[1:], moved), moved))
    assert cohort.groups[0].slides[0].picture.startswith(b"\xff\xd8")


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    settings = CohortSettings(tmp_path / "none" / "cohort.html")
    source = CohortSource("a", "a", lambda: SLIDES[0])
    with pytest.raises(OutputError, match=r"cohort\.html: its folder does not exist"):
        run_task(write_cohort([source], settings))


def test_what_an_encoder_embedded_has_no_score_and_no_auc(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    card = encoder_card(find_encoder("kaiko-vits16"), weights)
    scales = [
        replace(one, probability=np.ones((len(one.tiles), 1), np.float32)) for one in scales_of(0.5)
    ]
    embedded = [
        cohort_slide(RunContext(card, "CPU"), scales, name=name, case=name, content=name)
        for name in "ab"
    ]
    cohort = gather_cohort(embedded, LABELS)
    assert cohort.groups[0].comparison is None
    assert {one.score for one in embedded} == {None}
    page = cohort_html(cohort)
    assert "mean P" not in page
    assert "unclassified" not in page
    assert "knows no classes" in page
