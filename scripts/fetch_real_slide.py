"""Fetch a small real slide for the demo, and print where it lies; or say why not.

    .venv/bin/python scripts/fetch_real_slide.py FOLDER

CMU-1-Small-Region (skin, H&E, 20x, 2 MB) is of OpenSlide's test data and in the public domain
(CC0). Nothing but the demo asks for it. It exits with 1 where the slide cannot be had.
"""

from __future__ import annotations

import hashlib
import sys
import urllib.request
from pathlib import Path

NAME = "CMU-1-Small-Region.svs"
ADDRESS = f"https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/{NAME}"
SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
TIMEOUT_S = 15.0


def main() -> None:
    """Fetch, check, and print the path."""
    path = Path(sys.argv[1]) / NAME
    try:
        fetch(path)
    except (OSError, ValueError) as error:
        sys.exit(f"The real slide could not be fetched ({error}); the demo goes on without it.")
    print(path)


def fetch(path: Path, address: str = ADDRESS, sha256: str = SHA256) -> None:
    """Fetch a file unless it is there; it appears whole, or not at all.

    Raises
    ------
    OSError
        There is no network, or the folder cannot be written.
    ValueError
        What was fetched is another file.
    """
    if path.is_file() and digest(path.read_bytes()) == sha256:
        return
    with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
        content = answer.read()
    if digest(content) != sha256:
        raise ValueError(f"{address} holds another file than it did")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
