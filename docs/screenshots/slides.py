"""Make the picture of the list of slides: the real dock in a real viewer, on generated slides.

.venv/bin/python -m docs.screenshots.slides
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from docs.screenshots.viewer import SAMPLE, Stage, main


def slides(images: Path) -> None:
    """Slides of two cases scored by the queue, a copy that is told, and a damaged one."""
    with tempfile.TemporaryDirectory() as folder, Stage(images, None) as stage:
        paths = _slides_in(Path(folder))
        for path in paths[:3]:
            stage.viewer.open(path, plugin="napari-smse")
        stage.tick(1.0)
        dock = stage.viewer.window.add_plugin_dock_widget(
            "napari-smse", "SMSE: Slides", tabify=True
        )[1]
        dock.files.add_folder(Path(folder))
        stage.until(lambda: dock.table.rowCount() == len(paths))
        stage.until(lambda: not dock.entries.task.is_running)
        dock.table.item(1, 2).setText("patient 7")
        for row in (0, 1, 4):
            dock.table.item(row, 0).setCheckState(_checked())
        dock.panel.run.click()
        stage.until(lambda: not dock.queue.is_running)
        stage.until(lambda: not dock.runs.is_adding and not dock.entries.task.is_running)
        dock.table.selectRow(0)
        stage.live(2)
        stage.viewer.reset_view()
        stage.shoot("slides")
        dock.release()


def _checked() -> object:
    from qtpy.QtCore import Qt

    return Qt.CheckState.Checked


def _slides_in(folder: Path) -> list[Path]:
    """The sample slide under three names, of real tissue where that is at hand, and damaged."""
    real = Path(os.environ.get("SMSE_TEST_DATA", "shared/data")) / "slides"
    first, second = real / "CMU-1-Small-Region.svs", real / "cmu1_pyramid_generic.tif"
    found = []
    if first.exists():
        found.append(Path(shutil.copy(first, folder / "S19-12345_A1_HE.svs")))
        found.append(Path(shutil.copy(SAMPLE, folder / "S20-00871_B.tif")))
        found.append(Path(shutil.copy(second, folder / "S19-12345_A1_rescan.tif")))
    else:
        found.append(Path(shutil.copy(SAMPLE, folder / "S19-12345_A1_HE.tif")))
        found.append(Path(shutil.copy(SAMPLE, folder / "S20-00871_B.tif")))
        found.append(Path(shutil.copy(SAMPLE, folder / "S19-12345_A1_copy.tif")))
    found.append(Path(shutil.copy(SAMPLE, folder / "S21-04410_1.tif")))
    damaged = folder / "S22-00008_A.tif"
    damaged.write_bytes(SAMPLE.read_bytes()[:5000])
    return [*found, damaged]


if __name__ == "__main__":
    main(__doc__, slides)
