"""A viewer that is killed loses no annotation."""

import os
import subprocess
import sys
import textwrap

import pytest

from napari_smse.widgets import autosave
from napari_smse.widgets.annotate.dock import AnnotateDock
from support.annotated_slides import write_red_slide

pytestmark = [pytest.mark.gui, pytest.mark.slow]

DRAWS = textwrap.dedent(
    """
    import sys, time
    import napari, numpy as np
    from qtpy.QtWidgets import QApplication
    from napari_smse.annotations.tile_notes import PairConstraint, TilePlace
    from napari_smse.annotations import read_annotations
    from napari_smse.widgets.annotate.dock import AnnotateDock
    from napari_smse.widgets.autosave import autosave_folder
    from napari_smse.widgets.tile_notes import notes_of

    viewer = napari.Viewer()
    viewer.open(sys.argv[1], plugin="napari-smse")
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)

    def live(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    dock.add.click()
    for row, left in ((0, 10.0), (1, 600.0), (2, 300.0)):
        dock.table.choose(row)
        dock.drawing.layer.selected_data = set()
        corners = [(10, left), (10, left + 200), (200, left + 200), (200, left)]
        dock.drawing.layer.add(np.array(corners), shape_type="polygon")
    place = TilePlace(dock.slide.quick_hash, 0.5, 0, 0, 64, 64)
    notes_of(dock.slides.currentData()).add_link(PairConstraint(place, place, True))

    def saved():
        found = [read_annotations(path) for path in autosave_folder().glob("*.geojson")]
        return any(len(one.annotations) == 3 and len(one.constraints) == 1 for one in found)

    for _ in range(600):
        live(0.1)
        if saved():
            break
    print("drawn", flush=True)
    live(600)
    """
)


def test_annotations_come_back_after_a_kill(viewer, tmp_path, monkeypatch, until):
    slide = write_red_slide(tmp_path)
    home = tmp_path / "home"
    environment = os.environ | {"XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    child = subprocess.Popen(
        [sys.executable, "-c", DRAWS, str(slide)], stdout=subprocess.PIPE, env=environment
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"drawn"
    finally:
        child.kill()
        child.wait()
    folder = home / "napari-smse" / "annotations"
    monkeypatch.setattr(autosave, "autosave_folder", lambda: folder)
    viewer.open(slide, plugin="napari-smse")
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    assert not dock.recovery.isHidden()
    assert "3 regions" in dock.recovery.text.text()
    dock.recovery.take.click()
    drawn = dock.drawing.annotations()
    assert [one.class_name for one in drawn.annotations] == ["benign", "malignant", "Class 3"]
    assert len(drawn.constraints) == 1
    assert list(dock.table.colours)[:3] == ["benign", "malignant", "Class 3"]
    dock.close()
