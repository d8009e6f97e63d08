"""Shows the notebooks in docs/tutorials as pages: text, code and what came out, as saved.

Nothing is run here; the tests run the notebooks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "tutorials"
ORDER: Final = ("score", "fine_tune", "search_slides")
INDEX: Final = f"{FOLDER}/index"
MARK: Final = "<!-- the notebooks -->"
DOCS: Final = Path(__file__).parents[1]
_COLOURED: Final = re.compile(r"\x1b\[[0-9;]*m")


def filled(page: str, source: str) -> str:
    """Make Markdown of a page that is a notebook, and list them where a page asks for that."""
    if page == INDEX:
        listed = "\n".join(f"- [](/{name})" for name in pages())
        return source.replace(MARK, listed or "There are none in this version.")
    return as_markdown(source) if page in pages() else source


def pages() -> list[str]:
    """Return the pages that are notebooks, those to begin with first."""
    known = {name: place for place, name in enumerate(ORDER)}
    names = sorted(path.stem for path in (DOCS / FOLDER).glob("*.ipynb"))
    return [f"{FOLDER}/{name}" for name in sorted(names, key=lambda n: known.get(n, len(known)))]


def as_markdown(notebook: str) -> str:
    """Return a notebook as Markdown: pictures become part of the page."""
    cells = json.loads(notebook)["cells"]
    return "\n\n".join(part for cell in cells for part in _cell(cell))


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = _text(cell["source"]).strip()
    if not source:
        return
    if cell["cell_type"] != "code":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell.get("outputs", []):
        yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        yield f"![What the cell shows](data:image/png;base64,{_text(data['image/png']).strip()})"
        return
    told = _text(output.get("text") or data.get("text/plain", "")).rstrip()
    if told:
        yield f"```text\n{_COLOURED.sub('', told)}\n```"


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)
