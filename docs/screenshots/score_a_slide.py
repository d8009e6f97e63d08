"""Make the pictures of scoring a slide: the real dock in a real viewer, on the sample slide.

.venv/bin/python -m docs.screenshots.score_a_slide
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from docs.screenshots.viewer import ROOT, SAMPLE, Stage, main, save


def before(images: Path) -> None:
    """A slide just opened, and its tissue."""
    with Stage(images) as stage:
        stage.shoot("before_run")
        stage.dock.form.tissue.click()
        stage.shoot("tissue")


def result(images: Path) -> None:
    """The fused map with a cursor on it, and a tile that was clicked in the table."""
    with Stage(images) as stage:
        stage.tick(0.25, 0.5)
        stage.run()
        stage.point_at(0.72, 0.42)
        stage.shoot("score_slide")
        stage.dock.table.selectRow(0)
        stage.live(1)
        stage.shoot("tile_table")


def real_tissue(images: Path) -> None:
    """Real skin, benign (CC0, see the demo): what is not called, and why. Needs the test data."""
    slide = Path(os.environ.get("SMSE_TEST_DATA", ROOT.parent / "shared" / "data")) / "slides"
    with Stage(images, slide / "CMU-1-Small-Region.svs") as stage:
        stage.dock.form.options.choose(overlap=0.5)
        stage.tick(0.5)
        stage.run()
        stage.until(lambda: not stage.dock.live.ood.task.is_running)
        stage.live(2)
        stage.shoot("real_tissue")


def summary(images: Path) -> None:
    """What is called on real tissue, in numbers and pictures. Needs the test data."""
    from qtpy.QtWidgets import QScrollArea

    slide = Path(os.environ.get("SMSE_TEST_DATA", ROOT.parent / "shared" / "data")) / "slides"
    with Stage(images, slide / "CMU-1-Small-Region.svs") as stage:
        stage.tick(0.25, 0.5)
        stage.run()
        stage.until(lambda: not stage.dock.live.ood.task.is_running)
        stage.dock.controls.which.setCurrentText("P(malignant) 40x")
        stage.dock.tabs.setCurrentWidget(stage.dock.tabs.summary)
        stage.live(3)
        bar = stage.dock.findChild(QScrollArea).verticalScrollBar()
        bar.setValue(bar.maximum())
        stage.live(1)
        stage.shoot("summary")


def running(images: Path) -> None:
    """A map that fills in."""
    with Stage(images) as stage:
        stage.dock.form.options.choose(overlap=0.5)
        stage.tick(0.25, 0.5)
        stage.dock.run()
        stage.until(lambda: stage.dock.panel.bar.value() > 400)
        stage.shoot("running")
        stage.dock.cancel()
        stage.shoot("cancelled")


def warning(images: Path) -> None:
    """What is said of a scale that the model was not trained on."""
    with Stage(images) as stage:
        stage.tick(0.5, 1.0)
        stage.run()
        stage.shoot("untrained_scale")


def missing_scale(images: Path) -> None:
    """A slide that states no um/px."""
    import tifffile

    from napari_smse.slides import Region, open_slide

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide_without_scale.tif"
        with open_slide(SAMPLE) as slide:
            pixels = slide.read(Region(0, 0, slide.width, slide.height), 1.0)
        tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256))
        with Stage(images, path) as stage:
            stage.shoot("missing_scale")


def card(images: Path) -> None:
    """The card of the bundled model."""
    from PIL import Image

    from napari_smse.models import read_card
    from napari_smse.widgets.controls.model_card_dialog import ModelCardDialog

    with Stage(images, None) as stage:
        dialog = ModelCardDialog(read_card(), stage.dock)
        dialog.show()
        stage.live()
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            dialog.grab().save(file.name)
            save(Image.open(file.name), images / "model_card.png")
        dialog.close()


if __name__ == "__main__":
    main(__doc__, before, result, real_tissue, summary, running, warning, missing_scale, card)
