"""Make the pictures of docs/find_similar.md: the real dock on the sample slide.

.venv/bin/python -m docs.screenshots.find_similar
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from docs.screenshots.viewer import Stage, main


def find_similar(images: Path) -> None:
    """What is like a region that was drawn, and what is left when some of it is not meant."""
    from napari_smse.widgets.layers.example_layer import Side

    with Stage(images) as stage:
        stage.tick(0.5)
        stage.dock.form.options.choose(overlap=0.5)
        stage.run()
        stage.dock.release()
        stage.viewer.window.remove_dock_widget(stage.dock)
        window = stage.viewer.window
        dock = window.add_plugin_dock_widget("napari-smse", "SMSE: Find similar")[1]
        stage.live()
        stage.viewer.reset_view()
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        outline = np.stack([np.sin(angle), np.cos(angle)], axis=1) * 420
        dock.panel.buttons[Side.LIKE].draw.click()
        drawn = np.add(outline, (1100, 4200))
        dock.examples.layers[Side.LIKE].layer.add(drawn, shape_type="polygon")
        stage.until(lambda: dock.searched is not None)
        stage.until(lambda: not dock.panel.strip.pictures.task.is_running)
        stage.live(1)
        stage.shoot("find_similar")
        strip = dock.panel.strip
        strip.list.setCurrentRow(strip.shown - 1)
        stage.live(1)
        stage.shoot("find_similar_picture")
        strip.less.click()
        stage.live(1)
        stage.viewer.reset_view()
        dock.panel.actions.regions.click()
        stage.until(lambda: not dock.panel.outcome.isHidden())
        stage.live(1)
        stage.shoot("find_similar_kept")
        dock.release()


if __name__ == "__main__":
    main(__doc__, find_similar)
