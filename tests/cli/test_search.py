"""Tissue searched from a shell: what is found, as people and as programs read it, and bad input."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_smse.scoring import ScoreRequest, choose_device, open_run, score
from napari_smse.similarity.index.shard import Shard, shard_of
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import open_slide
from support.models import redness_model
from support.shell import GLASS, PINK, RED, Shell, shell, write_section
from support.slides import write_pyramid_tiff

__all__ = ["shell"]  # the fixture

SQUARE = {"x": 256, "y": 128, "width": 64, "height": 64}


@pytest.fixture(autouse=True)
def card(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model whose answers are known, in these commands too."""
    for place in ("cli.index", "workflows.region_query"):
        monkeypatch.setattr(f"napari_smse.{place}.read_card", lambda _: shell.model.card)


def write_other(path: Path) -> Path:
    """Pink tissue with two red squares, at x 64 and 448, y 320."""
    rgb = np.full((520, 700, 3), GLASS, np.uint8)
    rgb[:, :576] = PINK
    rgb[320:384, 64:128] = rgb[320:384, 448:512] = RED
    return write_pyramid_tiff(path, rgb, mpp=0.5)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> list[Shard]:
    """Two slides, scored once for all tests."""
    folder = tmp_path_factory.mktemp("scored")
    model, request = redness_model(), ScoreRequest((0.5,))
    device = choose_device("cpu", exact=True)
    shards = []
    for path in (write_section(folder / "a.tif"), write_other(folder / "b.tif")):
        with open_slide(path) as slide:
            plan = request.plan(slide, model.card)
            store = open_run(folder / "run.zarr", slide, model.card, request, plan, device)
            list(score(slide, model, plan, store, device))
            shards.append(shard_of(slide, store))
        shutil.rmtree(folder / "run.zarr")
    return shards


@pytest.fixture
def slides(scored: list[Shard], tmp_path: Path) -> Path:
    """A folder of its own with the two slides."""
    (tmp_path / "in").mkdir()
    for shard in scored:
        shutil.copy(shard.slide.path, tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def where(shell: Shell, scored: list[Shard], slides: Path, tmp_path: Path) -> Path:
    """An index of them."""
    card = shell.model.card
    index = SlideIndex.make(tmp_path / "index", card.weights_sha256, card.name)
    for shard in scored:
        here = {"path": str(slides / Path(shard.slide.path).name)}
        index.add(replace(shard, slide=shard.slide.model_copy(update=here)))
    return index.folder


def search(shell, where, slide, *more, **place):
    place = SQUARE | place
    words = [word for name, value in place.items() for word in (f"--{name}", str(value))]
    return shell("search", where, "--slide", slide, *words, *more)


def hits(answer):
    return [
        (slide["name"], hit["x"], hit["y"])
        for slide in json.loads(answer.out)["slides"]
        for hit in slide["hits"]
    ]


def one_error(answer, *words):
    lines = answer.err.splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    assert answer.status == 1
    assert answer.out == ""


def test_red_finds_red_on_the_other_slide(shell, where, slides):
    answer = search(shell, where, slides / "a.tif", "-k", "2", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert hits(answer) == [("b", 64, 320), ("b", 448, 320)]
    values = json.loads(answer.out)
    assert values["query"] == {"slide": str(slides / "a.tif"), **SQUARE, "mpp": 0.5, "tiles": 1}
    assert values["searched_tiles"] == SlideIndex(where).tile_count
    (slide,) = values["slides"]
    assert (slide["path"], slide["state"]) == (str(slides / "b.tif"), "same")
    hit = slide["hits"][0]
    assert (hit["width"], hit["height"], hit["mpp"]) == (64, 64, 0.5)
    assert hit["distance"] < 0.01
    assert hit["probability"]["malignant"] > 0.9


def test_the_table_is_grouped_by_slide_best_first(shell, where, slides):
    answer = search(shell, where, slides / "a.tif", "-k", "60")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("Looked for 1 tile of a.tif at 20x, 0.5 µm/px among ")
    heads = [line for line in lines if line[:2] in ("1.", "2.")]
    assert heads[0].startswith("1. b: ")
    assert heads[1].startswith("2. a: ")
    first = lines[lines.index(heads[0]) + 2].split()
    assert first[1:5] == ["64", "320", "64", "64"]
    assert first[5] == "malignant"
    # The region that is looked for is no hit.
    rows = [line.split()[1:3] for line in lines[lines.index(heads[1]) + 2 :]]
    assert ["256", "128"] not in rows


def test_a_region_smaller_than_a_tile_means_the_tile_below_it(shell, where, slides):
    answer = search(
        shell, where, slides / "a.tif", "-k", "2", "--json", x=260, y=130, width=3, height=3
    )
    assert hits(answer) == [("b", 64, 320), ("b", 448, 320)]


def test_a_slide_that_is_not_indexed_is_scored_there_and_not_added(
    shell, where, slides, tmp_path, monkeypatch
):
    fresh = write_section(tmp_path / "fresh.tif", width=800)
    before = sum(shell.model.network.batches)
    answer = search(shell, where, fresh, "-k", "3", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert set(hits(answer)) == {("a", 256, 128), ("b", 64, 320), ("b", 448, 320)}
    assert sum(shell.model.network.batches) == before + 1
    assert len(SlideIndex(where).slides) == 2


def test_a_slide_that_is_indexed_needs_no_network(shell, where, slides, monkeypatch):
    monkeypatch.setattr("napari_smse.models.load_model", None)
    assert search(shell, where, slides / "a.tif").status == 0


def test_no_index_or_an_empty_one(shell, where, slides, tmp_path):
    one_error(
        search(shell, tmp_path / "none", slides / "a.tif"), "no index in", "napari-smse index"
    )
    SlideIndex.make(tmp_path / "empty", shell.model.card.weights_sha256, "redness")
    one_error(
        search(shell, tmp_path / "empty", slides / "a.tif"), "holds no slides yet", "add some"
    )


def test_another_model_is_refused_naming_both(shell, where, tmp_path):
    other = redness_model(32)
    shell.model = type(other)(
        other.network, other.card.model_copy(update={"name": "newer"}), Path("x")
    )
    fresh = write_section(tmp_path / "fresh.tif", width=800)
    one_error(search(shell, where, fresh), "made by the model redness", "not by newer")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"x": 5000}, ("does not lie on a.tif", "700 x 520 px")),
        ({"x": -500}, ("does not lie on a.tif",)),
        ({"width": 0}, ("0 x 64 px is empty", "--width")),
        ({"height": -3}, ("64 x -3 px is empty",)),
        ({"x": 640, "width": 40}, ("No tissue of a was scored there", "choose a region")),
    ],
)
def test_a_bad_region_is_reported_in_a_line(shell, where, slides, place, words):
    one_error(search(shell, where, slides / "a.tif", **place), *words)


