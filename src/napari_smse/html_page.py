"""Pages of HTML that need nothing else: one style, tables, and pictures inside the file.

All text is escaped here, so that no name of a slide or a case is ever markup.
"""

from __future__ import annotations

import base64
from collections.abc import Container, Iterable, Sequence
from html import escape
from typing import Final

NOTICE: Final = "Research use only. Not a medical device, not for diagnosis."
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d1d1d; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
h1, h2, h3 { overflow-wrap: anywhere; }
.notice { border-left: 4px solid #c75a00; background: #fdf3ea; padding: .5rem .9rem; }
.headline { font-size: 1.1rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd;
  vertical-align: top; } th { border-bottom: 2px solid #888; } td { overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.all td { font-weight: 600; } tr.wrong td { background: #fdf3ea; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
.plots figure { flex: 1 1 18rem; max-width: 30rem; } .plots img { width: 100%; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr));
  gap: 1rem; } .images img { width: 100%; border: 1px solid #ccc; }
.wide img { width: 100%; }
figcaption, .small { font-size: .85rem; color: #444; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; font-size: 11px; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


def html_page(title: str, sections: Iterable[str], *, more: str = "") -> str:
    """Return a page with its title and the notice on top.

    Parameters
    ----------
    title
        As text; it is escaped.
    sections
        HTML, one below the other.
    more
        HTML for the end of the page's head, such as further style.
    """
    name = escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style>{more}</head><body>"
        f'<h1>{name}</h1><p class="notice">{NOTICE}</p>' + "\n".join(sections) + "</body></html>\n"
    )


def bullets(lines: Iterable[str]) -> str:
    """Return the lines as a list, nothing if there are none."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def table(
    head: Sequence[str],
    rows: Iterable[tuple[str, Sequence[str]]],
    numbers: Container[int] = range(1, 99),
) -> str:
    """Build a table; the columns in `numbers` are numbers, each row has a CSS class."""
    kinds = ['class="n"' if column in numbers else "" for column in range(len(head))]
    top = "".join(f"<th {kind}>{escape(cell)}</th>" for kind, cell in zip(kinds, head, strict=True))
    body = "".join(
        f'<tr class="{name}">'
        + "".join(f"<td {k}>{escape(cell)}</td>" for k, cell in zip(kinds, cells, strict=True))
        + "</tr>"
        for name, cells in rows
    )
    top_row = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f"<table>{top_row}<tbody>{body}</tbody></table>"


def image(blob: bytes, kind: str, alt: str) -> str:
    """Return a picture that lies in the page itself; `kind` is ``png``, ``jpeg``, ``svg+xml``."""
    code = base64.b64encode(blob).decode()
    return f'<img src="data:image/{kind};base64,{code}" alt="{escape(alt)}">'


def figure(blob: bytes, kind: str, caption: str) -> str:
    """Return a picture with its caption, which stands for it where it cannot be seen."""
    words = escape(caption)
    return f"<figure>{image(blob, kind, caption)}<figcaption>{words}</figcaption></figure>"
