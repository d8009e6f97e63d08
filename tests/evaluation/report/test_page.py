"""The report: whole in one file, and true to its figures."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_smse.datasets.labelled_set import LabelledSet, Skipped
from napari_smse.evaluation.loss_comparison import LossComparisonRow
from napari_smse.evaluation.report.page import ReportContent, report_html, write_report
from napari_smse.evaluation.report.plots import roc_curves
from napari_smse.evaluation.report.tables import shown
from napari_smse.evaluation.scale_curve import ScalePoint
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.per_case import image_results
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import predictions_from_held_out, summarise
from support.datasets import image, labelled_set, random_held_out, random_set, write_picture


class Page(HTMLParser):
    """Checks that tags are closed, and gathers what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + "\n"


@pytest.fixture
def data(tmp_path: Path) -> LabelledSet:
    made = [
        replace(one, path=write_picture(tmp_path / f"{i}.png", one.label, i, (40, 30)))
        for i, one in enumerate(random_set(10, images=4).images)
    ]
    return labelled_set(made)


def content(data: LabelledSet, **more: object) -> ReportContent:
    held_out = random_held_out(data)
    return ReportContent("A title", "How.", held_out, data, summarise(held_out, data), **more)


def test_the_page_is_whole_and_links_to_nothing(data: LabelledSet, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", content(data))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert all(link.startswith("data:image/") for link in page.links)
    assert "http" not in re.sub(r"data:image/[^\"]*", "", html)
    assert all(one["alt"] for one in page.images)
    assert page.text.count("Research use only") == 2
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_it_tells_the_figures_every_case_and_the_wrong_images(data: LabelledSet) -> None:
    told = content(data, settings={"recipe": "mine"}, notices=("mind this",))
    text = Page(report_html(told)).text
    assert f"AUC {shown(told.summary.estimates['auc'])}" in text
    for case in data.cases:
        assert case in text
    for magnification in ("40X", "100X", "200X", "400X"):
        assert magnification in text
    assert "mind this" in text
    assert "mine" in text
    wrong = [one for one in image_results(told.held_out, data) if not one.right]
    assert wrong
    worst = min(wrong, key=lambda one: one.truth)
    assert worst.image.path.name in text


def test_there_is_a_thumbnail_for_each_wrong_image_shown(data: LabelledSet) -> None:
    page = Page(report_html(content(data)))
    pictures = [one for one in page.images if (one["src"] or "").startswith("data:image/jpeg")]
    assert 0 < len(pictures) <= 12


def test_a_picture_that_is_gone_costs_only_its_thumbnail(
    data: LabelledSet, caplog: pytest.LogCaptureFixture
) -> None:
    for one in data.images:
        one.path.unlink()
    page = Page(report_html(content(data)))
    assert not any((one["src"] or "").startswith("data:image/jpeg") for one in page.images)
    assert "no thumbnail" in caplog.text


def test_names_cannot_break_the_page(data: LabelledSet) -> None:
    bad = "<script>alert(1)</script> & co"
    renamed = replace(
        data,
        classes=(bad, "malignant"),
        images=tuple(replace(one, case=f"{bad} {one.case}") for one in data.images),
        skipped=(Skipped(Path("a<b.png"), "not <an> image"),),
    )
    html = report_html(content(renamed, settings={bad: bad}, notices=(bad,)))
    assert "<script>" not in html
    assert "not <an> image" in Page(html).text


def test_scales_controls_and_optimistic_figures_are_shown_when_given(data: LabelledSet) -> None:
    some = Estimate(0.75, 0.5, 0.9)
    names = ("auc", "accuracy", "patient_recognition_rate")
    figures = dict.fromkeys(names, some)
    plain = content(data)
    rates = plain.summary.magnifications
    better = dict.fromkeys(names, Estimate(0.031, -0.01, 0.07))
    rows = [
        LossComparisonRow("none", "cross-entropy", figures, None, rates, rates),
        LossComparisonRow("triplet", "focal", figures, better, rates, rates),
    ]
    empty = ScalePoint(0.5, math.nan, math.nan, math.nan, 0, 0)
    told = replace(
        plain,
        scale_curve=[ScalePoint(0.25, 0.8125, 0.7, 0.9, 20, 5), empty],
        loss_comparison=rows,
        selected_on_test=plain.summary,
    )
    text = Page(report_html(told)).text
    for words in (
        "Scale",
        "0.812 (0.700 to 0.900)",
        "+0.031 (-0.010 to +0.070)",
        "reference",
        "optimistic",
        "88.64",
        "Patient recognition rate, %: weights chosen on validation cases",
        "88.40 ± 4.17",
    ):
        assert words in text
        assert words not in Page(report_html(plain)).text


def test_one_class_and_no_mistake_still_make_a_page(tmp_path: Path) -> None:
    data = labelled_set([image(str(i), 1, f"{i}.png") for i in range(4)])
    held_out = HeldOutPredictions.from_fold(range(4), torch.tensor([[0.0, 3.0]] * 4))
    told = ReportContent("t", "h", held_out, data, summarise(held_out, data))
    text = Page(report_html(told)).text
    assert "There is no AUC: each class needs 10 images of 2 cases; benign lacks 10" in text
    assert "No image was called wrong" in text


def test_several_classes_make_a_page() -> None:
    data = random_set(12, classes=4)
    held_out = random_held_out(data, skill=9)
    page = Page(report_html(ReportContent("t", "h", held_out, data, summarise(held_out, data))))
    assert len(page.images) >= 3


def test_the_roc_curve_encloses_the_auc() -> None:
    data = random_set(30, images=12)
    held_out = random_held_out(data)
    judged = predictions_from_held_out(held_out, data)
    curve = roc_curves(judged, 1, np.ones((1, len(judged))))[0]
    auc = summarise(held_out, data, draws=2).estimates["auc"].value
    assert np.trapezoid(curve, dx=0.01) == pytest.approx(auc, abs=0.01)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == 1


def test_doubling_a_case_is_the_same_as_its_being_there_twice() -> None:
    data = random_set(12)
    held_out = random_held_out(data)
    judged = predictions_from_held_out(held_out, data)
    twice = np.where(judged.cases == 3, 2.0, 1.0)[None]
    rows = np.r_[np.arange(len(judged)), np.flatnonzero(judged.cases == 3)]
    there = replace(
        judged,
        **{
            name: getattr(judged, name)[rows]
            for name in ("probabilities", "labels", "cases", "strata", "repeats")
        },
    )
    assert roc_curves(judged, 1, twice) == pytest.approx(
        roc_curves(there, 1, np.ones((1, len(rows))))
    )