def test_glass_of_a_slide_that_is_not_indexed(shell, where, tmp_path):
    fresh = write_section(tmp_path / "fresh.tif", width=800)
    one_error(search(shell, where, fresh, x=700, width=90), "No tissue", "fresh.tif")


def test_a_slide_that_changed_since(shell, where, slides):
    write_section(slides / "a.tif", width=800)
    one_error(search(shell, where, slides / "a.tif"), "a.tif changed since it was indexed", "--out")


def test_hits_on_changed_and_missing_slides_are_marked(shell, where, slides):
    write_section(slides / "b.tif", width=800)
    answer = search(shell, where, slides / "a.tif", "-k", "2", "--json")
    assert answer.status == 0
    assert json.loads(answer.out)["slides"][0]["state"] == "changed"
    assert "b.tif changed since it was indexed" in answer.err
    (slides / "b.tif").unlink()
    answer = search(shell, where, slides / "a.tif", "-k", "2")
    assert "1. b: 2 tiles, gone since it was indexed" in answer.out
    assert "b.tif is gone" in answer.err


def test_a_damaged_shard_is_reported_and_skipped(shell, where, slides):
    index = SlideIndex(where)
    path = where / f"{index.at_path(slides / 'b.tif').quick_hash}.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    answer = search(shell, where, slides / "a.tif", "-k", "2", "--json")
    assert answer.status == 0
    assert {name for name, _, _ in hits(answer)} == {"a"}
    assert path.name in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-k", "0"), ("no 0 nearest",)),
        (("--mpp", "2"), ("not indexed at 2 µm/px", "0.5")),
        (("--mpp", "x"), ("'x' is not a scale",)),
        (("--approximate",), ("approximate index",)),
    ],
)
def test_bad_settings_are_reported_in_a_line(shell, where, slides, words, message):
    one_error(search(shell, where, slides / "a.tif", *words), *message)
