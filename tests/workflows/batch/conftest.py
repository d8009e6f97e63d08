"""Runs over many slides, whose maps are not looked at."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_drawn(maps_not_drawn: None) -> None:
    """Draw no maps."""
