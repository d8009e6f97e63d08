"""Make the pictures of the documentation: the real dock in a real viewer, on the sample slide.

`make docs` makes all of them, where there is no screen in a virtual one;
`.venv/bin/python docs/screenshots.py result card` only some.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from napari_smse.widgets.annotate.dock import AnnotateDock
    from napari_smse.widgets.score.dock import ScoreDock

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
SAMPLE = HERE.parent / "sample_data" / "sample_slide.tif"
WINDOW = (1500, 950)
MOST_BYTES = 400_000


class Stage:
    """A napari window with the Score dock beside a slide.

    Parameters
    ----------
    slide
        The slide to open; none for an empty viewer.
    size
        Width and height of the window, px.
    """

    def __init__(self, slide: Path | None = SAMPLE, size: tuple[int, int] = WINDOW) -> None:
        import napari

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
        self.dock.leave()
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
        save(Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)), name)

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


def save(picture: object, name: str) -> None:
    """Write a PNG of at most 256 colours, small enough for a README."""
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.png"
    few = picture.convert("RGB").quantize(256, method=2, dither=0)
    few.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES} bytes: show less")
    print(f"{path.relative_to(HERE.parent)}: {path.stat().st_size // 1000} kB")


def result() -> None:
    """The fused map with a cursor on it, and a tile that was clicked in the table."""
    with Stage() as stage:
        stage.tick(0.25, 0.5)
        stage.run()
        stage.point_at(0.72, 0.42)
        stage.shoot("score_slide")
        stage.dock.table.selectRow(0)
        stage.live(1)
        stage.shoot("tile_table")


def before() -> None:
    """A slide just opened, and its tissue."""
    with Stage() as stage:
        stage.shoot("before_run")
        stage.dock.form.tissue.click()
        stage.shoot("tissue")


def running() -> None:
    """A map that fills in."""
    with Stage() as stage:
        stage.dock.form.overlap.setCurrentText("half")
        stage.tick(0.25, 0.5)
        stage.dock.run()
        stage.until(lambda: stage.dock.panel.bar.value() > 400)
        stage.shoot("running")
        stage.dock.cancel()
        stage.shoot("cancelled")


def warning() -> None:
    """What is said of a scale that the model was not trained on."""
    with Stage() as stage:
        stage.tick(0.5, 1.0)
        stage.run()
        stage.shoot("untrained_scale")


def missing_scale() -> None:
    """A slide that states no um/px."""
    import tifffile

    from napari_smse.slides import Region, open_slide

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide_without_scale.tif"
        with open_slide(SAMPLE) as slide:
            pixels = slide.read(Region(0, 0, slide.width, slide.height), 1.0)
        tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256))
        with Stage(path) as stage:
            stage.shoot("missing_scale")


def card() -> None:
    """The card of the bundled model."""
    from PIL import Image

    from napari_smse.models import read_card
    from napari_smse.widgets.controls.model_card_dialog import ModelCardDialog

    with Stage(None) as stage:
        dialog = ModelCardDialog(read_card(), stage.dock)
        dialog.show()
        stage.live()
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            dialog.grab().save(file.name)
            save(Image.open(file.name), "model_card")
        dialog.close()


def annotate() -> None:
    """Regions of two classes, drawn and counted."""
    with Stage() as stage:
        stage.dock.leave()
        stage.viewer.window.remove_dock_widget(stage.dock)
        dock = stage.viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Annotate")[1]
        stage.live()
        stage.viewer.reset_view()
        draw_regions(dock)
        stage.until(lambda: "take a class" in dock.note.text())
        stage.live()
        stage.shoot("annotate")
        dock.leave()


def fine_tune() -> None:
    """The bundled model tuned on four regions of the sample slide."""
    with Stage() as stage:
        stage.dock.form.overlap.setCurrentText("half")
        stage.tick(0.5)
        stage.run()
        window = stage.viewer.window
        drawing = window.add_plugin_dock_widget("napari-smse", "SMSE: Annotate", tabify=True)[1]
        tuning = window.add_plugin_dock_widget("napari-smse", "SMSE: Fine-tune", tabify=True)[1]
        draw_regions(drawing)
        tuning.panel.run.click()
        stage.until(lambda: tuning.result is not None and not tuning.learning.is_running)
        stage.live(1)
        stage.shoot("fine_tune")
        tuning.outcome.tabs.setCurrentWidget(tuning.outcome.triplets)
        stage.until(lambda: not tuning.outcome.triplets.pictures.task.is_running)
        tuning.outcome.triplets.table.setCurrentCell(0, 2)
        tuning._scroll.verticalScrollBar().setValue(10_000)
        stage.live(1)
        stage.shoot("hardest")
        for dock in (drawing, tuning):
            dock.leave()


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


def shell() -> None:
    """The picture that the shell writes."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        command = Path(sys.executable).with_name("napari-smse")
        scales = ("--mpp", "0.5", "--mpp", "0.25")
        subprocess.run([command, "score", SAMPLE, "--out", folder, *scales], check=True)
        with Image.open(Path(folder) / SAMPLE.stem / "heatmap.png") as picture:
            picture.thumbnail(WINDOW)
            save(picture, "heatmap")


SHOTS = {
    made.__name__: made
    for made in (before, result, running, warning, missing_scale, card, annotate, fine_tune, shell)
}


def main(names: Iterable[str]) -> None:
    """Make these pictures, or all; in a cache of their own, so that no earlier run is found."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_DATA_HOME"] = cache
        for name in names or SHOTS:
            SHOTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
