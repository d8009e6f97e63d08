"""JSON files of ours, edited by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_smse.checksum import CHECKSUM


def facts_of(content: str | bytes) -> dict[str, Any]:
    """What a file says, but for its checksum, which who edits it has to remove."""
    facts: dict[str, Any] = json.loads(content)
    facts.pop(CHECKSUM)
    return facts


def edit_json(path: Path, **changes: Any) -> None:
    """Change what a file says, and remove its checksum."""
    path.write_text(json.dumps(facts_of(path.read_bytes()) | changes), encoding="utf-8")
