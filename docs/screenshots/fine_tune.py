"""Make the pictures of fine-tuning: the bundled model, tuned on the sample slide.

.venv/bin/python -m docs.screenshots.fine_tune
"""

from __future__ import annotations

from pathlib import Path

from docs.screenshots.viewer import Stage, draw_regions, main


def fine_tune(images: Path) -> None:
    """The bundled model tuned on four regions of the sample slide."""
    with Stage(images) as stage:
        stage.dock.form.options.choose(overlap=0.5)
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
            dock.release()


if __name__ == "__main__":
    main(__doc__, fine_tune)
