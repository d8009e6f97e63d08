import pytest

from napari_smse.models import Metric, read_card
from napari_smse.models.card import EncoderWeights, Undecided
from napari_smse.widgets.controls.model_card_dialog import ModelCardDialog, card_html
from support.models import redness_model

pytestmark = pytest.mark.gui


def test_the_card_says_what_a_reader_must_know():
    card = redness_model().card.model_copy(
        update={
            "figures": (
                Metric(data="BreakHis", metric="AUC", value=0.83, low=0.7, high=0.9, how="by case"),
            ),
            "limits": ("breast <only>",),
        }
    )
    html = card_html(card)
    assert "AUC 0.83" in html
    assert "0.70 to 0.90" in html
    assert "breast &lt;only&gt;" in html
    assert "Research use only" in html


def test_classes_stand_beside_their_colours(qtbot):
    card = redness_model().card.model_copy(update={"class_colours": {"malignant": (9, 8, 7)}})
    dialog = ModelCardDialog(card)
    qtbot.addWidget(dialog)
    assert "Classes: benign, ■ malignant." in dialog.text.toPlainText()
    assert "#090807" in dialog.text.toHtml()


def test_the_bundled_card_can_be_shown(qtbot):
    dialog = ModelCardDialog(read_card("bundled"))
    qtbot.addWidget(dialog)
    assert read_card("bundled").name in dialog.text.toPlainText()


def test_limits_come_before_figures():
    text = card_html(read_card("bundled"))
    assert text.index("Limits") < text.index("How well it does")


def test_how_figures_were_measured_is_told_once_for_all_measured_alike():
    alike = [
        Metric(data=name, metric="AUC", value=0.8, low=None, high=None, how="by case")
        for name in ("breast", "colon")
    ]
    other = Metric(data="oral", metric="AUC", value=0.6, low=None, high=None, how="left out")
    card = redness_model().card.model_copy(update={"figures": (*alike, other)})
    html = card_html(card)
    assert html.count("by case") == 1
    assert html.index("colon") < html.index("by case") < html.index("oral") < html.index("left out")


def test_the_card_says_where_to_call_nothing():
    card = redness_model().card
    band = Undecided(low=0.3, high=0.7, accuracy=0.91, coverage=0.4, target=0.9)
    text = card_html(card.model_copy(update={"undecided": band}))
    assert "between 0.30 and 0.70 decide nothing" in text
    assert "91%" in text
    assert "40%" in text
    never = Undecided(low=0, high=1, accuracy=None, coverage=0, target=0.9)
    assert "At no probability" in card_html(card.model_copy(update={"undecided": never}))
    assert "decide nothing" not in card_html(card)


def test_an_encoder_is_named_with_what_its_licence_allows():
    encoder = EncoderWeights(
        name="uni2-h", repository="M/UNI2-h", licence="CC <NC>", commercial=False, sha256="0"
    )
    text = card_html(redness_model().card.model_copy(update={"encoder": encoder}))
    assert "encoder uni2-h (M/UNI2-h)" in text
    assert "CC &lt;NC&gt;, <b>no commercial use</b>" in text
    assert "encoder" not in card_html(redness_model().card)


def test_a_model_without_an_embedding_says_so():
    card = redness_model().card.model_copy(update={"has_embedding": False})
    assert "tiles cannot be compared by it" in card_html(card)
