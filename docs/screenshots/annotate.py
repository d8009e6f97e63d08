"""Make the picture of annotating: the real dock in a real viewer, on the sample slide.

.venv/bin/python -m docs.screenshots.annotate
"""

from __future__ import annotations

from pathlib import Path

from docs.screenshots.viewer import Stage, draw_regions, main


def annotate(images: Path) -> None:
    """Regions of two classes, drawn and counted."""
    with Stage(images) as stage:
        stage.dock.release()
        stage.viewer.window.remove_dock_widget(stage.dock)
        dock = stage.viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Annotate")[1]
        stage.live()
        stage.viewer.reset_view()
        draw_regions(dock)
        stage.until(lambda: "with a class" in dock.note.text())
        stage.live()
        stage.shoot("annotate")
        dock.release()


if __name__ == "__main__":
    main(__doc__, annotate)
