"""What is seldom needed, folded away."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget
from superqt import QCollapsible


def folded(title: str, content: QWidget) -> QCollapsible:
    """Return a widget under a title that unfolds it."""
    made = QCollapsible(title, expandedIcon="▼", collapsedIcon="▶")
    made.layout().setContentsMargins(0, 0, 0, 0)
    made.setContent(content)
    # Only now: folding hides the content that is there.
    made.collapse(animate=False)
    return made
