from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from napari_smse import atomic_write
from napari_smse.atomic_write import (
    atomic_folder,
    atomic_path,
    output_error,
    write_atomic,
    write_new,
)
from napari_smse.errors import OutputError


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    with atomic_path(target) as part:
        part.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert list(tmp_path.iterdir()) == [target]


def test_an_old_file_survives_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")

    def fail_halfway() -> None:
        with atomic_path(target) as part:
            part.write_text("new but not")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail_halfway()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_others_may_read_the_file_as_the_umask_says(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_text("")
    with atomic_path(ours) as part:
        part.write_text("")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with (
        pytest.raises(OutputError, match="taken: there is a folder of that name"),
        atomic_path(tmp_path / "taken") as part,
    ):
        part.write_text("x")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "you may not write there"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "choose another output folder"),
    ],
)
def test_each_refusal_says_what_to_do(number: int, remedy: str) -> None:
    message = str(output_error(Path("out/tiles.csv"), OSError(number, "reason")))
    assert message.startswith("cannot write out")
    assert remedy in message
    assert "\n" not in message


@pytest.fixture(params=["links", "no links"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a disk that knows links, or none."""
    if request.param == "no links":

        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", refuse)
    return tmp_path


def test_it_is_written_and_nothing_else_left(folder: Path) -> None:
    write_new(folder / "a", b"whole")
    assert [one.name for one in folder.iterdir()] == ["a"]
    assert (folder / "a").read_bytes() == b"whole"
    assert (folder / "a").stat().st_mode & 0o777 == 0o644


def test_a_whole_file_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_is_full_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_what_is_there_stays(folder: Path) -> None:
    write_new(folder / "a", b"first")
    with pytest.raises(FileExistsError):
        write_new(folder / "a", b"second")
    assert (folder / "a").read_bytes() == b"first"
    assert [one.name for one in folder.iterdir()] == ["a"]


def test_a_full_disk_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_new(folder / "a", b"whole")
    assert list(folder.iterdir()) == []


def test_of_many_at_once_one_is_first(tmp_path: Path) -> None:
    ready, first = threading.Barrier(8), []

    def write(number: int) -> None:
        blob = bytes([number]) * 100_000
        ready.wait()
        try:
            write_new(tmp_path / "a", blob)
        except FileExistsError:
            return
        first.append(blob)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / "a").read_bytes()] == first


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "above" / "made"
    with atomic_folder(target) as part:
        assert part.parent == target.parent
        part.mkdir()
        (part / "file").write_text("first")
        assert not target.exists()

    def fail(*, overwrite: bool) -> None:
        with atomic_folder(target, overwrite=overwrite) as part:
            part.mkdir()
            raise KeyError

    with pytest.raises(OutputError, match=r"lies there already.*--overwrite"):
        fail(overwrite=False)
    with pytest.raises(KeyError):
        fail(overwrite=True)
    assert (target / "file").read_text() == "first"
    with atomic_folder(target, overwrite=True) as part:
        part.mkdir()
        (part / "other").touch()
    assert [path.name for path in target.iterdir()] == ["other"]
    assert [path.name for path in target.parent.iterdir()] == ["made"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"), atomic_folder(tmp_path / "file" / "a"):
        pytest.fail("not to be made")


class TestWindows:
    """What differs there, on any system."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(atomic_write, "_WINDOWS", True)
        monkeypatch.setattr(atomic_write, "_PAUSES", (0, 0, 0))

    @pytest.fixture
    def held(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Have as many attempts to replace a file fail as if another program had it open."""
        left, replace = [0], Path.replace

        def refuse(path: Path, target: Path) -> Path:
            if left[0]:
                left[0] -= 1
                raise PermissionError(errno.EACCES, "in use", str(target))
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", refuse)
        return left

    def test_a_file_that_is_held_for_a_moment_is_replaced(
        self, tmp_path: Path, held: list[int]
    ) -> None:
        held[0] = 3
        with atomic_path(tmp_path / "a") as part:
            part.write_text("x")
        held[0] = 3
        write_atomic(tmp_path / "b", b"y")
        assert [(tmp_path / name).read_text() for name in "ab"] == ["x", "y"]

    def test_a_file_that_stays_open_elsewhere_is_named(
        self, tmp_path: Path, held: list[int]
    ) -> None:
        held[0] = 9
        (tmp_path / "a").write_text("old")
        with (
            pytest.raises(OutputError, match=r"a: another program has it open, or you may not"),
            atomic_path(tmp_path / "a") as part,
        ):
            part.write_text("x")
        assert (tmp_path / "a").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_a_path_that_is_too_long_is_not_called_a_missing_folder(self, tmp_path: Path) -> None:
        gone = OSError(errno.ENOENT, "gone")
        path = tmp_path.joinpath(*["a long name for a folder"] * 12, "tiles.csv")
        assert "longer than 259 characters" in str(output_error(path, gone))
        assert "create it first" in str(output_error(tmp_path / "x" / "tiles.csv", gone))


@pytest.mark.skipif(os.name == "nt", reason="this is of other systems")
def test_elsewhere_nothing_is_tried_again() -> None:
    assert atomic_write._PAUSES == ()
    assert "another program" not in str(output_error(Path("a"), OSError(errno.EACCES, "no")))


def test_the_reason_is_the_system_s_and_not_what_a_library_makes_of_it(tmp_path: Path) -> None:
    def fail() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise OSError("With tag (006A,0002):\nTraceback\n  many lines") from error

    with pytest.raises(OutputError, match="a: the disk is full"), atomic_path(tmp_path / "a"):
        fail()
    assert "\n" not in str(output_error(tmp_path, OSError("one line\nand another")))
