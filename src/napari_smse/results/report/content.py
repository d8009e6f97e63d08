"""What a report of a slide says: gathered once, for every kind of file that it is written as."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from napari_smse.models.card import Metric, ModelCard, TrainingSource
from napari_smse.palette import Colour
from napari_smse.results.map_panels import draw_maps
from napari_smse.results.report.pictures import draw_histogram, picture_of_spot
from napari_smse.results.run_context import RunContext
from napari_smse.results.run_record import RunRecord, provenance
from napari_smse.results.slide_summary import HotSpot, ScaleSummary, SlideSummary
from napari_smse.scoring import ScaleScores, describe_scale
from napari_smse.scoring.calls import INDETERMINATE, OUT_OF_DISTRIBUTION
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text

MAX_FIGURES: Final = 6
"""Of a card; all are on the card itself."""

_NO_CALL: Final = {
    INDETERMINATE: "no class is called: the probability lies in the band that the card leaves open",
    OUT_OF_DISTRIBUTION: "no class is called: unlike what the model was trained on",
}
AREA_NOTE: Final = (
    "Areas are of tissue, and tissue under several overlapping tiles counts once. A share is of "
    "all tissue that was scored."
)


@dataclass(frozen=True)
class CallRow:
    """A line of the table of calls.

    Attributes
    ----------
    name, area, share, meaning
        As text.
    colour
        RGB, 0..255.
    """

    name: str
    area: str
    share: str
    meaning: str
    colour: Colour


@dataclass(frozen=True)
class SpotPicture:
    """A hottest spot: a JPEG file, and what stands below it."""

    picture: bytes
    caption: str


@dataclass(frozen=True)
class ScaleSection:
    """What is said of one scale, or of the mean.

    Attributes
    ----------
    title, sentence
        As text.
    calls
        How much was called what.
    histogram
        A PNG file.
    spots
        Pictures of the hottest spots, or none.
    spots_note
        What they are, or why there is none.
    """

    title: str
    sentence: str
    calls: tuple[CallRow, ...]
    histogram: bytes
    spots: tuple[SpotPicture, ...]
    spots_note: str


@dataclass(frozen=True)
class CardExcerpt:
    """What a reader must know of the model.

    Attributes
    ----------
    model
        Name and version.
    facts
        Names, and what the card says, in lines.
    figures
        Data, AUC with its interval, and how it was measured.
    more
        What is on the card besides.
    """

    model: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    figures: tuple[tuple[str, str, str], ...]
    more: str


@dataclass(frozen=True)
class SlideReport:
    """What a report of a slide says, in order.

    Attributes
    ----------
    slide, lead
        Name of the slide, and what was found in a sentence.
    warnings
        What a reader must know, one line each.
    maps
        The slide and its maps, a PNG file.
    scales
        The mean over scales first if there is one, then fine to coarse.
    card
        What a reader must know of the model.
    provenance
        Names and values: what was scored, by what, and when.
    """

    slide: str
    lead: str
    warnings: tuple[str, ...]
    maps: bytes
    scales: tuple[ScaleSection, ...]
    card: CardExcerpt
    provenance: tuple[tuple[str, str], ...]

    @property
    def title(self) -> str:
        """First line of the report."""
        return f"Report of {self.slide}"


def slide_report(
    slide: Slide,
    scales: Sequence[ScaleScores],
    context: RunContext,
    record: RunRecord,
    maps: bytes | None = None,
) -> SlideReport:
    """Gather what a report of a slide says.

    Parameters
    ----------
    slide, scales
        The slide, and all that its store holds.
    context
        What tiles are called by.
    record
        Of the run.
    maps
        The drawn maps, a PNG file, if they were drawn before.

    Raises
    ------
    SlideError
        The slide cannot be read.
    """
    summary = context.summary(scales)
    ordered = [*summary.scales[-1:], *summary.scales[:-1]] if context.card.knows_classes else []
    return SlideReport(
        path_text(slide.path.name),
        describe_summary(summary, context.model),
        tuple(_warnings(summary, record)),
        draw_maps(slide, scales, context) if maps is None else maps,
        tuple(_section(slide, scale, summary, context.card) for scale in ordered),
        excerpt(context.card),
        tuple(provenance(record)),
    )


def describe_summary(summary: SlideSummary, model: str) -> str:
    """Return what was called on a slide in two sentences at most, for a reader."""
    if summary.leading is None:
        return f"Nothing was scored by {model}."
    if len(summary.rule.classes) == 1:
        return f"{model} knows no classes: {area_text(summary.leading.mm2)} of tissue is embedded."
    return f"{describe_calls(summary.leading)} By {model}, {summary.leading.title}."


def describe_calls(scale: ScaleSummary) -> str:
    """Return in a sentence how much of the tissue was called what."""
    if not scale.in_range:
        return (
            f"Nothing is called on {area_text(scale.mm2)} of tissue: the model was not trained at "
            "this scale."
        )
    classes = [one for one in scale.calls if one.name not in _NO_CALL]
    open_parts = [one for one in scale.calls if one.name in _NO_CALL and one.mm2 > 0]
    called = ", ".join(f"{share_text(one.share)} {one.name}" for one in reversed(classes))
    text = f"Of {area_text(scale.mm2)} of tissue, {called}."
    if open_parts:
        rest = " and ".join(f"{share_text(one.share)} is {one.name}" for one in open_parts)
        text += f" {rest[0].upper()}{rest[1:]}, and not called."
    return text


def describe_spots(scale: ScaleSummary, class_name: str) -> str:
    """Return what the hottest spots of a scale are, or that there is none."""
    if not scale.spots:
        return f"None called: no place is called {class_name}."
    return (
        f"The places called {class_name} with the highest probability, a tile's edge or more apart."
    )


def area_text(mm2: float) -> str:
    """Return ``12.34 mm²``."""
    return f"{mm2:,.2f} mm²" if mm2 >= 0.1 or mm2 == 0 else f"{mm2:.2g} mm²"


def share_text(share: float) -> str:
    """Return ``12.3 %``."""
    return f"{100 * share:.1f} %" if share == 0 or share >= 0.001 else "under 0.1 %"


def call_rows(summary: SlideSummary, scale: ScaleSummary, card: ModelCard) -> tuple[CallRow, ...]:
    """Return the table of calls at a scale, the class that is looked for first."""
    colours = summary.rule.colours(card.class_colours)
    ordered = sorted(scale.calls, key=lambda one: one.name != summary.class_name)
    return tuple(
        CallRow(
            one.name,
            area_text(one.mm2),
            share_text(one.share),
            _NO_CALL.get(one.name, _range_of(summary, one.name)),
            colours[one.name],
        )
        for one in ordered
    )


def excerpt(card: ModelCard) -> CardExcerpt:
    """Return what a reader of a report must know of a model."""
    low, high = card.mpp_range
    facts = [
        ("Intended use", (card.intended_use,)),
        ("Limits", card.limits or ("Not stated.",)),
        ("Magnifications", (f"{describe_scale(low)} to {describe_scale(high)}",)),
        ("No class is called", (_band(card),)),
        ("Trained on", tuple(map(_source, card.training)) or ("Not stated.",)),
    ]
    measured = [one for one in card.figures if one.metric == "auc"]
    left = len(card.figures) - len(measured[:MAX_FIGURES])
    more = f"{left} more figures are on the model's card." if left else ""
    if not card.figures:
        more = "How well it does was not measured."
    return CardExcerpt(card.label, tuple(facts), tuple(map(_figure, measured[:MAX_FIGURES])), more)


def _section(
    slide: Slide, scale: ScaleSummary, summary: SlideSummary, card: ModelCard
) -> ScaleSection:
    colours = summary.rule.colours(card.class_colours)
    band = summary.rule.band_of(summary.class_name)
    title = scale.title[0].upper() + scale.title[1:]
    return ScaleSection(
        f"{title}: {scale.count:,} {scale.unit}",
        describe_calls(scale),
        call_rows(summary, scale, card),
        draw_histogram(scale, summary.class_name, colours, band),
        tuple(_spot(slide, spot, summary.class_name) for spot in scale.spots),
        describe_spots(scale, summary.class_name),
    )


def _spot(slide: Slide, spot: HotSpot, class_name: str) -> SpotPicture:
    at, width = spot.region, spot.region.width * slide.mpp
    place = f"at x {at.x:,}, y {at.y:,} px; frame {width:.0f} µm"
    caption = f"P({class_name}) {spot.probability:.2f} {place}"
    return SpotPicture(picture_of_spot(slide, at), caption)


def _range_of(summary: SlideSummary, name: str) -> str:
    """Say which probabilities are called a class."""
    band = summary.rule.band_of(name)
    if band is None:
        return "the most probable class"
    return f"P({name}) of {band[1]:.2f} or more"


def _warnings(summary: SlideSummary, record: RunRecord) -> Iterator[str]:
    yield from record.warnings
    for one in record.scales:
        if one.scored is not None and one.scored < one.tiles:
            yield (
                f"{one.scored:,} of {one.tiles:,} tiles at {describe_scale(one.mpp)} were scored "
                "in the time there was."
            )
    if not summary.ood_known:
        yield (
            "What is out of distribution is not known: neither the model nor these scores say "
            "enough, so tissue unlike the training data is called like any other."
        )


def _band(card: ModelCard) -> str:
    band = card.undecided
    if band is None or len(card.classes) != 2:
        return "The card leaves no probability open: every tile takes the most probable class."
    text = f"Between P({card.classes[1]}) {band.low:.2f} and {band.high:.2f}: indeterminate."
    if band.accuracy is None:
        return f"{text} At no probability were {band.target:.0%} of held-out images right."
    return (
        f"{text} Outside of it {band.accuracy:.0%} of the held-out images were right; that is "
        f"{band.coverage:.0%} of all."
    )


def _source(source: TrainingSource) -> str:
    counts = ", ".join(f"{number:,} {name}" for name, number in source.images.items())
    return (
        f"{source.name} ({source.organ}; {source.scanner}): {counts or 'no'} images of "
        f"{source.cases_total:,} cases. Licence: {source.licence}."
    )


def _figure(one: Metric) -> tuple[str, str, str]:
    interval = ""
    if one.low is not None and one.high is not None:
        interval = f" ({one.low:.2f} to {one.high:.2f})"
    return one.data, f"{one.value:.2f}{interval}", one.how
