"""What napari-smse needs where there is no viewer, such as on a node of a cluster.

    python scripts/requirements.py > packaging/requirements-cluster.txt
    python scripts/requirements.py --extra cluster --extra remote    # with these extras, too
    python scripts/requirements.py --viewer                          # what was left out

Then: pip install -r packaging/requirements-cluster.txt, and pip install --no-deps napari-smse.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

PYPROJECT: Final = Path(__file__).resolve().parent.parent / "pyproject.toml"
VIEWER: Final = frozenset({"magicgui", "napari", "psygnal", "pyqtgraph", "qtpy", "superqt"})
"""Imported on the napari side only, as the contract `napari-side` holds."""

HEAD: Final = """\
# What napari-smse needs without napari and Qt; made from pyproject.toml by scripts/requirements.py.
#   pip install -r requirements-cluster.txt
#   pip install --no-deps napari-smse
"""


def main() -> None:
    """Print requirements, one a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extra", action="append", default=[], help="may be repeated")
    parser.add_argument("--viewer", action="store_true", help="names of what is left out")
    options = parser.parse_args()
    print(*sorted(VIEWER), sep="\n") if options.viewer else print(
        requirements(options.extra), end=""
    )


def requirements(extras: list[str]) -> str:
    """Return the text of a requirements file."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return HEAD + "".join(f"{line}\n" for line in without_viewer(project, extras))


def without_viewer(project: dict[str, Any], extras: list[str]) -> Iterator[str]:
    """Yield what is required, sorted; raises `SystemExit` at an extra that is not there."""
    known = project["optional-dependencies"]
    if unknown := set(extras) - known.keys():
        raise SystemExit(f"There is no extra {min(unknown)}: choose of {', '.join(sorted(known))}.")
    wanted = {*project["dependencies"], *(one for extra in extras for one in known[extra])}
    yield from sorted(one for one in wanted if package(one) not in VIEWER)


def package(requirement: str) -> str:
    """Return which package a requirement is of."""
    return re.split(r"[\s\[<>=!~;@]", requirement, maxsplit=1)[0].lower()


if __name__ == "__main__":
    main()
