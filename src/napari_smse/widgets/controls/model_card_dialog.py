"""A model's card for reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from napari_smse.models import Metric, ModelCard, TrainingSource
from napari_smse.scoring import describe_scale


class ModelCardDialog(QDialog):
    """Shows what a model was trained on, how well it does, and what it is not for."""

    def __init__(self, card: ModelCard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Model card: {card.name}")
        self.resize(640, 600)
        self.text = QTextBrowser()
        self.text.setHtml(card_html(card))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)


def card_html(card: ModelCard) -> str:
    """The card as HTML."""
    classes = ", ".join(_class(card, name) for name in card.classes)
    parts = [
        f"<h2>{escape(card.name)} {escape(card.version)}</h2>",
        f"<p><b>{escape(card.intended_use)}</b></p>",
        f"<p>Classes: {classes}. Tiles of {card.tile_px} px, trained "
        f"{_trained(card)}. Trunk {escape(card.trunk)}, "
        f"{_embedding(card)}.</p>",
        _encoder(card),
        "<h3>Limits</h3>",
        _list(escape(limit) for limit in card.limits) or "<p>Not stated.</p>",
        "<h3>How well it does on cases it never saw</h3>",
        _undecided(card),
        _figures(card.figures) or "<p>Not measured.</p>",
        "<h3>What it was trained on</h3>",
        _list(_source(source) for source in card.training) or "<p>Not stated.</p>",
        _list(escape(note) for note in card.notes),
        f"<p><small>weights {escape(card.weights_sha256[:16])}</small></p>",
    ]
    return "".join(parts)


def _trained(card: ModelCard) -> str:
    low, high = map(describe_scale, card.mpp_range)
    return f"at {low}" if low == high else f"from {low} to {high}"


def _embedding(card: ModelCard) -> str:
    if not card.has_embedding:
        return "no embedding: tiles cannot be compared by it"
    return f"embedding of {card.embedding_dim} numbers"


def _encoder(card: ModelCard) -> str:
    """The encoder that heads stand on, and what its licence allows."""
    if card.encoder is None:
        return ""
    use = "" if card.encoder.commercial else ", <b>no commercial use</b>"
    return (
        f"<p>Heads on the encoder {escape(card.encoder.name)} ({escape(card.encoder.repository)}). "
        f"Its licence: {escape(card.encoder.licence)}{use}.</p>"
    )


def _class(card: ModelCard, name: str) -> str:
    colour = card.class_colours.get(name)
    square = "" if colour is None else f'<span style="color: rgb{colour}">■</span> '
    return f"{square}{escape(name)}"


def _list(items: Iterable[str]) -> str:
    lines = [f"<li>{item}</li>" for item in items]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _figures(figures: Sequence[Metric]) -> str:
    """Figures in groups that were measured alike, how they were in small print below each."""
    return "".join(
        f"{_list(map(_figure, group))}<p><small>{escape(how)}</small></p>"
        for how, group in groupby(figures, key=lambda figure: figure.how)
    )


def _figure(figure: Metric) -> str:
    span = ""
    if figure.low is not None and figure.high is not None:
        span = f" ({figure.low:.2f} to {figure.high:.2f})"
    metric = escape(figure.metric.replace("auc", "AUC").replace("ece", "calibration error"))
    return f"{escape(figure.data)}: <b>{metric} {figure.value:.2f}</b>{span}"


def _undecided(card: ModelCard) -> str:
    """Between which probabilities a reader should call nothing."""
    band = card.undecided
    if band is None:
        return ""
    if band.accuracy is None:
        return (
            f"<p>At no probability were {band.target:.0%} of held-out images right: call nothing "
            "by its number alone.</p>"
        )
    return (
        f"<p>Probabilities of {escape(card.classes[1])} between {band.low:.2f} and {band.high:.2f} "
        f"decide nothing. Outside them, {band.accuracy:.0%} of the held-out images were right; "
        f"that is {band.coverage:.0%} of all.</p>"
    )


def _source(source: TrainingSource) -> str:
    counts = ", ".join(f"{number} {escape(name)}" for name, number in source.images.items())
    return (
        f"{escape(source.name)} ({escape(source.organ)}, {escape(source.scanner)}): {counts} "
        f"images of {source.cases_total} cases. {escape(source.licence)}."
    )
