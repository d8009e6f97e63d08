"""Two writers on one place, in processes of their own."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_smse.errors import OutputError
from napari_smse.scoring import folder_lock, store_lock

HOLD = """
import sys
from pathlib import Path
from napari_smse.scoring import folder_lock
lock = folder_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
lock.release()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to the folder `a`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_refused_and_told_who_writes(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(OutputError) as told:
        folder_lock(tmp_path / "a")
    assert f"process {holder.pid} on {socket.gethostname()}" in str(told.value)
    assert str(tmp_path / "a") in str(told.value)
    folder_lock(tmp_path / "b").release()


def test_the_lock_of_a_killed_process_is_gone(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    holder.kill()
    holder.wait()
    with folder_lock(tmp_path / "a"):
        pass
    assert list((tmp_path / "a").iterdir()) == []


def test_a_lock_that_was_given_up_leaves_nothing(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    holder.communicate("go\n")
    assert list((tmp_path / "a").iterdir()) == []


def test_this_process_is_refused_a_second_lock_until_the_first_is_released(tmp_path: Path) -> None:
    first = store_lock(tmp_path / "a.zarr")
    with pytest.raises(OutputError, match=f"process {os.getpid()} on"):
        store_lock(tmp_path / "a.zarr")
    first.release()
    first.release()
    with store_lock(tmp_path / "a.zarr"), store_lock(tmp_path / "b.zarr"):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Choose a folder that you may write to"):
        folder_lock(tmp_path / "file" / "a")


def test_a_disk_without_locks_is_written_to_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("napari_smse.scoring.write_lock.FileLock.acquire", no_locks)
    with folder_lock(tmp_path / "a"):
        assert "knows no locks" in caplog.text
