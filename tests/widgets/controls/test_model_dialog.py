"""The list of all models."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_smse.models.encoders.weights import load_encoder
from napari_smse.widgets.controls import model_dialog
from napari_smse.widgets.controls.model_dialog import ModelDialog
from napari_smse.workflows.models.model_list import ListedModel, ModelKind, ModelState
from support.encoders import TINY, empty_hub, tiny_weights

__all__ = ["empty_hub", "tiny_weights"]  # fixtures

pytestmark = pytest.mark.gui


@pytest.fixture
def dialog(qtbot, tiny_weights):
    load_encoder(TINY, tiny_weights)
    made = ModelDialog()
    qtbot.addWidget(made)
    made.asked = []
    made.chosen.connect(made.asked.append)
    qtbot.waitUntil(lambda: made.table.rowCount() > 0)
    return made


def shown(dialog):
    rows = range(dialog.table.rowCount())
    return [dialog.model_at(row) for row in rows if not dialog.table.isRowHidden(row)]


def row_of(dialog, name):
    rows = range(dialog.table.rowCount())
    return next(row for row in rows if dialog.model_at(row).name == name)


def click(dialog, name):
    row = row_of(dialog, name)
    dialog.table.setCurrentCell(row, 0)
    dialog.table.itemClicked.emit(dialog.table.item(row, 0))


def test_what_can_be_used_comes_first(dialog):
    states = [model.state for model in shown(dialog)]
    ready = states.count(ModelState.READY)
    assert set(states[:ready]) == {ModelState.READY}
    assert ModelState.NOT_HERE in states[ready:]
    assert f"{len(states)} models, {ready} ready" in dialog.state.text()
    kinds = {model.kind for model in shown(dialog)}
    assert kinds == {ModelKind.BUNDLED, ModelKind.ENCODER, ModelKind.WSINFER}


@pytest.mark.parametrize(
    ("words", "found"),
    [("MahmoodLab uni2", "uni2-h"), ("gleason", "prostate-tumor-resnet34.tcga-prad"),
     ("tiny ready", "tiny")],
)  # fmt: skip
def test_words_are_looked_for_in_all_there_is_to_say(dialog, words, found):
    dialog.search.setText(words)
    assert [model.name for model in shown(dialog)] == [found]
    dialog.search.setText("nothing is called so")
    assert not shown(dialog)
    assert "No model has" in dialog.state.text()


def test_a_click_chooses_and_shows_the_card(dialog):
    click(dialog, "tiny")
    assert dialog.asked == ["tiny"]
    assert "knows no classes" in dialog.text.toPlainText()
    assert "Some non-commercial, no commercial use" in dialog.text.toPlainText()
    assert dialog.state.text() == "tiny is chosen."


def test_what_is_not_here_says_how_it_is_got(dialog):
    click(dialog, "uni2-h")
    assert dialog.asked == []
    assert "napari-smse models get uni2-h" in dialog.text.toPlainText()
    assert "accept its terms" in dialog.text.toPlainText()


def test_weights_that_are_somewhere_are_given(dialog, monkeypatch, tiny_weights):
    given = []
    dialog.weights_chosen.connect(lambda *facts: given.append(facts))
    assert not dialog.weights.isEnabled()
    click(dialog, "uni2-h")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tiny_weights), ""))
    dialog.weights.click()
    assert given == [("uni2-h", str(tiny_weights))]


def test_a_file_or_a_folder_is_added(dialog, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/x/a.safetensors", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/x/b")
    dialog.file.click()
    dialog.folder.click()
    assert dialog.asked == ["/x/a.safetensors", "/x/b"]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    dialog.folder.click()
    assert len(dialog.asked) == 2


def test_names_are_never_markup(qtbot, monkeypatch):
    bad = ListedModel(
        "x", "<b>x</b>", ModelKind.WSINFER, ModelState.NOT_HERE, how_to_get="<i>y</i>"
    )
    monkeypatch.setattr(model_dialog, "listed_models", lambda: [bad, replace(bad, name="z")])
    made = ModelDialog()
    qtbot.addWidget(made)
    qtbot.waitUntil(lambda: made.table.rowCount() == 2)
    click(made, "<b>x</b>")
    assert "<b>x</b>" in made.text.toPlainText()
    assert "<i>y</i>" in made.text.toPlainText()
