"""Make the pictures of the page *Annotate next*: the real dock, the bundled model, two slides.

.venv/bin/python -m docs.screenshots.annotate_next
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from docs.screenshots.viewer import SAMPLE, Stage, draw_regions, main

if TYPE_CHECKING:
    from napari_smse.widgets.annotate.dock import AnnotateDock
    from napari_smse.widgets.suggest.dock import SuggestDock

_PALER = (0.35, 0.6, 0.75)
"""Exponents of red, green and blue: little haematoxylin."""


def next_tile(images: Path) -> None:
    """The queue, some of it labelled."""
    with _docks(images) as (stage, _, dock):
        dock.queue.count.value = 12
        dock.queue.find.click()
        stage.until(lambda: bool(dock.queue.tiles))
        stage.until(lambda: not dock.queue.pictures.task.is_running)
        for number in range(4):
            tile = dock.queue.tiles[number].tile
            # On the drawn slide, what is malignant lies on the right.
            key = int(tile.region.x > tile.slide.width // 2)
            if number == 2:
                dock.labelling.skip()
            else:
                dock.labelling.label(key)
            stage.live(0.2)
        stage.live(1)
        stage.shoot("annotate_next")


def efficiency(images: Path) -> None:
    """What labels are worth that were drawn on two slides, the second of them paler."""
    with tempfile.TemporaryDirectory() as folder, _docks(images, 0.25) as (stage, drawing, dock):
        draw_regions(drawing)
        _add_slide(stage, _paler(Path(folder) / "paler_slide.tif"), 0.25)
        drawing.slides.setCurrentIndex(1)
        stage.live(1)
        draw_regions(drawing)
        dock.efficiency.ask.click()
        stage.until(lambda: not dock.estimating.is_running)
        stage.live(1)
        stage.shoot("label_worth")


def doubts(images: Path) -> None:
    """A region of tumour that somebody drew as benign."""
    with _docks(images) as (stage, drawing, dock):
        draw_regions(drawing)
        drawing.table.choose(0)
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        outline = np.stack([np.sin(angle), np.cos(angle)], axis=1) * 300
        drawing.drawing.layer.selected_data = set()
        drawing.drawing.layer.add(np.add(outline, (2300, 4100)), shape_type="polygon")
        dock.tabs.setCurrentIndex(1)
        dock.label_issues.find.click()
        stage.until(lambda: not dock.doubting.is_running)
        stage.until(lambda: not dock.label_issues.pictures.task.is_running)
        dock.label_issues.list.setCurrentRow(0)
        stage.live(1)
        stage.shoot("doubtful_labels")


def batch_effect(images: Path) -> None:
    """Two slides, the second of them paler, as from another laboratory."""
    with tempfile.TemporaryDirectory() as folder, _docks(images) as (stage, _, dock):
        _add_slide(stage, _paler(Path(folder) / "paler_slide.tif"))
        dock.show_slides()
        dock.tabs.setCurrentIndex(2)
        dock.batch_effect.measure.click()
        stage.until(lambda: not dock.measuring.is_running)
        stage.live(1)
        stage.shoot("slide_effect")
        dock.batch_effect.stain.click()
        stage.until(lambda: not dock.staining.is_running)
        stage.live(1)
        stage.shoot("stain_changed")


@contextmanager
def _docks(images: Path, mpp: float = 0.5) -> Iterator[tuple[Stage, AnnotateDock, SuggestDock]]:
    """Score the sample slide, and open Annotate and Annotate next beside it."""
    with Stage(images) as stage:
        stage.tick(mpp)
        stage.run()
        window = stage.viewer.window
        made = [
            window.add_plugin_dock_widget("napari-smse", f"SMSE: {name}", tabify=True)[1]
            for name in ("Annotate", "Annotate next")
        ]
        stage.live(1)
        stage.viewer.reset_view()
        drawing, dock = made
        yield stage, drawing, dock
        for one in made:
            one.release()


def _add_slide(stage: Stage, path: Path, mpp: float = 0.5) -> None:
    """Open another slide, and score it as the first."""
    stage.viewer.open(path, plugin="napari-smse")
    stage.live(1)
    stage.dock.form.slide.setCurrentIndex(1)
    stage.live(1)
    stage.tick(mpp)
    stage.run()


def _paler(path: Path) -> Path:
    """Draw another slide of the kind of the sample slide, as of a laboratory that stains less."""
    sys.path.insert(0, str(SAMPLE.parent))
    import make_sample_slide as drawn

    drawn.SEED += 1
    pale = 255.0 * (drawn.draw_slide() / 255.0) ** np.array(_PALER)
    drawn.write_slide(pale.clip(0, 255).round().astype(np.uint8), path)
    drawn.SEED -= 1
    return path


if __name__ == "__main__":
    main(__doc__, next_tile, efficiency, doubts, batch_effect)
