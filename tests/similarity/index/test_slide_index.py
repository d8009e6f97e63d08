"""An index of many slides: what is found, what is kept, and what may go wrong with its files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.errors import IndexFilesError, QueryError
from napari_smse.similarity.index import slide_index
from napari_smse.similarity.index.hits import ExcludedRegion, SearchResult, TopK
from napari_smse.similarity.index.index_files import AddOutcome
from napari_smse.similarity.index.manifest import INDEX_NAME, start_index
from napari_smse.similarity.index.shard import SlideState
from napari_smse.similarity.index.shard_file import read_slide, shard_path, write_shard
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Region, open_slide
from support import TESTS
from support.edited_json import edit_json
from support.slide_index import MODEL, MODEL_NAME, made_shard, unit_vectors
from support.slides import write_pyramid_tiff
from support.tasks import run_and_record


@pytest.fixture
def index(tmp_path):
    """Three slides."""
    made = SlideIndex.make(tmp_path / "index", MODEL, MODEL_NAME)
    for name, tiles in (("a", 40), ("b", 25), ("c", 7)):
        made.add(made_shard(name, tiles))
    return made


def brute_force(shards, queries, k):
    """Distance, slide and row of the k nearest, by the obvious loop."""
    found = []
    for shard in shards:
        exact = shard.embeddings.astype(np.float64)
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        for row, one in enumerate(exact):
            found.append((min(np.linalg.norm(one - q) for q in queries), shard.slide.name, row))
    return sorted(found)[:k]


def flat(answer):
    return sorted(
        (hit.distance, found.slide.name, hit.region.x // 64 + 10 * (hit.region.y // 64))
        for found in answer.slides
        for hit in found.hits
    )


class TestSearch:
    @given(
        sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
        k=st.integers(1, 50),
        count=st.integers(1, 5),
        seed=st.integers(0, 99),
        cells=st.integers(3, 40),
    )
    @settings(max_examples=25)
    def test_it_finds_what_the_obvious_loop_finds(
        self, tmp_path_factory, sizes, k, count, seed, cells
    ):
        index = SlideIndex.make(tmp_path_factory.mktemp("index"), MODEL, MODEL_NAME)
        shards = [made_shard("abcd"[n], size) for n, size in enumerate(sizes)]
        for shard in shards:
            index.add(shard)
        queries = unit_vectors(count, seed=seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("napari_smse.similarity.index.hits._CELLS", cells)
            found = flat(index.search(queries, k))
        wanted = brute_force(shards, queries, k)
        np.testing.assert_allclose([one[0] for one in found], [one[0] for one in wanted], atol=1e-3)
        assert len({one[1:] for one in found}) == len(wanted)

    def test_hits_are_grouped_and_the_best_group_comes_first(self, index):
        query = made_shard("b", 25).embeddings[[3]].astype(np.float32)
        answer = index.search(query, 30)
        nearest = [found.hits[0].distance for found in answer.slides]
        assert nearest == sorted(nearest)
        assert answer.slides[0].slide.name == "b"
        hit = answer.slides[0].hits[0]
        assert (hit.region, hit.mpp) == (Region(192, 0, 64, 64), 0.5)
        assert hit.distance < 1e-3
        np.testing.assert_array_equal(hit.probability, made_shard("b", 25).probability[3])
        for found in answer.slides:
            distances = [hit.distance for hit in found.hits]
            assert distances == sorted(distances)
        assert sum(len(found.hits) for found in answer.slides) == 30
        assert answer.tiles == 72

    def test_of_tiles_alike_the_first_come_first(self):
        best = TopK(np.array([[1.0, 0.0]]), 3)
        same = np.tile(np.array([[1.0, 0.0]], np.float32), (50, 1))
        for shard in (0, 1):
            list(best.look_at(shard, same))
        assert [row for row, _ in best.of_shards()[0]] == [0, 1, 2]
        assert list(best.of_shards()) == [0]

    def test_more_than_there_are_gives_all(self, index):
        assert sum(len(slide.hits) for slide in index.search(unit_vectors(1), 1000).slides) == 72

    def test_only_one_scale_is_searched_and_slides_without_it_are_named(self, index):
        index.add(made_shard("d", scales=((0.25, 9), (1.0, 4))))
        answer = index.search(unit_vectors(1), 100, mpp=1.0)
        assert [found.slide.name for found in answer.slides] == ["d"]
        assert {hit.mpp for hit in answer.slides[0].hits} == {1.0}
        rows = sorted(
            hit.region.x // 64 + 10 * (hit.region.y // 64) for hit in answer.slides[0].hits
        )
        assert rows == [9, 10, 11, 12]
        (warning,) = [line for line in answer.warnings if "not indexed at 1 µm/px" in line]
        assert warning.endswith("a, b, c")
        assert sum(len(slide.hits) for slide in index.search(unit_vectors(1), 100).slides) == 85
        with pytest.raises(QueryError, match="no tiles at 3 µm/px"):
            index.search(unit_vectors(1), 5, mpp=3.0)

    def test_what_is_looked_for_can_be_left_out(self, index):
        shard = made_shard("a", 40)
        region = Region(0, 0, 128, 64)
        answer = index.search(
            shard.embeddings[:2].astype(np.float32),
            72,
            excluded=ExcludedRegion(shard.slide.quick_hash, region),
        )
        hits = {f.slide.name: [hit.region for hit in f.hits] for f in answer.slides}
        assert len(hits["a"]) == 38
        assert not {Region(0, 0, 64, 64), Region(64, 0, 64, 64)} & set(hits["a"])
        assert Region(0, 0, 64, 64) in hits["b"]

    def test_it_tells_how_far_it_got(self, index):
        seen, answer = run_and_record(index.searching(unit_vectors(1), 5))
        assert [one.done for one in seen] == sorted(one.done for one in seen)
        assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, 72, 72)
        assert isinstance(answer, SearchResult)

    def test_bad_questions_are_refused(self, index, tmp_path):
        with pytest.raises(QueryError, match="nothing to look for"):
            index.search(np.empty((0, 16)), 5)
        with pytest.raises(QueryError, match="3 numbers each, those of the index 16"):
            index.search(unit_vectors(1, 3), 5)
        with pytest.raises(QueryError, match="no 0 nearest"):
            index.search(unit_vectors(1), 0)
        empty = SlideIndex.make(tmp_path / "empty", MODEL, MODEL_NAME)
        with pytest.raises(QueryError, match="holds no slides yet: add some"):
            empty.search(unit_vectors(1), 5)

    @pytest.mark.parametrize("memory", [0, 40 * 16 * 4, 10**9])
    def test_memory_is_bounded_and_changes_no_answer(self, index, memory):
        small = SlideIndex(index.folder, memory_bytes=memory)
        for _ in range(2):
            assert flat(small.search(unit_vectors(2), 20)) == flat(
                index.search(unit_vectors(2), 20)
            )
        assert sum(one.nbytes for one in small._cached.values()) <= memory
        assert memory < 10**9 or len(small._cached) == 3

    def test_what_is_kept_is_not_read_again(self, index, monkeypatch):
        before = flat(index.search(unit_vectors(1), 9))
        monkeypatch.setattr("napari_smse.similarity.index.index_files.read_embeddings", None)
        assert flat(index.search(unit_vectors(1), 9)) == before


class TestAdding:
    def test_what_is_written_is_read_back(self, index):
        shard = made_shard("z", scales=((0.25, 3), (0.5, 5)))
        assert index.add(shard) is AddOutcome.ADDED
        back = SlideIndex(index.folder)
        found = back.shard(back.find(shard.slide.quick_hash))
        assert found.slide.model_copy(update={"checksums": {}}) == shard.slide
        for name in ("embeddings", "probability", "places"):
            np.testing.assert_array_equal(getattr(found, name), getattr(shard, name))
        np.testing.assert_array_equal(found.scale, [0] * 3 + [1] * 5)
        np.testing.assert_allclose(found.mpps, [0.25] * 3 + [0.5] * 5)

    def test_the_same_again_writes_nothing(self, index, monkeypatch):
        monkeypatch.setattr("napari_smse.similarity.index.index_files.write_shard", None)
        assert index.add(made_shard("a", 40)) is AddOutcome.SAME

    def test_more_tiles_of_the_same_settings_take_the_place(self, index):
        # A run with a time limit that went on.
        index.add(made_shard("c", 9))
        assert index.find(made_shard("c").slide.quick_hash).tile_count == 9

    def test_other_settings_replace_only_when_asked(self, index):
        other = made_shard("a", 30, overlap=0.5)
        with pytest.raises(IndexFilesError, match=r"other settings \(different overlap\).*--overw"):
            index.add(other)
        assert index.find(other.slide.quick_hash).tile_count == 40
        index.search(unit_vectors(1), 5)  # so that something is kept
        assert index.add(other, replace=True) is AddOutcome.REPLACED
        assert index.find(other.slide.quick_hash).tile_count == 30
        assert index.search(unit_vectors(1), 100).tiles == 62

    def test_another_model_is_refused_naming_both(self, index):
        other = made_shard("d", model="b" * 64, model_name="newer")
        with pytest.raises(IndexFilesError, match=r"made up \(aaaaaaaaaaaa\), not by newer \(bbbb"):
            index.add(other, replace=True)
        with pytest.raises(IndexFilesError, match=r"made up .* not by newer"):
            SlideIndex.make(index.folder, "b" * 64, "newer")
        assert len(SlideIndex(index.folder).slides) == 3

    def test_another_slide_at_the_same_path_replaces_only_when_asked(self, index):
        other = made_shard("y", 5, path=Path("/nowhere/a.tif"))
        with pytest.raises(IndexFilesError, match=r"a\.tif changed since.*--overwrite"):
            index.add(other)
        assert index.add(other, replace=True) is AddOutcome.REPLACED
        assert {slide.name for slide in index.slides} == {"y", "b", "c"}

    def test_a_moved_slide_is_found_where_it_is_now(self, index, tmp_path):
        shard = made_shard("a", 40, path=tmp_path / "here.tif")
        assert index.add(shard) is AddOutcome.SAME
        assert index.find(shard.slide.quick_hash).path == str(tmp_path / "here.tif")
        back = made_shard("a", 40, path=tmp_path / "there.tif").slide
        assert index.move(back)
        assert SlideIndex(index.folder).find(back.quick_hash).path == back.path
        assert not index.move(back)

    def test_a_moved_slide_keeps_its_tiles_if_fewer_are_added(self, index, tmp_path):
        # An index of many people: the disk is mounted elsewhere, and the run was a first look.
        few = made_shard("a", 12, path=tmp_path / "here.tif")
        assert index.add(few) is AddOutcome.SAME
        there = SlideIndex(index.folder).find(few.slide.quick_hash)
        assert (there.tile_count, there.path) == (40, str(tmp_path / "here.tif"))

    def test_two_programs_add_to_it(self, index):
        other = SlideIndex(index.folder)
        other.add(made_shard("d", 3))
        index.add(made_shard("e", 4))
        other.refresh()
        assert [slide.name for slide in other.slides] == [one.name for one in index.slides]
        assert index.tile_count == other.tile_count == 79

    def test_what_another_program_replaced_is_read_again(self, index):
        query = unit_vectors(1)
        index.search(query, 5)
        SlideIndex(index.folder).add(made_shard("a", 30, overlap=0.5), replace=True)
        index.refresh()
        assert index.search(query, 100).tiles == 62

    def test_what_another_program_added_meanwhile_is_not_replaced_unasked(self, index):
        theirs, ours = made_shard("d", 30, overlap=0.5), made_shard("d", 9)
        SlideIndex(index.folder).add(theirs)
        assert index.find(ours.slide.quick_hash) is None
        with pytest.raises(IndexFilesError, match=r"other settings \(different overlap\)"):
            index.add(ours)
        assert index.find(ours.slide.quick_hash).tile_count == 30

    @pytest.mark.parametrize("settings", [{}, {"overlap": 0.5}], ids=["same", "other"])
    def test_of_two_that_add_a_slide_at_once_the_first_one_stays(
        self, index, monkeypatch, settings
    ):
        theirs, ours = made_shard("d", 9, **settings), made_shard("d", 9)

        def they_were_faster(folder, shard, *, first=False):
            monkeypatch.undo()
            write_shard(folder, theirs)
            write_shard(folder, shard, first=first)

        monkeypatch.setattr(
            "napari_smse.similarity.index.index_files.write_shard", they_were_faster
        )
        if settings:
            with pytest.raises(IndexFilesError, match="different overlap"):
                index.add(ours)
        else:
            assert index.add(ours) is AddOutcome.SAME
        there = SlideIndex(index.folder).find(ours.slide.quick_hash)
        assert there.settings == theirs.slide.settings

    def test_a_damaged_file_of_the_slide_is_mended(self, index):
        path = shard_path(index.folder, made_shard("a").slide.quick_hash)
        path.write_bytes(path.read_bytes()[:-50])
        fresh = SlideIndex(index.folder)
        fresh.add(made_shard("a", 40))
        path.write_bytes(b"nothing")
        fresh.refresh()
        assert len(fresh.warnings) == 1
        assert fresh.add(made_shard("a", 40)) is AddOutcome.ADDED
        assert fresh.warnings == ()
        assert fresh.tile_count == 72

    def test_an_index_that_another_program_starts_just_now_is_taken_as_it_is(
        self, tmp_path, monkeypatch
    ):
        folder, start = tmp_path / "new", start_index

        def they_were_faster(*words):
            start(folder, "b" * 64, "newer")
            start(*words)

        monkeypatch.setattr(
            "napari_smse.similarity.index.index_files.start_index", they_were_faster
        )
        with pytest.raises(IndexFilesError, match="made by the model newer"):
            SlideIndex.make(folder, MODEL, MODEL_NAME)
        assert SlideIndex(folder).model_name == "newer"

    def test_a_file_that_cannot_be_looked_at_is_named_and_left_out(self, index, monkeypatch):
        def stale(_path):
            raise OSError(116, "Stale file handle")

        monkeypatch.setattr("napari_smse.similarity.index.index_files.read_slide", stale)
        again = SlideIndex(index.folder)
        assert len(again.warnings) == 3
        assert "Stale file handle" in again.warnings[0]

    def test_settings_are_named_as_a_reader_knows_them(self, index):
        other = made_shard("a", 40, mpps=[1.0], roi="x", min_tissue=0.5)
        with pytest.raises(IndexFilesError, match=r"different least tissue, scales, region\)"):
            index.add(other)

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path):
        (tmp_path / "file").write_text("no folder")
        for folder in (tmp_path / "file", tmp_path / "file" / "index"):
            with pytest.raises(IndexFilesError, match=r"cannot be written.*choose a folder"):
                SlideIndex.make(folder, MODEL, MODEL_NAME)

    def test_a_full_disk_leaves_what_was_there(self, index, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(IndexFilesError, match=r"No space left.*What was in it still is"):
            index.add(made_shard("a", 30, overlap=0.5), replace=True)
        assert SlideIndex(index.folder).tile_count == 72


class TestFiles:
    def test_no_index_is_told(self, tmp_path):
        for folder in (tmp_path, tmp_path / "none"):
            with pytest.raises(IndexFilesError, match=r"There is no index in .*napari-smse index"):
                SlideIndex(folder)

    def test_slides_alone_are_an_index(self, index):
        (index.folder / INDEX_NAME).unlink()
        again = SlideIndex(index.folder)
        assert (again.model, again.model_name, len(again.slides)) == (MODEL, MODEL_NAME, 3)
        with pytest.raises(IndexFilesError, match="do not compare"):
            again.require_model("b" * 64, "newer")

    def test_a_damaged_description_harms_no_slide(self, index):
        (index.folder / INDEX_NAME).write_bytes(b'{"format": "napari-')
        again = SlideIndex(index.folder)
        assert "index.json is damaged: remove it" in again.warnings[0]
        assert again.tile_count == 72

    def test_another_version_is_told(self, index):
        edit_json(index.folder / INDEX_NAME, version=2)
        with pytest.raises(IndexFilesError, match="another version"):
            SlideIndex(index.folder)

    @given(st.data())
    @settings(max_examples=40)
    def test_a_shard_cut_off_anywhere_is_named_and_skipped(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("index")
        index = SlideIndex.make(folder, MODEL, MODEL_NAME)
        for name in "ab":
            index.add(made_shard(name, 5))
        path = shard_path(folder, made_shard("a").slide.quick_hash)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        answer = SlideIndex(folder).search(unit_vectors(1), 20)
        assert [found.slide.name for found in answer.slides] == ["b"]
        (warning,) = [line for line in answer.warnings if path.name in line]
        assert "index its slide again" in warning

    @given(st.data())
    @settings(max_examples=60)
    def test_a_flipped_byte_gives_no_wrong_answer(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("index")
        index = SlideIndex.make(folder, MODEL, MODEL_NAME)
        for name in "ab":
            index.add(made_shard(name, 5))
        right = flat(index.search(unit_vectors(1), 20))
        path = shard_path(folder, made_shard("a").slide.quick_hash)
        whole = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole)
        answer = SlideIndex(folder).search(unit_vectors(1), 20)
        # Either it is told, or what was flipped says nothing about the tiles.
        if not any(path.name in line for line in answer.warnings):
            np.testing.assert_allclose(
                [one[0] for one in flat(answer)], [one[0] for one in right], atol=1e-6
            )

    def test_a_shard_damaged_while_it_is_open_is_skipped(self, index):
        path = shard_path(index.folder, made_shard("a").slide.quick_hash)
        path.write_bytes(path.read_bytes()[:-50])
        answer = index.search(unit_vectors(1), 100)
        assert {found.slide.name for found in answer.slides} == {"b", "c"}
        assert any(path.name in line for line in answer.warnings)

    def test_a_damaged_shard_is_mended_by_adding_it_again(self, index):
        path = shard_path(index.folder, made_shard("a").slide.quick_hash)
        path.write_bytes(path.read_bytes()[:-50])
        again = SlideIndex(index.folder)
        assert again.add(made_shard("a", 40)) is AddOutcome.ADDED
        assert (again.warnings, again.tile_count) == ((), 72)

    def test_a_shard_of_another_model_is_left_out_naming_both(self, index):
        write_shard(index.folder, made_shard("d", model="b" * 64, model_name="newer"))
        again = SlideIndex(index.folder)
        assert len(again.slides) == 3
        (warning,) = again.warnings
        assert "newer (bbbbbbbbbbbb)" in warning
        assert "made up (aaaaaaaaaaaa)" in warning

    def test_a_shard_under_another_name_is_left_out(self, index):
        path = shard_path(index.folder, made_shard("a").slide.quick_hash)
        path.rename(path.with_name("copy.safetensors"))
        again = SlideIndex(index.folder)
        assert len(again.slides) == 2
        assert "name is that of another slide" in again.warnings[0]

    def test_half_written_files_are_ignored_and_removed_once_old(self, index):
        name = shard_path(index.folder, "0" * 64).name
        young, old = (index.folder / f".{name}.{word}" for word in ("young", "old"))
        for path in (young, old):
            path.write_bytes(b"half")
        os.utime(old, (time.time() - 10**6,) * 2)
        assert SlideIndex(index.folder).warnings == ()
        index.add(made_shard("d", 3))
        assert young.exists()
        assert not old.exists()

    def test_other_files_beside_it_do_no_harm(self, index):
        (index.folder / "notes.txt").write_text("mine")
        (index.folder / "results").mkdir()
        assert SlideIndex(index.folder).tile_count == 72


class TestSlides:
    @pytest.fixture
    def slide(self, tmp_path):
        path = tmp_path / "slide.tif"
        write_pyramid_tiff(path, np.full((256, 256, 3), 200, np.uint8), mpp=0.5)
        return path

    @pytest.fixture
    def on_disk(self, slide, index):
        with open_slide(slide) as opened:
            shard = made_shard("d", 10)
            facts = {"path": str(slide), "quick_hash": opened.quick_hash}
            index.add(replace(shard, slide=shard.slide.model_copy(update=facts)))
        return index

    def state(self, index):
        answer = index.search(made_shard("d", 10).embeddings[:1].astype(np.float32), 1)
        (found,) = answer.slides
        return found.state, [line for line in answer.warnings if "slide.tif" in line]

    def test_a_slide_that_is_as_it_was(self, on_disk):
        assert self.state(on_disk) == (SlideState.SAME, [])

    def test_a_slide_that_changed_is_told_with_its_hits(self, on_disk, slide):
        write_pyramid_tiff(slide, np.full((256, 300, 3), 100, np.uint8), mpp=0.5)
        state, (warning,) = self.state(on_disk)
        assert state is SlideState.CHANGED
        assert "changed since it was indexed" in warning

    def test_a_slide_that_is_gone_is_told_with_its_hits(self, on_disk, slide):
        slide.unlink()
        state, (warning,) = self.state(on_disk)
        assert state is SlideState.GONE
        assert "is gone: put it back" in warning


WRITER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.slide_index import MODEL, MODEL_NAME, made_shard
from napari_smse.similarity.index.slide_index import SlideIndex

index = SlideIndex.make(Path(sys.argv[1]), MODEL, MODEL_NAME)
index.add(made_shard("a", 40))
really = os.fsync

def written_but_not_in_place(handle):
    really(handle)
    print("half", flush=True)
    time.sleep(600)

os.fsync = written_but_not_in_place
index.add(made_shard({name!r}, 30, overlap=0.5), replace=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
@pytest.mark.parametrize("name", ["a", "b"], ids=["replacing", "appending"])
def test_a_writer_killed_in_the_middle_leaves_what_was_there(tmp_path, name):
    script = WRITER.format(tests=str(TESTS), name=name)
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "index")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "half\n"
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    assert list((tmp_path / "index").glob(".*.safetensors.*"))
    index = SlideIndex(tmp_path / "index")
    assert index.warnings == ()
    assert [(slide.name, slide.tile_count) for slide in index.slides] == [("a", 40)]
    assert index.search(unit_vectors(1), 100).tiles == 40
    index.add(made_shard(name, 30, overlap=0.5), replace=True)
    assert index.find(made_shard(name).slide.quick_hash).tile_count == 30


BESIDE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.slide_index import MODEL, MODEL_NAME, made_shard
from napari_smse.similarity.index.slide_index import SlideIndex

print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[2:]:
    SlideIndex.make(Path(sys.argv[1]), MODEL, MODEL_NAME).add(made_shard(name, 20))
"""


