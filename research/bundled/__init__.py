"""The bundled model: its training sources, training, card, and what lies beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).with_name("sources.toml")
"""What the model learns from; folders are relative to the data folder."""

MORE_SOURCES: Final = Path(__file__).with_name("more_sources.toml")
"""What it has not learnt from yet."""
