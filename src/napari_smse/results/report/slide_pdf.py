"""A report of a slide as PDF, in A4."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_smse.html_page import NOTICE
from napari_smse.results.report.content import (
    AREA_NOTE,
    CallRow,
    CardExcerpt,
    ScaleSection,
    SlideReport,
)
from napari_smse.results.report.pictures import as_jpeg

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

_FONT, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
# Fonts that every PDF reader brings along, by the first and last letter that each is for.
_EAST_ASIAN: Final = (
    ("HYSMyeongJo-Medium", 0xAC00, 0xD7AF),
    ("HeiseiMin-W3", 0x3040, 0x30FF),
    ("STSong-Light", 0x2E80, 0x9FFF),
)
_MARGIN: Final = 48.0
_WIDTH: Final = 595.27 - 2 * _MARGIN  # of the text on A4, pt
_MAPS_HEIGHT: Final = 540.0
_SPOTS_PER_ROW: Final = 5
_GREY, _ORANGE = "#444444", "#c75a00"


def slide_pdf(report: SlideReport) -> bytes:
    """Return a report as a PDF file."""
    # A third of a second of importing that only this function needs.
    from reportlab.platypus import SimpleDocTemplate

    _register_fonts()
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=report.title,
        author="napari-smse",
        subject=NOTICE,
    )

    def draw_foot(canvas: Any, _document: Any) -> None:
        canvas.saveState()
        canvas.setFont(_BOLD, 7)
        canvas.drawString(_MARGIN, 26, NOTICE)
        canvas.setFont(_FONT, 7)
        canvas.drawRightString(_MARGIN + _WIDTH, 26, str(canvas.getPageNumber()))
        canvas.restoreState()

    document.build(list(_parts(report)), onFirstPage=draw_foot, onLaterPages=draw_foot)
    return buffer.getvalue()


def _parts(report: SlideReport) -> Iterator[Flowable]:
    yield _text(report.title, size=16, bold=True)
    yield _text(NOTICE, bold=True, colour=_ORANGE)
    yield _text(report.lead, size=10.5)
    yield from (_text(f"• {line}") for line in report.warnings)
    yield _text("Maps", size=12, bold=True, space=8)
    yield _picture(as_jpeg(report.maps), _WIDTH, _MAPS_HEIGHT)
    note = "Grey: no class is called. Grey stripes: out of distribution."
    yield _text(note, size=7.5, colour=_GREY)
    for section in report.scales:
        yield from _scale(section)
    yield _text(AREA_NOTE, size=7.5, colour=_GREY)
    yield from _card(report.card)
    yield _text("Provenance", size=12, bold=True, space=10)
    yield _table([list(row) for row in report.provenance], (120, _WIDTH - 120))


def _scale(section: ScaleSection) -> Iterator[Flowable]:
    from reportlab.platypus import KeepTogether

    yield KeepTogether(
        [
            _text(section.title, size=12, bold=True, space=10),
            _text(section.sentence),
            _calls(section.calls),
            _picture(section.histogram, 0.72 * _WIDTH, 200),
        ]
    )
    spots: list[Flowable] = [_text("Hottest spots", size=9.5, bold=True, space=4)]
    spots.append(_text(section.spots_note))
    if section.spots:
        width = _WIDTH / _SPOTS_PER_ROW
        pictures = [_picture(spot.picture, width - 6, width - 6) for spot in section.spots]
        captions = [_text(spot.caption, size=7, colour=_GREY) for spot in section.spots]
        empty = [""] * (_SPOTS_PER_ROW - len(pictures))
        rows: list[list[Any]] = [[*pictures, *empty], [*captions, *empty]]
        spots.append(_table(rows, [width] * _SPOTS_PER_ROW, lines=False))
    yield KeepTogether(spots)


def _calls(calls: Sequence[CallRow]) -> Flowable:
    head = [_text(cell, bold=True) for cell in ("", "called", "area", "share", "where")]
    body = [["", row.name, row.area, row.share, row.meaning] for row in calls]
    widths = (14, 105, 70, 62, _WIDTH - 251)
    return _table([head, *body], widths, swatches=[row.colour for row in calls])


def _card(card: CardExcerpt) -> Iterator[Flowable]:
    yield _text(f"Model: {card.model}", size=12, bold=True, space=10)
    rows = [[name, "\n".join(lines)] for name, lines in card.facts]
    yield _table(rows, (120, _WIDTH - 120))
    if card.figures:
        head = ("AUC on cases it never saw", "value (95 % interval)", "how it was measured")
        titles: list[Any] = [_text(cell, bold=True) for cell in head]
        figures = [list(row) for row in card.figures]
        yield _table([titles, *figures], (150, 100, _WIDTH - 250))
    yield _text(card.more)


def _text(
    text: str, *, size: float = 8.5, bold: bool = False, colour: str = "#1d1d1d", space: float = 0
) -> Flowable:
    """Return a paragraph; whatever the text holds, it is text."""
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    style = ParagraphStyle(
        "text",
        fontName=_BOLD if bold else _FONT,
        fontSize=size,
        leading=1.35 * size,
        textColor=colour,
        spaceBefore=space,
        spaceAfter=3,
        # A path or a hash has no spaces to break at.
        splitLongWords=1,
    )
    lines = "<br/>".join(_marked_up(line) for line in text.split("\n"))
    return Paragraph(lines, style)


def _picture(blob: bytes, width: float, height: float) -> Flowable:
    """Return a picture, as large as it may be."""
    from reportlab.lib.utils import ImageReader
    from reportlab.platypus import Image

    across, down = ImageReader(io.BytesIO(blob)).getSize()
    scale = min(width / across, height / down)
    return Image(io.BytesIO(blob), across * scale, down * scale, hAlign="LEFT")


def _table(
    rows: Sequence[Sequence[Any]],
    widths: Sequence[float],
    *,
    lines: bool = True,
    swatches: Sequence[tuple[int, int, int]] = (),
) -> Flowable:
    """Return a table of texts or of what is to stand in its cells."""
    from reportlab.lib.colors import Color, HexColor
    from reportlab.platypus import Table

    cells = [[_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    style: list[Any] = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 2)]
    style += [("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 1)]
    if lines:
        style.append(("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor("#dddddd")))
    for row, colour in enumerate(swatches, start=1):
        painted = Color(*(part / 255 for part in colour))
        style.append(("BACKGROUND", (0, row), (0, row), painted))
    return Table(cells, colWidths=list(widths), style=style, hAlign="LEFT", spaceAfter=4)


def _register_fonts() -> None:
    """Make known a font that has more than Western letters; matplotlib brings it along."""
    import matplotlib as mpl
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    known = set(pdfmetrics.getRegisteredFontNames())
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for name in (_FONT, _BOLD):
        if name not in known:
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    for name, _, _ in _EAST_ASIAN:
        if name not in known:
            pdfmetrics.registerFont(UnicodeCIDFont(name))


def _marked_up(text: str) -> str:
    """Return text as reportlab's markup, each letter in a font that has it, or as its number."""
    from reportlab.pdfbase import pdfmetrics

    letters = pdfmetrics.getFont(_FONT).face.charToGlyph
    parts = []
    for font, run in groupby(text, key=lambda letter: _font_of(letter, letters)):
        same = "".join(run)
        if font == _FONT:
            parts.append(escape(same))
        elif font:
            parts.append(f'<font name="{font}">{escape(same)}</font>')
        else:
            parts.append(escape(same.encode("ascii", "backslashreplace").decode()))
    return "".join(parts)


def _font_of(letter: str, known: dict[int, int]) -> str:
    """Return the font for a letter; nothing if none has it."""
    number = ord(letter)
    if number in known:
        return _FONT
    return next((font for font, low, high in _EAST_ASIAN if low <= number <= high), "")
