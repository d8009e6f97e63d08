"""Make the pictures of *Why does it say malignant?*: the real dock, model and sample slide.

.venv/bin/python -m docs.screenshots.evidence
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docs.screenshots.viewer import Stage, draw_regions, main

if TYPE_CHECKING:
    from napari_smse.widgets.evidence.dock import EvidenceDock

MALIGNANT, BENIGN = (1500, 1300), (4300, 1300)


def settled(stage: Stage, dock: EvidenceDock) -> None:
    """Let the dock do what it has to."""
    stage.live(0.5)
    stage.until(lambda: dock.read is not None and not any(t.is_running for t in dock._tasks))
    stage.live(1)


def click(stage: Stage, dock: EvidenceDock, x: float, y: float) -> None:
    """Click a level-0 point of the slide."""
    import numpy as np

    from napari_smse.widgets.slide_layers import level0_to_world

    (world,) = level0_to_world(dock.slides.layer, np.array([[x, y]]))
    dock.pointer.picker.pick(tuple(world))
    settled(stage, dock)


def evidence(images: Path) -> None:
    """The evidence for a tile, the unknown, where scales agree, and reference tiles learnt from."""
    with Stage(images) as stage:
        stage.tick(0.25, 0.5)
        stage.run()
        window = stage.viewer.window
        drawing = window.add_plugin_dock_widget("napari-smse", "SMSE: Annotate", tabify=True)[1]
        dock = window.add_plugin_dock_widget("napari-smse", "SMSE: Evidence", tabify=True)[1]
        settled(stage, dock)
        click(stage, dock, *MALIGNANT)
        stage.shoot("evidence_unknown")
        stage.dock.controls.out_of_distribution.setChecked(False)
        stage.live(1)
        stage.shoot("evidence")
        dock.overlays.agreement.setChecked(True)
        settled(stage, dock)
        stage.shoot("evidence_scales")
        dock.overlays.agreement.setChecked(False)
        draw_regions(drawing)
        dock.bank.keep_pictures.setChecked(True)
        dock.bank.add.click()
        settled(stage, dock)
        dock.colour_by.choice.setCurrentIndex(2)
        settled(stage, dock)
        click(stage, dock, *MALIGNANT)
        stage.shoot("evidence_added")
        fine_tune(stage, dock)
        for one in (drawing, dock):
            one.release()


def fine_tune(stage: Stage, dock: EvidenceDock) -> None:
    """Hand the reference tiles to the Fine-tune dock, and learn from them."""
    from napari_smse.widgets.finetune.dock import FineTuneDock

    dock.bank.learn.click()
    stage.live(1)
    tune = dock.window().findChild(FineTuneDock)
    tune.run()
    stage.until(lambda: not tune.learning.is_running and not tune.outcome.is_filling)
    stage.live(1)
    stage.shoot("known_tiles_fine_tune")
    tune.release()


if __name__ == "__main__":
    main(__doc__, evidence)
