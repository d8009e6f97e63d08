"""Many scored slides on one HTML page: pictures, shares, and how scores compare with labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from napari_smse.html_page import NOTICE, bullets, figure, html_page, image
from napari_smse.metrics.estimate import Estimate, counted
from napari_smse.results.report.content import AREA_NOTE, area_text, share_text
from napari_smse.results.slide_summary import SlideSummary
from napari_smse.scoring.calls import INDETERMINATE, OUT_OF_DISTRIBUTION

SCORE_NOTE: Final = (
    "The score of a slide is the mean P({class_name}) over its tissue that is not out of "
    "distribution, weighted by area: of the multi-scale mean, or of the only scale. That of a case "
    "is the highest of its slides."
)
SCORED: Final = "scored"
IN_PART: Final = "scored in part: the time was up"
_STYLE: Final = """<style>
body { max-width: 84rem; } td img { max-width: 7rem; max-height: 8rem; display: block; }
th, td { overflow-wrap: break-word; min-width: 4.5rem; } th.n { white-space: normal; }
th[data-sort] { cursor: pointer; } th[data-sort]::after { content: " ↕"; color: #999; }
</style>"""
# Sorting is an extra: without scripts the page shows the same, in the order it was written.
_SCRIPT: Final = """<script>
document.querySelectorAll("th[data-sort]").forEach(function (head) {
  head.addEventListener("click", function () {
    var body = head.closest("table").tBodies[0], at = head.cellIndex;
    var up = head.dataset.sort !== "up"; head.dataset.sort = up ? "up" : "down";
    Array.from(body.rows).sort(function (a, b) {
      var x = a.cells[at].dataset.value, y = b.cells[at].dataset.value;
      var n = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
      var order = n ? x - y : x.localeCompare(y);
      return up ? order : -order;
    }).forEach(function (row) { body.appendChild(row); });
  });
});
</script>"""


@dataclass(frozen=True)
class CohortSlide:
    """A slide of a cohort.

    Attributes
    ----------
    name, case
        What it is called, and the case it is of.
    model
        Name and version, and what else gave the probabilities; empty if it was not scored.
    model_key
        What tells models apart: the hash of the weights, and what gave the probabilities.
    summary
        What was called; None if there is nothing to say.
    state
        How far it was scored, in a few words.
    picture
        A small JPEG file; empty if there is none.
    report
        Link to its report; empty if there is none.
    problem
        Why there is nothing to say.
    trained_on
        Whether the model learnt from the slide, or from its case.
    """

    name: str
    case: str
    model: str = ""
    model_key: str = ""
    summary: SlideSummary | None = None
    state: str = SCORED
    picture: bytes = b""
    report: str = ""
    problem: str = ""
    trained_on: bool = False

    @property
    def scales(self) -> str:
        """At which scales its leading numbers are; empty if it was not scored."""
        leading = None if self.summary is None else self.summary.leading
        return "" if leading is None else leading.title

    @property
    def score(self) -> float | None:
        """Mean probability, as `SCORE_NOTE` says; None if no tissue gives one."""
        leading = None if self.summary is None else self.summary.leading
        # At a scale that the model was not trained at, a probability means nothing.
        if leading is None or not leading.in_range or not self.has_classes:
            return None
        return leading.mean_probability

    @property
    def has_classes(self) -> bool:
        """Whether its model tells tiles apart by class, rather than embedding them alone."""
        return self.summary is not None and len(self.summary.rule.classes) > 1


@dataclass(frozen=True)
class CohortComparison:
    """How the scores of a model compare with the labels of cases.

    Attributes
    ----------
    auc
        With its interval, or why there is none.
    negative, positive
        Number of cases of either kind.
    roc
        An SVG file; empty if there is no curve.
    notes
        What was left out, and why, one line each.
    """

    auc: Estimate
    negative: int
    positive: int
    roc: bytes = b""
    notes: tuple[str, ...] = ()

    def describe(self, class_name: str) -> str:
        """Return the AUC of the class that is looked for, or why there is none."""
        numbers = (
            f"{counted(self.positive, 'cases')} labelled {class_name} and "
            f"{self.negative} labelled otherwise"
        )
        if self.auc.value is None:
            return f"There is no AUC of {numbers}: {self.auc.reason}."
        interval = f" (95 % interval {self.auc.low:.3f} to {self.auc.high:.3f})"
        return f"AUC {self.auc.value:.3f}{interval}, of {numbers}."


@dataclass(frozen=True)
class CohortGroup:
    """The slides that one model scored.

    Attributes
    ----------
    model, class_name
        Name and version, and the class that is looked for.
    slides
        The highest score first.
    comparison
        With labels; None if there are none.
    """

    model: str
    class_name: str
    slides: tuple[CohortSlide, ...]
    comparison: CohortComparison | None = None

    @property
    def has_classes(self) -> bool:
        """Whether the model tells tiles apart by class, rather than embedding them alone."""
        return any(slide.has_classes for slide in self.slides)


@dataclass(frozen=True)
class Cohort:
    """Many slides, by the model that scored them.

    Attributes
    ----------
    title
        First line of the page.
    groups
        One a model.
    unscored
        Slides without a result, each with the reason.
    labels
        Labels by case; empty if none were given.
    warnings
        What a reader must know, one line each.
    """

    title: str
    groups: tuple[CohortGroup, ...]
    unscored: tuple[CohortSlide, ...] = ()
    labels: dict[str, str] | None = None
    warnings: tuple[str, ...] = ()


def cohort_html(cohort: Cohort) -> str:
    """Return a cohort as a page that needs nothing else."""
    return html_page(cohort.title, _parts(cohort), more=_STYLE)


def _parts(cohort: Cohort) -> Iterator[str]:
    slides = [slide for group in cohort.groups for slide in group.slides]
    cases = {slide.case for slide in (*slides, *cohort.unscored)}
    yield (
        f'<p class="headline">{counted(len(slides), "slides")} scored, of '
        f"{counted(len(slides) + len(cohort.unscored), 'slides')} of "
        f"{counted(len(cases), 'cases')}.</p>"
    )
    warnings = list(cohort.warnings)
    if len(cohort.groups) > 1:
        models = ", ".join(group.model for group in cohort.groups)
        warnings.insert(
            0,
            f"The slides were scored by {len(cohort.groups)} models ({models}): their scores do "
            "not compare, and each model stands for itself below.",
        )
    yield bullets(warnings)
    for group in cohort.groups:
        yield from _group(group, cohort.labels or {})
    if cohort.unscored:
        yield f"<h2>Without a result</h2>{_unscored(cohort.unscored)}"
    yield f'<p class="small">{escape(AREA_NOTE)}</p><p>{NOTICE}</p>{_SCRIPT}'


def _group(group: CohortGroup, labels: dict[str, str]) -> Iterator[str]:
    yield f"<h2>Scored by {escape(group.model)}: {counted(len(group.slides), 'slides')}</h2>"
    scales = [one for one in dict.fromkeys(slide.scales for slide in group.slides) if one]
    if len(scales) > 1:
        text = f"The slides were scored at different scales ({'; '.join(scales)}): their scores "
        yield f'<p class="notice">{escape(text)}compare badly.</p>'
    if group.comparison is not None:
        yield from _comparison(group.comparison, group.class_name)
    yield _table(group, labels)
    if group.has_classes:
        yield f'<p class="small">{escape(SCORE_NOTE.format(class_name=group.class_name))}</p>'
    else:
        yield '<p class="small">The model knows no classes: tissue is embedded, and not scored.</p>'


def _comparison(comparison: CohortComparison, class_name: str) -> Iterator[str]:
    yield f"<p><b>{escape(comparison.describe(class_name))}</b></p>"
    yield bullets(comparison.notes)
    if comparison.roc:
        caption = "ROC curve of the cases; the band is from drawing cases with replacement."
        yield f'<div class="plots">{figure(comparison.roc, "svg+xml", caption)}</div>'


def _table(group: CohortGroup, labels: dict[str, str]) -> str:
    class_name = group.class_name
    rule = next(slide.summary.rule for slide in group.slides if slide.summary is not None)
    others = [name for name in rule.classes if name != class_name]
    calls = [class_name, *others, INDETERMINATE, OUT_OF_DISTRIBUTION] if group.has_classes else []
    mean = [f"mean P({class_name})"] if group.has_classes else []
    heads = ["slide", "case", "state", *(["label"] if labels else []), *mean, *calls]
    numbers = range(len(heads) - len(calls) - len(mean), len(heads))
    top = "".join(
        f'<th data-sort="" class="{"n" if at in numbers else ""}">{escape(head)}</th>'
        for at, head in enumerate(heads)
    )
    rows = "".join(_row(slide, calls, labels) for slide in group.slides)
    return (
        f"<table><thead><tr><th></th>{top}<th>report</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(slide: CohortSlide, calls: Sequence[str], labels: dict[str, str]) -> str:
    picture = image(slide.picture, "jpeg", slide.name) if slide.picture else ""
    cells = [_cell(slide.name, slide.name), _cell(slide.case, slide.case)]
    known = "; the model was trained on it" if slide.trained_on else ""
    state = f"{slide.state}{known}"
    cells.append(_cell(state, state, note=slide.scales))
    if labels:
        label = labels.get(slide.case, "")
        cells.append(_cell(label or "none", label))
    if calls:
        score = slide.score
        text = "-" if score is None else f"{score:.2f}"
        cells.append(_cell(text, "" if score is None else f"{score:.6f}", number=True))
    leading = None if slide.summary is None else slide.summary.leading
    for name in calls:
        if leading is None:
            cells.append(_cell("-", "", number=True))
            continue
        area = leading.area_of(name)
        shown, note = share_text(area.share), area_text(area.mm2)
        cells.append(_cell(shown, f"{area.share:.6f}", note=note, number=True))
    link = f'<a href="{escape(slide.report)}">report</a>' if slide.report else "none"
    return f"<tr><td>{picture}</td>{''.join(cells)}<td>{link}</td></tr>"


def _cell(text: str, value: str, *, note: str = "", number: bool = False) -> str:
    kind = ' class="n"' if number else ""
    more = f'<br><span class="small">{escape(note)}</span>' if note else ""
    return f'<td{kind} data-value="{escape(value)}">{escape(text)}{more}</td>'


def _unscored(slides: Sequence[CohortSlide]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td>{escape(one.case)}</td>"
        f"<td>{escape(one.problem)}</td></tr>"
        for one in slides
    )
    head = "<th>slide</th><th>case</th><th>why</th>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
