"""The report of a slide: what it says is what was scored, in HTML as in PDF, whatever its name."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pypdf
import pytest
from PIL import Image

from napari_smse.html_page import NOTICE
from napari_smse.models import read_card
from napari_smse.models.card import Undecided
from napari_smse.results import RunContext, RunRecord, save_results
from napari_smse.results.report.content import (
    MAX_FIGURES,
    SlideReport,
    area_text,
    excerpt,
    share_text,
    slide_report,
)
from napari_smse.results.report.slide_html import slide_html
from napari_smse.results.report.slide_pdf import slide_pdf
from napari_smse.scoring import ScoreRequest, ScoreStore, choose_device, open_run, score
from napari_smse.slides import Slide, open_slide
from support.models import redness_model
from support.slides import write_pyramid_tiff

MODEL = redness_model()
BAND = Undecided(low=0.2, high=0.97, accuracy=0.9, coverage=0.5, target=0.9)
CONTEXT = RunContext(
    MODEL.card.model_copy(update={"undecided": BAND}), "CPU of the test", ("one warning",)
)
HOSTILE = '<script>alert("x")</script> & <b>.svs'


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    """Pink tissue with a red square, glass on the right; 0.25 um/px."""
    rgb = np.full((640, 900, 3), 240, np.uint8)
    rgb[:, :700] = (205, 150, 190)
    rgb[128:256, 256:384] = (230, 90, 150)
    path = write_pyramid_tiff(tmp_path_factory.mktemp("slide") / "slide.tif", rgb, mpp=0.25)
    with open_slide(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def store(slide: Slide, tmp_path_factory: pytest.TempPathFactory) -> ScoreStore:
    request, device = ScoreRequest((0.25, 0.5)), choose_device("cpu")
    plan = request.plan(slide, MODEL.card)
    made = open_run(
        tmp_path_factory.mktemp("run") / "a.zarr", slide, MODEL.card, request, plan, device
    )
    for _ in score(slide, MODEL, plan, made, device):
        pass
    return made


@pytest.fixture(scope="module")
def folder(slide: Slide, store: ScoreStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "slide"
    save_results(folder, slide, store, CONTEXT, report=True)
    return folder


@pytest.fixture(scope="module")
def report(slide: Slide, store: ScoreStore, folder: Path) -> SlideReport:
    scales = [store.scale(number) for number in range(store.scale_count)]
    record = RunRecord.model_validate_json((folder / "run.json").read_text())
    return slide_report(slide, scales, CONTEXT, record, (folder / "heatmap.png").read_bytes())


def pdf_text(pdf: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_both_files_are_there_and_say_the_same(folder: Path, report: SlideReport) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    text = pdf_text((folder / "report.pdf").read_bytes())
    told = [report.lead, report.scales[0].sentence, "one warning", MODEL.card.intended_use]
    told += [row.area for section in report.scales for row in section.calls]
    told += [spot.caption for section in report.scales for spot in section.spots[:1]]
    for words in told:
        assert words in html
        assert words in text
    for name, value in report.provenance[:4]:
        assert name in html
        assert value in html
        # A PDF breaks long words where the line ends.
        assert value.replace(" ", "") in text.replace(" ", "")


def test_the_page_needs_nothing_else_and_says_what_it_is_for(folder: Path) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"data:image/[^\"]*", "", html)
    assert html.count(NOTICE) == 2
    assert html.count("data:image/") == 1 + 3 + html.count("data:image/jpeg")
    pages = pypdf.PdfReader(folder / "report.pdf").pages
    assert all(NOTICE in page.extract_text() for page in pages)


def test_shares_are_those_of_the_table(folder: Path, report: SlideReport) -> None:
    """Tiles do not overlap here, so that the table gives the areas, too."""
    table = parquet.read_table(folder / "tiles.parquet").to_pandas()
    fine = table[table.mpp == 0.25]
    area = fine.tissue * (fine.width * 0.25 / 1000) ** 2
    section = next(one for one in report.scales if one.title.startswith("40x"))
    assert section.title == f"40x, 0.25 µm/px: {len(fine)} tiles"
    for row in section.calls:
        own = area[fine.call == row.name].sum()
        assert row.area == area_text(own)
        assert row.share == share_text(own / area.sum())
    hottest = fine[fine.call == "malignant"].sort_values("p_malignant").iloc[-1]
    assert f"P(malignant) {hottest.p_malignant:.2f}" in section.spots[0].caption


def test_the_mean_comes_first_and_the_hottest_spot_is_red(report: SlideReport) -> None:
    assert report.scales[0].title.startswith("Multi-scale mean of 40x and 20x")
    assert len(report.scales) == 3
    with Image.open(io.BytesIO(report.scales[0].spots[0].picture)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    middle = pixels[height // 2 - 20 : height // 2 + 20, width // 2 - 20 : width // 2 + 20]
    np.testing.assert_allclose(middle.mean(axis=(0, 1)), (230, 90, 150), atol=8)
    yellow = (pixels[..., 0] > 200) & (pixels[..., 1] > 170) & (pixels[..., 2] < 90)
    assert yellow.sum() > 100


def test_where_nothing_is_called_malignant_it_says_so(
    slide: Slide, store: ScoreStore, folder: Path
) -> None:
    open_band = BAND.model_copy(update={"low": 0.0, "high": 1.0})
    card = MODEL.card.model_copy(update={"undecided": open_band})
    record = RunRecord.model_validate_json((folder / "run.json").read_text())
    scales = [store.scale(number) for number in range(store.scale_count)]
    found = slide_report(slide, scales, replace(CONTEXT, card=card), record, b"")
    assert "0.0 % malignant, 0.0 % benign" in found.lead
    assert "100.0 % is indeterminate, and not called" in found.lead
    assert {section.spots for section in found.scales} == {()}
    assert "None called" in found.scales[0].spots_note
    assert any("out of distribution is not known" in line for line in found.warnings)


def test_a_hostile_name_is_text(report: SlideReport) -> None:
    hostile = replace(
        report,
        slide=HOSTILE,
        lead=HOSTILE,
        warnings=(HOSTILE,),
        provenance=(("Slide", HOSTILE),),
    )
    html = slide_html(hostile)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert") >= 5
    assert HOSTILE in pdf_text(slide_pdf(hostile))


@pytest.mark.parametrize(
    "name",
    [
        "Größe_Ålesund",
        "Опухоль",
        "όγκος",
        "腫瘍スライド",
        "종양",
        "肿瘤",
        "แผ่น",
        "\U0001f52c",
        r"\udce9",
    ],
)
def test_a_name_in_any_letters_can_be_written(report: SlideReport, name: str) -> None:
    named = replace(report, slide=f"{name}.svs")
    assert name in slide_html(named)
    reader = pypdf.PdfReader(io.BytesIO(slide_pdf(named)))
    assert reader.metadata.title == f"Report of {name}.svs"
    text = reader.pages[0].extract_text()
    if all(ord(letter) < 0x600 for letter in name):
        assert name in text
    assert "Report of" in text


def test_settings_are_in_words(report: SlideReport) -> None:
    assert dict(report.provenance)["Settings"] == (
        "0.25 and 0.5 µm/px, no overlap, tiles with at least 25% of tissue, whole slide"
    )


def test_every_laboratory_that_was_left_out_is_in_the_excerpt() -> None:
    card = read_card("bundled")
    left_out = {one.data for one in card.figures if one.data.endswith("left out as a whole")}
    assert len(left_out) == 5
    assert left_out <= {data for data, _, _ in excerpt(card).figures}


def test_of_the_bundled_card_it_says_what_a_reader_must_know() -> None:
    card = read_card("bundled")
    found = excerpt(card)
    facts = dict(found.facts)
    assert facts["Intended use"] == (card.intended_use,)
    assert facts["Limits"] == card.limits
    assert "0.22 µm/px" in facts["Magnifications"][0]
    assert "0.27 and 0.73" in facts["No class is called"][0]
    assert all("Licence: " in line for line in facts["Trained on"])
    assert len(found.figures) == MAX_FIGURES
    data, value, _ = found.figures[0]
    assert data.startswith("BACH")
    assert value == "0.82 (0.70 to 0.93)"
    assert f"{len(card.figures) - MAX_FIGURES} more" in found.more


@pytest.mark.parametrize(
    ("mm2", "told"), [(0, "0.00 mm²"), (0.00123, "0.0012 mm²"), (1234.5, "1,234.50 mm²")]
)
def test_areas_are_readable(mm2: float, told: str) -> None:
    assert area_text(mm2) == told
    assert share_text(0.0002) == "under 0.1 %"
    assert share_text(0) == "0.0 %"
