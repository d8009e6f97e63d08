import sys

import pytest

from napari_smse.widgets.triton_guard import guard_against_triton


@pytest.fixture
def no_triton(monkeypatch):
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    yield
    sys.modules.pop("triton", None)


def test_triton_is_kept_out_where_opengl_brought_an_llvm(tmp_path, no_triton):
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 00:00 0 /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1\n")
    assert guard_against_triton(maps)
    with pytest.raises(ImportError):
        import triton  # noqa: F401
    assert guard_against_triton(maps)


def test_it_is_left_alone_elsewhere(tmp_path, no_triton):
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 00:00 0 /usr/lib/libllvmlite.so\n")
    assert not guard_against_triton(maps)
    assert not guard_against_triton(tmp_path / "no such file")
    assert "triton" not in sys.modules
