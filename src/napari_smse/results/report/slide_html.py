"""A report of a slide as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from napari_smse.html_page import NOTICE, bullets, figure, html_page, image, table
from napari_smse.results.report.content import (
    AREA_NOTE,
    CallRow,
    CardExcerpt,
    ScaleSection,
    SlideReport,
)

_STYLE: Final = """<style>
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .5em; }
.spots { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1rem; }
.spots img { width: 100%; } .histogram img { max-width: 36rem; width: 100%; }
dt { font-weight: 600; margin-top: .6rem; } dd { margin-left: 0; }
</style>"""


def slide_html(report: SlideReport) -> str:
    """Return a report as a page that needs nothing else."""
    return html_page(report.title, _parts(report), more=_STYLE)


def _parts(report: SlideReport) -> Iterator[str]:
    yield f'<p class="headline">{escape(report.lead)}</p>'
    yield bullets(report.warnings)
    yield "<h2>Maps</h2>"
    caption = f"{report.slide} and its maps. Grey: no class is called. Grey stripes: out of "
    yield f'<div class="wide">{figure(report.maps, "png", f"{caption}distribution.")}</div>'
    for section in report.scales:
        yield from _scale(section)
    yield f'<p class="small">{escape(AREA_NOTE)}</p>'
    yield from _card(report.card)
    yield f"<h2>Provenance</h2>{table(('', ''), [('', row) for row in report.provenance], ())}"
    yield f"<p>{NOTICE}</p>"


def _scale(section: ScaleSection) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2><p>{escape(section.sentence)}</p>"
    yield _calls(section.calls)
    yield f'<div class="histogram">{image(section.histogram, "png", "Histogram")}</div>'
    yield f"<h3>Hottest spots</h3><p>{escape(section.spots_note)}</p>"
    spots = "".join(figure(spot.picture, "jpeg", spot.caption) for spot in section.spots)
    yield f'<div class="spots">{spots}</div>' if spots else ""


def _calls(calls: tuple[CallRow, ...]) -> str:
    rows = "".join(
        f'<tr><td><span class="swatch" style="background: rgb{row.colour}"></span>'
        f'{escape(row.name)}</td><td class="n">{row.area}</td><td class="n">{row.share}</td>'
        f"<td>{escape(row.meaning)}</td></tr>"
        for row in calls
    )
    head = '<th>called</th><th class="n">area</th><th class="n">share</th><th>where</th>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _card(card: CardExcerpt) -> Iterator[str]:
    yield f"<h2>Model: {escape(card.model)}</h2><dl>"
    for name, lines in card.facts:
        told = bullets(lines) if len(lines) > 1 else escape(lines[0])
        yield f"<dt>{escape(name)}</dt><dd>{told}</dd>"
    yield "</dl>"
    if card.figures:
        head = ("AUC on cases it never saw", "value (95 % interval)", "how it was measured")
        yield table(head, [("", row) for row in card.figures], numbers=(1,))
    yield f"<p>{escape(card.more)}</p>"
