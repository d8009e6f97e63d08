import pytest

from fake_model import redness_model
from napari_smse.network import Figure, read_card
from napari_smse.widgets.card_dialog import CardDialog, card_html

pytestmark = pytest.mark.gui


def test_the_card_says_what_a_reader_must_know():
    card = redness_model().card.model_copy(
        update={
            "figures": (
                Figure(data="BreakHis", metric="AUC", value=0.83, low=0.7, high=0.9, how="by case"),
            ),
            "limits": ("breast <only>",),
        }
    )
    html = card_html(card)
    assert "AUC 0.83" in html
    assert "0.70 to 0.90" in html
    assert "breast &lt;only&gt;" in html
    assert "Research use only" in html


def test_the_bundled_card_can_be_shown(qtbot):
    dialog = CardDialog(read_card("bundled"))
    qtbot.addWidget(dialog)
    assert read_card("bundled").name in dialog.text.toPlainText()
