"""Files of weights by others: whatever is in them, a state dict or an error of one kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_smse.models.state_dict import HoldsCodeError, StateDictError, read_state_dict

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
WRAPPERS = ("state_dict", "model")


class Harmful:
    """Would run on being unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"state_dict": TENSORS, "epoch": 3},
        {"model": {"state_dict": TENSORS}, "args": {"lr": 0.1}},
        {**TENSORS, "version": 2},
    ],
    ids=["plain", "wrapped", "wrapped twice", "beside other things"],
)
def test_tensors_come_back_by_name(tmp_path: Path, content: dict[str, object]) -> None:
    torch.save(content, tmp_path / "weights.pth")
    found = read_state_dict(tmp_path / "weights.pth", WRAPPERS)
    assert set(found) == set(TENSORS)
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())


def test_safetensors_come_back_by_name(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "weights.safetensors")
    assert set(read_state_dict(tmp_path / "weights.safetensors", WRAPPERS)) == set(TENSORS)


def test_code_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": Harmful()}, tmp_path / "weights.pth")
    with pytest.raises(HoldsCodeError):
        read_state_dict(tmp_path / "weights.pth", WRAPPERS)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02.", bytes(200)])
def test_what_holds_no_weights_is_an_error_of_one_kind(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(StateDictError):
        read_state_dict(path, WRAPPERS)


def test_something_else_than_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "weights.pth")
    with pytest.raises(StateDictError, match="no weights by name"):
        read_state_dict(tmp_path / "weights.pth", WRAPPERS)
    with pytest.raises(StateDictError):
        read_state_dict(tmp_path / "missing.pth", WRAPPERS)
