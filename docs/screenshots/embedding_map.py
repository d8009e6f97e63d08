"""Make the picture of docs/embedding_map.md: the dock on the sample slide, with the bundled model.

.venv/bin/python -m docs.screenshots.embedding_map
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from docs.screenshots.viewer import Stage, main


def embedding_map(images: Path) -> None:
    """Tiles of two scales, a group of them chosen, and where these lie on the slide."""
    from napari_smse.widgets.embedding_map.dock import EmbeddingMapDock

    with Stage(images) as stage:
        stage.dock.form.options.choose(overlap=0.5)
        stage.tick(0.25, 0.5)
        stage.run()
        stage.dock.release()
        window = stage.viewer.window
        window.remove_dock_widget(stage.dock)
        dock = EmbeddingMapDock(stage.viewer)
        window.add_dock_widget(dock, name="SMSE: Embedding map", area="right")
        stage.live()
        stage.viewer.reset_view()
        stage.until(lambda: dock.space is not None and not dock.mapping.is_running)
        stage.live(1)
        dock.form.exemplars.setChecked(True)
        stage.shoot("embedding_map")
        dock.form.exemplars.setChecked(False)
        malignant = dock.space.points[dock.space.probability[:, 1] > 0.7]
        low, high = np.quantile(malignant, (0.25, 0.75), axis=0)
        dock.plot._choose(shapely.box(*low, *high), adds=False)
        for layer in stage.viewer.layers:
            if "P(" in layer.name:
                layer.visible = False
        row = int(np.flatnonzero(dock.plot.selection)[0])
        dock.plot.hovered.emit(row, None)
        stage.live(1)
        stage.shoot("embedding_map_chosen")
        dock.release()


if __name__ == "__main__":
    main(__doc__, embedding_map)
