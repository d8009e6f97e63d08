"""An evaluation or a cross-validation as one HTML page that needs nothing else."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from napari_smse.atomic_write import write_atomic
from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.pixels import read_pixels
from napari_smse.errors import SmseError
from napari_smse.evaluation.loss_comparison import LossComparisonRow
from napari_smse.evaluation.report import plots
from napari_smse.evaluation.report.tables import (
    case_table,
    loss_comparison_tables,
    magnification_tables,
    metric_table,
    selected_on_test_tables,
    shown,
)
from napari_smse.evaluation.scale_curve import ScalePoint
from napari_smse.html_page import NOTICE, bullets, figure, html_page, image, table
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.per_case import (
    ImageResult,
    case_results,
    image_results,
    worst_images,
)
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import Summary, predictions_from_held_out
from napari_smse.slides.identity import path_text

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportContent:
    """Content of a report.

    Attributes
    ----------
    title
        First line.
    method
        How the metrics were measured, in a sentence or two.
    held_out, labelled_set, summary
        Predictions, the images, and their metrics.
    settings
        Settings of the run, in the order to show them.
    notices
        Warnings for the reader: partial lists, skipped files, scales out of range.
    scale_curve
        The AUC at several scales, or nothing.
    loss_comparison
        Rows of the table of losses, or nothing.
    selected_on_test
        Metrics of the weights that are best on the test side itself, or none.
    """

    title: str
    method: str
    held_out: HeldOutPredictions
    labelled_set: LabelledSet
    summary: Summary
    settings: Mapping[str, str] = field(default_factory=dict)
    notices: Sequence[str] = ()
    scale_curve: Sequence[ScalePoint] = ()
    loss_comparison: Sequence[LossComparisonRow] = ()
    selected_on_test: Summary | None = None


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report as one file: pictures are inside, and it links to nothing.

    Raises
    ------
    OSError
        It cannot be written.
    """
    write_atomic(path, report_html(content).encode())


def report_html(content: ReportContent) -> str:
    """Return the report as HTML."""
    results = image_results(content.held_out, content.labelled_set)
    sections = [
        _opening(content),
        metric_table(content.summary),
        *magnification_tables(content.summary, "By magnification"),
        *selected_on_test_tables(content.selected_on_test),
        _plots(content, results),
        *_scale(content.scale_curve),
        *loss_comparison_tables(content.loss_comparison),
        _wrong(content, results),
        case_table(case_results(results), content.labelled_set.classes),
        _settings(content),
    ]
    return html_page(content.title, sections)


def _opening(content: ReportContent) -> str:
    summary, auc = content.summary, content.summary.estimates["auc"]
    number = f"{summary.images:,} images of {summary.cases:,} cases"
    if auc.value is None:
        headline = f"{number}. There is no AUC: {auc.reason}."
    else:
        headline = f"{number}: AUC {shown(auc)}."
    notices = bullets(content.notices)
    return f'<p class="headline">{headline}</p><p>{escape(content.method)}</p>{notices}'


def _plots(content: ReportContent, results: Sequence[ImageResult]) -> str:
    classes = content.labelled_set.classes
    arrays = predictions_from_held_out(content.held_out, content.labelled_set)
    truth = np.array([result.image.label for result in results])
    called = np.array([result.called for result in results])
    roc = plots.roc_plot(arrays, classes)
    shown = [
        _plot(roc, "ROC curve: what is found, against what is falsely called.") if roc else "",
        _plot(
            plots.confusion_plot(truth, called, classes),
            "Images by true class and class called.",
        ),
        _plot(
            plots.reliability_plot(arrays, classes),
            "Reliability: on the dotted line, probabilities are what is observed.",
        ),
    ]
    return f'<h2>Plots</h2><div class="plots">{"".join(shown)}</div>'


def _plot(svg: bytes, caption: str) -> str:
    return figure(svg, "svg+xml", caption)


def _scale(points: Sequence[ScalePoint]) -> Iterator[str]:
    if points:
        curve = [(point.mpp, _estimate(point)) for point in points]
        rows = [
            ("", (f"{point.mpp:.2f}", shown(auc), str(point.images), str(point.cases)))
            for point, (_, auc) in zip(points, curve, strict=True)
        ]
        plot = _plot(plots.scale_plot(curve), "AUC when images are judged at one scale.")
        head = ("µm/px", "AUC", "images", "cases")
        yield (
            f"<h2>Scale</h2>{plot}{table(head, rows)}"
            '<p class="small">At each scale, the images whose pixels support it.</p>'
        )


def _estimate(point: ScalePoint) -> Estimate:
    value, low, high = (
        None if math.isnan(bound) else bound for bound in (point.auc, point.low, point.high)
    )
    return Estimate(value, low, high, point.images, point.cases, point.reason)


def _wrong(content: ReportContent, results: Sequence[ImageResult]) -> str:
    wrong = worst_images(results)
    if not wrong:
        return "<h2>Most wrong images</h2><p>No image was called wrong.</p>"
    cards = "".join(_card(result, content.labelled_set.classes) for result in wrong)
    return (
        "<h2>Most wrong images</h2><p>Those whose true class got the least probability, at most "
        "two of a case. Worth a look: is it the network or the label?</p>"
        f'<div class="images">{cards}</div>'
    )


def _card(result: ImageResult, classes: Sequence[str]) -> str:
    name = path_text(result.image.path.name)
    try:
        picture = image(plots.thumbnail(read_pixels(result.image)), "jpeg", name)
    except (SmseError, OSError) as error:
        _log.warning("%s has no thumbnail in the report: %s", name, error)
        picture = ""
    caption = (
        f"<b>{escape(classes[result.image.label])}</b>, called {escape(classes[result.called])} "
        f"({result.probabilities[result.called]:.2f})<br>{escape(result.image.case)}"
        f" {escape(result.image.magnification)}<br>{escape(name)}"
    )
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _settings(content: ReportContent) -> str:
    rows = [("", (name, value)) for name, value in content.settings.items()]
    skipped = bullets(f"{file.path}: {file.reason}" for file in content.labelled_set.skipped[:200])
    number = len(content.labelled_set.skipped)
    unused = f"<h2>Files not used ({number})</h2>{skipped}" if number else ""
    return f"<h2>Settings</h2>{table(('', ''), rows, numbers=())}{unused}<p>{NOTICE}</p>"
