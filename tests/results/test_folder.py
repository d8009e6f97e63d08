"""A folder for each slide, and nothing in it that belongs to another run."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import OutputError
from napari_smse.results import remove_results, remove_unfinished, result_folder_names


@pytest.mark.parametrize(
    ("slides", "names"),
    [
        (["a.svs", "b.ndpi"], ["a", "b"]),
        (["in/a.ome.tif", "a.b.svs", "noext"], ["a", "a.b", "noext"]),
        (["a.svs", "a.ndpi", "b.svs"], ["a.svs", "a.ndpi", "b"]),
        (["x/a.svs", "y/a.svs", "a.tif"], ["x_a.svs", "y_a.svs", "a.tif"]),
        (["p/x/a.svs", "q/x/a.svs"], ["x_a.svs", "x_a.svs_2"]),
    ],
)
def test_slides_get_the_shortest_names_that_differ(slides: list[str], names: list[str]) -> None:
    assert result_folder_names([Path(slide) for slide in slides]) == names


def test_dots_in_the_name_of_a_dicom_folder_are_no_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.2.840.1").mkdir()
    assert result_folder_names([tmp_path / "1.2.840.1"]) == ["1.2.840.1"]
    monkeypatch.chdir(tmp_path / "1.2.840.1")
    assert result_folder_names([Path()]) == ["1.2.840.1"]


part = st.text("abA.", min_size=1, max_size=3).filter(lambda name: set(name) != {"."})


@given(st.lists(st.tuples(part, part), min_size=1, max_size=6, unique=True))
def test_no_two_slides_share_a_folder(parts: list[tuple[str, str]]) -> None:
    names = result_folder_names([Path("/slides") / folder / file for folder, file in parts])
    assert len({name.casefold() for name in names}) == len(parts)
    assert all(name and "/" not in name for name in names)


@given(st.lists(st.tuples(part, part), min_size=1, max_size=6, unique=True), st.randoms())
def test_a_name_does_not_depend_on_the_order(parts: list[tuple[str, str]], random: Random) -> None:
    paths = [Path("/slides") / folder / file for folder, file in parts]
    names = dict(zip(paths, result_folder_names(paths), strict=True))
    random.shuffle(paths)
    assert dict(zip(paths, result_folder_names(paths), strict=True)) == names


def test_results_go_and_scores_and_other_files_stay(tmp_path: Path) -> None:
    derived = ["run.json", "tiles.parquet", "tiles.csv", "tiles.geojson", "heatmap.png"]
    derived += ["report.html", "report.pdf"]
    for name in [*derived, "my notes.txt"]:
        (tmp_path / name).touch()
    (tmp_path / "scores.zarr").mkdir()
    remove_results(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my notes.txt", "scores.zarr"]
    remove_results(tmp_path / "not there yet")


def test_what_a_killed_run_began_to_write_is_removed_and_no_more(tmp_path: Path) -> None:
    stay = ["tiles.csv", ".tiles.csv.mine.part", ".notes.0123abcd.part"]
    for name in [*stay, ".tiles.csv.0123abcd.part", ".run.json.ffffffff.part"]:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
    remove_unfinished(tmp_path / "not there yet")


def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiles.csv").mkdir()
    with pytest.raises(OutputError, match=r"tiles\.csv"):
        remove_results(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/s/...svs", "...svs"),
        ("/s/..svs", "..svs"),
        ("/s/.ome.tif", ".ome.tif"),
        ("/s/a\\b.svs", "a%5Cb"),
        ("/s/a\nb.svs", "a%0Ab"),
        ("/s/a\udce9.svs", "a%E9"),
        ("/s/aux.svs", "_aux"),
        ("/s/nul.v2.svs", "_nul.v2"),
        ("/s/com1 .svs", "_com1"),
        ("/s/lpt².svs", "_lpt²"),
        ("/s/conout$.svs", "_conout$"),
        ("/s/S12:3 <a>.svs", "S12%3A3 %3Ca%3E"),
        ('/s/"a"|b?*.svs', "%22a%22%7Cb%3F%2A"),
        ("/s/slide .svs", "slide"),
        ("/s/a.b.svs", "a.b"),
        ("/", "slide"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="such paths are others here")
def test_a_name_is_that_of_a_folder_on_every_disk(path, name):
    assert result_folder_names([Path(path)]) == [name]


@given(st.lists(st.text("aux.: ?$1²", max_size=6), max_size=4))
def test_every_name_is_one_that_windows_takes(names):
    paths = [Path("/s") / f"{name}.svs" for name in names]
    for name in result_folder_names(paths):
        path = PureWindowsPath("C:/out", name)
        assert (path.name, path.parent) == (name, PureWindowsPath("C:/out"))
        assert not path.is_reserved()
        assert not set(name) & set('<>:"/\\|?*')
        assert not name.endswith((" ", "."))


@given(st.lists(st.text("a.\\/ \udce9\n\0AUX", max_size=6), max_size=4))
def test_no_name_leads_out_of_its_folder_and_no_two_are_alike(names):
    found = result_folder_names([Path("/s") / f"{name}.svs" for name in names if "\0" not in name])
    out = Path("/out")
    for name in found:
        assert (out / name).resolve().parent == out
        assert name.encode()
    assert len({name.casefold() for name in found}) == len(found)