def test_two_programs_start_and_fill_one_index_at_once(tmp_path):
    script = BESIDE.format(tests=str(TESTS))
    folder = tmp_path / "index"
    names = ["abcdefghijklmn", "hijklmnopqrstu"]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), *some],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for some in names
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    index = SlideIndex(folder)
    assert index.warnings == ()
    assert {slide.name: slide.tile_count for slide in index.slides} == dict.fromkeys(
        "".join(names), 20
    )
    assert index.search(unit_vectors(1), 1000).tiles == 420
    assert not list(folder.glob(".*"))


def test_the_approximate_index_is_asked_only_beyond_a_number_of_tiles(index, monkeypatch):
    assert not index.search(unit_vectors(1), 5).approximate
    monkeypatch.setattr(slide_index, "APPROXIMATE_FROM", 10)
    answer = index.search(unit_vectors(1), 5)
    # There is none yet: the exact search answers all the same.
    assert not answer.approximate
    assert any(line.startswith("Searched tile by tile") for line in answer.warnings)
    assert len(flat(answer)) == 5


def test_without_usearch_the_way_to_install_it_is_told(index, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(IndexFilesError, match=r'pip install "napari-smse\[search\]"'):
        list(index.build_approximate())
    with pytest.raises(IndexFilesError, match=r'pip install "napari-smse\[search\]"'):
        index.search(unit_vectors(1), 5, approximate=True)


def test_facts_of_a_shard_are_read_without_its_tiles(index):
    shard = made_shard("a", 40)
    read = read_slide(shard_path(index.folder, shard.slide.quick_hash))
    assert (read.name, read.tile_count, set(read.checksums)) == (
        "a",
        40,
        {"embeddings", "probability", "places", "scale", "mpps"},
    )
