from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest

from napari_smse.errors import OutputError
from napari_smse.exchange import output_error, written_whole


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    with written_whole(target) as part:
        part.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert list(tmp_path.iterdir()) == [target]


def test_an_old_file_survives_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")

    def fail_halfway() -> None:
        with written_whole(target) as part:
            part.write_text("new but not")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail_halfway()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_others_may_read_the_file_as_the_umask_says(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_text("")
    with written_whole(ours) as part:
        part.write_text("")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with (
        pytest.raises(OutputError, match="taken: there is a folder of that name"),
        written_whole(tmp_path / "taken") as part,
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
