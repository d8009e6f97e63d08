"""Exemplars on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import normalize

from napari_smse.errors import DamagedModelError
from napari_smse.similarity.exemplars import (
    Exemplars,
    exemplars_of,
    exemplars_path,
    load_exemplars,
    save_exemplars,
)


def exemplars(count: int = 5, model: str = "abc") -> Exemplars:
    generator = torch.Generator().manual_seed(0)
    return Exemplars(
        normalize(torch.randn(count, 8, generator=generator), dim=1),
        torch.arange(count) % 2,
        torch.full((count,), 0.5),
        ("benign", "böse"),
        tuple(f"case {i // 2}" for i in range(count)),
        ("here",) * count,
        model,
    )


def test_they_come_back_as_they_were_saved(tmp_path: Path) -> None:
    made, path = exemplars(), tmp_path / "x.exemplars.safetensors"
    save_exemplars(made, path)
    found = load_exemplars(path)
    assert (len(found), found.classes, found.cases, found.sources, found.model) == (
        5,
        made.classes,
        made.cases,
        made.sources,
        "abc",
    )
    torch.testing.assert_close(found.embeddings, made.embeddings, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.embeddings.norm(dim=1), torch.ones(5))
    assert torch.equal(found.labels, made.labels)
    assert torch.equal(found.mpps, made.mpps)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_only_those_of_the_very_weights_are_a_models(tmp_path: Path) -> None:
    weights = tmp_path / "model.v2.safetensors"
    model = SimpleNamespace(path=weights, card=SimpleNamespace(weights_sha256="abc"))
    assert exemplars_of(model) is None
    assert exemplars_path(weights).name == "model.v2.exemplars.safetensors"
    save_exemplars(exemplars(), exemplars_path(weights))
    assert len(exemplars_of(model)) == 5
    save_exemplars(exemplars(model="other"), exemplars_path(weights))
    assert exemplars_of(model) is None


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.exemplars.safetensors"
    if content is None:
        save_exemplars(exemplars(), path)
        content = path.read_bytes()[:-20]
    path.write_bytes(content)
    with pytest.raises(DamagedModelError, match="holds no exemplars"):
        load_exemplars(path)


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.exemplars.safetensors"
    save_exemplars(replace(exemplars(), cases=("one",)), path)
    with pytest.raises(DamagedModelError, match="different lengths"):
        load_exemplars(path)
