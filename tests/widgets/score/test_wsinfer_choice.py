"""A model in WSInfer's format is chosen in the Score dock, after the user agreed to run it."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_smse.widgets.evidence.dock import EvidenceDock
from support.wsinfer_models import ZOO, SmallClassifier, write_wsinfer

pytestmark = pytest.mark.gui


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    return write_wsinfer(tmp_path / "breast-tumor.tcga", ZOO["breast-tumor"])


@pytest.fixture
def asked(monkeypatch):
    """What the user was asked; the answer is in `answers`, first to last."""
    texts, answers = [], []

    def answered(box):
        assert box.textFormat() == Qt.TextFormat.PlainText
        texts.append(box.text())
        return answers.pop(0)

    monkeypatch.setattr(QMessageBox, "exec", answered)
    return texts, answers


def test_it_is_chosen_only_when_the_user_agreed(dock, pick, folder, asked):
    texts, answers = asked
    before = dock.models.name
    answers += [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    pick(folder / "config.json")
    assert dock.models.name == before
    assert all(word in texts[0] for word in ("Other, Tumor", "SHA-256", "TorchScript", "cc-by-4.0"))
    pick(folder / "config.json")
    assert dock.models.name == str(folder)
    assert dock.form.models.label == "breast-tumor.tcga"
    assert dock.models.card.classes == ("Other", "Tumor")
    # Its own scale is ticked, which is none of the usual ones.
    assert 0.390625 in dock.form.scales.ticked
    # Asked for once.
    pick(folder / "torchscript_model.pt")
    assert len(texts) == 2


def test_a_scale_that_was_ticked_for_a_model_goes_with_it(dock, pick, folder, asked, tmp_path):
    asked[1].extend([QMessageBox.StandardButton.Yes] * 2)
    other = write_wsinfer(tmp_path / "pancreas-tumor", ZOO["pancreas-tumor"])
    pick(folder / "config.json")
    pick(other / "config.json")
    # What was ticked before is the user's.
    assert dock.form.scales.ticked == (0.5, 2.34375)


def test_it_scores_and_evidence_says_why_it_is_off(dock, pick, folder, asked, viewer, until):
    asked[1].append(QMessageBox.StandardButton.Yes)
    evidence = EvidenceDock(viewer)
    viewer.window.add_dock_widget(evidence)
    pick(folder / "config.json")
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)
    assert dock.shown_run.card.name == "breast-tumor.tcga"
    until(lambda: "no embeddings" in evidence.state.text())
    evidence.close()


def test_a_folder_that_is_not_whole_is_named(dock, pick, folder, asked):
    texts, _ = asked
    told = []
    dock.models.problem.connect(told.append)
    (folder / "torchscript_model.pt").unlink()
    pick(folder / "config.json")
    assert "no TorchScript archive" in told[0]
    assert not texts


def test_an_archive_that_answers_otherwise_leaves_the_model_in_force(
    dock, pick, folder, asked, until
):
    asked[1].append(QMessageBox.StandardButton.Yes)
    write_wsinfer(folder, ZOO["breast-tumor"] | {"class_names": ["a", "b", "c"], "num_classes": 3})
    write_wsinfer(folder.parent / "two", ZOO["breast-tumor"], SmallClassifier(2))
    (folder.parent / "two" / "torchscript_model.pt").replace(folder / "torchscript_model.pt")
    told, before = [], dock.models.name
    dock.models.problem.connect(told.append)
    pick(folder / "config.json")
    until(lambda: bool(told))
    assert "a logit for each of 3 classes" in told[0]
    assert dock.models.name == before
