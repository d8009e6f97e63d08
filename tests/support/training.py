"""A training small enough for tests: tiny pictures, a tiny trunk, a few steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.models import (
    Model,
    ModelCard,
    SmseNetwork,
    load_model,
    save_model,
)
from napari_smse.training.recipe import Recipe
from support.datasets import write_picture

TRUNK = "test_efficientnet"
SMALL = Recipe(
    network=TRUNK,
    random_weights=True,
    embedding_dim=4,
    tile_px=32,
    trainable="all",
    steps=8,
    warm_up=2,
    learning_rate=0.02,
    trunk_learning_rate=0.002,
    cases_per_class=2,
    crops_per_case=2,
    validate_every=4,
    classification="cross-entropy",
    colour=0.02,
    stain=0.2,
)


def mini_network(seed: int = 0, embedding_dim: int = 4) -> SmseNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SmseNetwork(TRUNK, embedding_dim).eval()


def mini_set(folder: Path, cases: int = 4, images: int = 2) -> LabelledSet:
    """Cases of each class with a few pictures each, from two sources by turns."""
    found = []
    for label, case, number in itertools.product((0, 1), range(cases), range(images)):
        name = f"{label}-{case}-{number}"
        path = folder / f"{name}.png"
        if not path.exists():
            write_picture(path, label, 100 * label + 10 * case + number, (48, 40))
        source = ("one", "two")[case % 2]
        found.append(LabelledImage(path, label, f"{label}-{case}", 0.5, (0.4, 0.7), source, source))
    return LabelledSet(
        ("benign", "malignant"), tuple(found), {name: Source(name) for name in ("one", "two")}
    )


def two_sources(folder: Path, names: tuple[str, str] = ("one", "two"), **size: int) -> LabelledSet:
    """The same, each case of one source; the sources are called so."""
    data, named = mini_set(folder, **size), dict(zip(("one", "two"), names, strict=True))
    images = (
        replace(
            image,
            source=named[image.source],
            stratum=named[image.source],
            case=f"{named[image.source]} {image.case}",
        )
        for image in data.images
    )
    return replace(data, images=tuple(images), sources={name: Source(name) for name in names})


def by_case(data: LabelledSet, cases: Iterable[int]) -> list[int]:
    """Indices of the images of the cases of these numbers, both classes."""
    wanted = {f"{label}-{case}" for label in (0, 1) for case in cases}
    return [i for i, image in enumerate(data.images) if image.case in wanted]


def mini_model(folder: Path) -> Model:
    """A model of its own, saved in a folder."""
    card = ModelCard(
        name="mini",
        version="3",
        classes=("benign", "malignant"),
        tile_px=32,
        mpp_range=(0.4, 0.7),
        trunk=TRUNK,
        embedding_dim=4,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return load_model(save_model(mini_network(), card, folder / "mini"))
