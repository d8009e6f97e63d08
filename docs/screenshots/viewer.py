"""What the scripts of all pages share: a real viewer on the sample slide, and pictures of it."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from napari_smse.widgets.annotate.dock import AnnotateDock
    from napari_smse.widgets.score.dock import ScoreDock

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
SAMPLE = ROOT / "sample_data" / "sample_slide.tif"
WINDOW = (1500, 950)
MOST_BYTES = 400_000


def main(page: str, *shots: Callable[[Path], None]) -> None:
    """Make the pictures of a page that the command line names, or all of them.

    They are made in a cache of their own, so that no earlier run is found.

    Parameters
    ----------
    page
        What the script is for.
    shots
        Each writes its pictures into the folder it is given.
    """
    named = {shot.__name__: shot for shot in shots}
    parser = argparse.ArgumentParser(description=page.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(named)}; all by default")
    parser.add_argument("--out", type=Path, default=IMAGES, help="the folder for the pictures")
    options = parser.parse_args()
    if strange := sorted(set(options.names) - set(named)):
        parser.error(f"there is no {', '.join(strange)}")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_DATA_HOME"] = cache
        for name in options.names or named:
            named[name](options.out)


class Stage:
    """A napari window with the Score dock beside a slide.

    Parameters
    ----------
    images
        The folder for pictures.
    slide
        The slide to open; none for an empty viewer.
    size
        Width and height of the window, px.
    """

    def __init__(
        self, images: Path, slide: Path | None = SAMPLE, size: tuple[int, int] = WINDOW
    ) -> None:
        import napari

        self.images = images
        self.viewer: napari.Viewer = napari.Viewer()
        self.viewer.window.resize(*size)
        if slide is not None:
            self.viewer.open(slide, plugin="napari-smse")
        widget = self.viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Score slide")[1]
        self.dock: ScoreDock = widget
        self.live()
        self.viewer.reset_view()
        self.until(self._ready)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.dock.release()
        self.viewer.close()
        self.live()

    def live(self, seconds: float = 0.4) -> None:
        """Let the viewer draw and answer for a while."""
        from qtpy.QtTest import QTest

        QTest.qWait(round(seconds * 1000))

    def until(self, holds: Callable[[], bool], seconds: float = 300.0) -> None:
        """Let the viewer live until something holds."""
        for _ in range(round(seconds / 0.02)):
            if holds():
                return
            self.live(0.02)
        raise TimeoutError(f"waited {seconds:g} s in vain")

    def tick(self, *mpps: float) -> None:
        """Tick these scales and no other."""
        from qtpy.QtCore import Qt

        scales = self.dock.form.scales
        for row in range(scales.count()):
            item = scales.item(row)
            ticked = item.data(Qt.ItemDataRole.UserRole) in mpps
            item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        self.live(0.5)
        self.until(self._ready)

    def run(self) -> None:
        """Run to the end and let all maps arrive."""
        self.dock.run()
        self.until(lambda: not self.dock.scoring.is_running)
        self.live(2)

    def shoot(self, name: str) -> None:
        """Write a picture of the whole window."""
        from PIL import Image

        self.live()
        picture = Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False))
        save(picture, self.images / f"{name}.png")

    def point_at(self, across: float, down: float) -> None:
        """Move the mouse to a place on the canvas, given as shares of it."""
        from qtpy.QtCore import QPoint
        from qtpy.QtTest import QTest

        canvas = self.viewer.window._qt_viewer.canvas.native
        place = QPoint(round(across * canvas.width()), round(down * canvas.height()))
        for step in (QPoint(9, 9), QPoint(0, 0)):
            QTest.mouseMove(canvas, place - step)
            self.live()

    def _ready(self) -> bool:
        return "Counting" not in self.dock.panel.count.text()


def save(picture: object, path: Path) -> None:
    """Write a PNG of at most 256 colours, small enough for a README."""
    few = picture.convert("RGB").quantize(256, method=2, dither=0)
    few.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES} bytes: show less")
    print(f"{path}: {path.stat().st_size // 1000} kB")


def draw_regions(dock: AnnotateDock) -> None:
    """Draw two regions of either class."""
    import numpy as np

    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    wave = 1 + 0.15 * np.sin(3 * angle)
    outline = np.stack([np.sin(angle) * wave, np.cos(angle) * wave], axis=1) * 420
    dock.modes["Freehand"].click()
    for row, places in enumerate((((1200, 1300), (1900, 2300)), ((4200, 1100), (4900, 1900)))):
        dock.table.choose(row)
        for x, y in places:
            dock.drawing.layer.selected_data = set()
            dock.drawing.layer.add(np.add(outline, (y, x)), shape_type="polygon")
