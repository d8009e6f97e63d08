"""The approximate index: what it finds, and when it must be made again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_smse.errors import IndexFilesError
from napari_smse.similarity.index.approximate import FOLDER_NAME
from napari_smse.similarity.index.hits import ExcludedRegion
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Region
from support import TESTS
from support.slide_index import MODEL, MODEL_NAME, made_shard, unit_vectors

usearch_index = pytest.importorskip("usearch.index", reason="needs the extra: search")


@pytest.fixture
def index(tmp_path):
    made = SlideIndex.make(tmp_path / "index", MODEL, MODEL_NAME)
    for name, tiles in (("a", 400), ("b", 250), ("c", 70)):
        made.add(made_shard(name, tiles))
    return made


def build(index):
    said = list(index.build_approximate())
    return said[-1].done if said else 0


def places(answer):
    return {
        (found.slide.name, hit.region.x, hit.region.y, hit.mpp)
        for found in answer.slides
        for hit in found.hits
    }


@pytest.mark.slow
def test_recall_at_10_on_clustered_vectors(tmp_path):
    index = SlideIndex.make(tmp_path / "index", MODEL, MODEL_NAME)
    for name in "abcd":
        index.add(made_shard(name, 5000, dimensions=128))
    build(index)
    found = wanted = 0
    for query in unit_vectors(100, 128, seed=3):
        exact = places(index.search(query, 10, approximate=False))
        found += len(exact & places(index.search(query, 10, approximate=True)))
        wanted += len(exact)
    assert wanted == 1000
    assert found / wanted >= 0.98


def test_it_answers_as_the_exact_search_does(index):
    assert build(index) == 720
    queries = unit_vectors(3, seed=9)
    exact = index.search(queries, 20, approximate=False)
    close = index.search(queries, 20, approximate=True)
    assert close.approximate
    assert (close.tiles, exact.tiles) == (720, 720)
    assert len(places(exact) & places(close)) >= 19
    nearest = [one.slides[0].hits[0].distance for one in (exact, close)]
    np.testing.assert_allclose(*nearest, atol=2e-3)


def test_it_is_kept_and_found_by_another_program(index):
    build(index)
    again = SlideIndex(index.folder)
    assert build(again) == 0
    assert again.search(unit_vectors(1), 5, approximate=True).approximate


def test_what_is_new_is_added_and_found_before_that(index):
    build(index)
    new = made_shard("d", 30)
    index.add(new)
    query = new.embeddings[[4]].astype(np.float32)
    before = index.search(query, 1, approximate=True)
    assert places(before) == {("d", 256, 0, 0.5)}
    assert build(index) == 30
    assert places(index.search(query, 1, approximate=True)) == {("d", 256, 0, 0.5)}
    assert len(list((index.folder / FOLDER_NAME).glob("*.usearch"))) == 1


def test_what_was_replaced_makes_it_stale(index):
    build(index)
    index.add(made_shard("a", 300, overlap=0.5), replace=True)
    with pytest.raises(IndexFilesError, match=r"no approximate index at 0\.5 µm/px that fits"):
        index.search(unit_vectors(1), 5, approximate=True)
    assert build(index) == 620
    assert index.search(unit_vectors(1), 5, approximate=True).approximate


@pytest.mark.parametrize("damage", ["cut", "gone", "record"])
def test_a_damaged_one_is_made_again(index, damage):
    build(index)
    folder = index.folder / FOLDER_NAME
    (graph,), (record,) = folder.glob("*.usearch"), folder.glob("*.json")
    if damage == "cut":
        graph.write_bytes(graph.read_bytes()[:1000])
    elif damage == "gone":
        graph.unlink()
    else:
        record.write_text('{"version": 1')
    with pytest.raises(IndexFilesError, match="--approximate"):
        index.search(unit_vectors(1), 5, approximate=True)
    assert build(index) == 720


def test_what_is_looked_for_can_be_left_out(index):
    build(index)
    shard = made_shard("a", 400)
    query = shard.embeddings[:10].astype(np.float32)
    excluded = ExcludedRegion(shard.slide.quick_hash, Region(0, 0, 640, 64))
    found = places(index.search(query, 30, excluded=excluded, approximate=True))
    assert len(found) == 30
    assert not {one for one in found if one[0] == "a" and one[2] == 0}


def test_scales_have_graphs_of_their_own(index):
    index.add(made_shard("e", scales=((0.5, 12), (1.0, 8))))
    assert build(index) == 740
    found = places(index.search(unit_vectors(1), 50, mpp=1.0, approximate=True))
    assert len(found) == 8
    assert {one[3] for one in found} == {1.0}
    both = places(index.search(unit_vectors(1), 740, approximate=True))
    assert {one[3] for one in both} == {0.5, 1.0}


def test_a_damaged_slide_is_left_out_of_it_and_named(index, caplog):
    path = index.folder / f"{made_shard('c').slide.quick_hash}.safetensors"
    whole = path.read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")
    path.write_bytes(whole[:head] + bytes(len(whole) - head))
    assert build(index) == 650
    assert path.name in caplog.text


WRITER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from napari_smse.similarity.index import approximate
from napari_smse.similarity.index.slide_index import SlideIndex

def wait(*_):
    print("half", flush=True)
    time.sleep(600)

approximate.write_atomic = wait
list(SlideIndex(Path(sys.argv[1])).build_approximate())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_builder_killed_in_the_middle_leaves_the_last_one(index):
    build(index)
    index.add(made_shard("d", 30))
    script = WRITER.format(tests=str(TESTS))
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(index.folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "half\n"
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    assert index.search(unit_vectors(1), 5, approximate=True).approximate
    assert build(index) == 30
    assert len(list((index.folder / FOLDER_NAME).glob("*.usearch"))) == 1
