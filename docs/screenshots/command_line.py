"""Make the picture of the command line: what the shell writes of the sample slide.

.venv/bin/python -m docs.screenshots.command_line
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from docs.screenshots.viewer import SAMPLE, WINDOW, main, save


def shell(images: Path) -> None:
    """The heat map that the shell writes."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        command = Path(sys.executable).with_name("napari-smse")
        scales = ("--mpp", "0.5", "--mpp", "0.25")
        subprocess.run([command, "score", SAMPLE, "--out", folder, *scales], check=True)
        with Image.open(Path(folder) / SAMPLE.stem / "heatmap.png") as picture:
            picture.thumbnail(WINDOW)
            save(picture, images / "heatmap.png")


if __name__ == "__main__":
    main(__doc__, shell)
