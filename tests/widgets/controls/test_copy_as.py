"""The button that copies what a dock does."""

import pytest
from qtpy.QtWidgets import QApplication

from napari_smse.errors import QueryError
from napari_smse.widgets.controls import copy_as
from napari_smse.widgets.controls.copy_as import CopyAsButton
from napari_smse.workflows.replay.script import Script

pytestmark = pytest.mark.gui


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(copy_as, "show_info", texts.append)
    return texts


def button(qtbot, script):
    made = CopyAsButton(script)
    qtbot.addWidget(made)
    QApplication.clipboard().setText("before")
    return made


def test_it_copies_the_language_that_was_chosen(qtbot, said):
    made = button(qtbot, lambda: Script("import this\n", "napari-smse score\n"))
    made.command.trigger()
    assert QApplication.clipboard().text() == "napari-smse score\n"
    made.python.trigger()
    assert QApplication.clipboard().text() == "import this\n"
    assert said == ["Copied.", "Copied."]


def test_where_the_shell_has_no_command_python_is_offered(qtbot, said):
    button(qtbot, lambda: Script("import this\n")).command.trigger()
    assert QApplication.clipboard().text() == "before"
    assert "copy it as Python" in said[0]


def test_where_there_is_nothing_to_copy_the_reason_is_shown(qtbot, said):
    def nothing():
        raise QueryError("Click a tile first.")

    button(qtbot, nothing).python.trigger()
    assert QApplication.clipboard().text() == "before"
    assert said == ["Click a tile first."]
