"""What several tests share: slides, models, docks and data that are made for them."""

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]
"""The folder of all tests, from which a script of its own imports what they share."""

ROOT: Final = TESTS.parent
"""The folder of the project."""
