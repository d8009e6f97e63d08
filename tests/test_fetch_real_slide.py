"""The demo's real slide: whole and the right one, or none."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fetch_real_slide.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_real_slide", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def served(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "served.svs"
    path.write_bytes(content)
    return path.as_uri()


def test_the_file_is_fetched_once(script: ModuleType, tmp_path: Path) -> None:
    address, path = served(tmp_path, b"slide"), tmp_path / "out" / "slide.svs"
    script.fetch(path, address, script.digest(b"slide"))
    assert path.read_bytes() == b"slide"
    (tmp_path / "served.svs").unlink()
    script.fetch(path, address, script.digest(b"slide"))
    assert [one.name for one in path.parent.iterdir()] == ["slide.svs"]


def test_another_file_is_not_taken(script: ModuleType, tmp_path: Path) -> None:
    address, path = served(tmp_path, b"something else"), tmp_path / "out" / "slide.svs"
    with pytest.raises(ValueError, match="another file"):
        script.fetch(path, address, script.digest(b"slide"))
    assert not path.exists()


def test_without_a_network_the_demo_is_told_in_one_line(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "fetch", lambda _path: (_ for _ in ()).throw(OSError("no route")))
    monkeypatch.setattr("sys.argv", ["fetch_real_slide.py", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"could not be fetched \(no route\); the demo goes on"):
        script.main()
