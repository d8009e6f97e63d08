"""One tool takes the clicks on slides, over all docks."""

import pytest

from napari_smse.widgets import autosave
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.click_tool import active_tool
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.layers.example_layer import Side
from napari_smse.widgets.similar.dock import SimilarDock
from napari_smse.widgets.suggest.dock import SuggestDock
from support.annotated_slides import write_red_slide
from support.docks import put_in_force

pytestmark = [pytest.mark.gui, pytest.mark.shown]


@pytest.fixture
def slide(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    (layer,) = viewer.open(write_red_slide(tmp_path), plugin="napari-smse")
    return layer


@pytest.fixture
def opened(viewer, slide):
    """Open docks; they are closed in the end."""
    made = []

    def open_them(*kinds):
        for kind in kinds:
            dock = kind(viewer)
            viewer.window.add_dock_widget(dock, name=kind.__name__)
            made.append(dock)
        return made[-len(kinds) :]

    yield open_them
    for dock in made:
        dock.close()


def taken(evidence, annotate, similar):
    """What the buttons and boxes of all docks say has the clicks."""
    pick = {side: similar.panel.buttons[side].pick.isChecked() for side in Side}
    boxes = {
        "evidence": evidence.clicks.isChecked(),
        "like": pick[Side.LIKE],
        "unlike": pick[Side.UNLIKE],
        "pair": annotate.links.pick.isChecked(),
        "brush": annotate.editing.brush.isChecked(),
        "eraser": annotate.editing.eraser.isChecked(),
        "draw": annotate.drawing.layer.mode != "pan_zoom",
        "example": any(
            one.layer is not None and one.layer.mode != "pan_zoom"
            for one in similar.examples.layers.values()
        ),
    }
    return [name for name, on in boxes.items() if on]


def test_whichever_was_switched_on_last_has_the_clicks_alone(viewer, opened):
    evidence, annotate, similar = docks = opened(EvidenceDock, AnnotateDock, SimilarDock)
    assert taken(*docks) == ["evidence"]
    like, unlike = (similar.panel.buttons[side] for side in (Side.LIKE, Side.UNLIKE))
    switches = {
        "like": like.pick.click,
        "unlike": unlike.pick.click,
        "pair": annotate.links.pick.click,
        "brush": annotate.editing.brush.click,
        "eraser": annotate.editing.eraser.click,
        "draw": annotate.modes["Rectangle"].click,
        "example": like.draw.click,
        "evidence": evidence.clicks.click,
    }
    for first, switch in switches.items():
        for second, other in switches.items():
            if first == second:
                continue
            switch()
            assert taken(*docks) == [first]
            other()
            assert taken(*docks) == [second], (first, second)
            # Off again, if it is a box or a button that stays down.
            (other if second not in ("draw", "example") else lambda: None)()
            annotate.drawing.layer.mode = "pan_zoom"
            for one in similar.examples.layers.values():
                if one.layer is not None:
                    one.layer.mode = "pan_zoom"
            assert taken(*docks) == []
            assert active_tool(viewer) is None


def test_naparis_own_buttons_count_too(opened):
    evidence, annotate = opened(EvidenceDock, AnnotateDock)
    annotate.drawing.layer.mode = "add_polygon"
    assert not evidence.clicks.isChecked()
    evidence.clicks.click()
    assert annotate.drawing.layer.mode == "pan_zoom"


def test_a_dock_that_is_closed_has_no_clicks(viewer, opened):
    (evidence,) = opened(EvidenceDock)
    assert active_tool(viewer) is not None
    evidence.close()
    assert active_tool(viewer) is None
    (annotate,) = opened(AnnotateDock)
    annotate.editing.brush.click()
    annotate.close()
    assert active_tool(viewer) is None
    (again,) = opened(AnnotateDock)
    again.links.pick.click()
    assert active_tool(viewer) is not None
    before = len(viewer.mouse_drag_callbacks)
    again.close()
    assert active_tool(viewer) is None
    assert len(viewer.mouse_drag_callbacks) == before - 1


def test_labelling_tile_after_tile_and_drawing_take_turns(viewer, redness, slide, opened, until):
    from napari_smse.progress import run_task
    from napari_smse.widgets.slide_layers import slide_of
    from napari_smse.workflows.score_slide import ScoreJob
    from napari_smse.workflows.settings.score import ScoreSettings

    put_in_force(slide, run_task(ScoreJob(slide_of(slide), "redness", ScoreSettings((0.5,))).run()))
    (annotate,) = opened(AnnotateDock)
    annotate.editing.brush.click()
    (suggest,) = opened(SuggestDock)
    suggest.queue.count.value = 4
    suggest.queue.find.click()
    until(lambda: suggest.queue.tile is not None)
    assert not annotate.editing.brush.isChecked()
    assert active_tool(viewer) is suggest.labelling
    assert "S or space" in suggest.queue.keys.text()
    annotate.modes["Rectangle"].click()
    assert "Another tool" in suggest.queue.keys.text()
    assert not suggest.labelling._keys
    assert viewer.layers.selection.active is annotate.drawing.layer
    suggest.queue.list.itemClicked.emit(suggest.queue.list.item(1))
    assert annotate.drawing.layer.mode == "pan_zoom"
    assert active_tool(viewer) is suggest.labelling
    suggest.labelling.label(0)
    assert len(annotate.drawing.annotations().annotations) == 1
