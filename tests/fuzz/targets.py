"""What reads files that people did not make with this program, or that a disk may have damaged.

A target makes a good sample, and reads one. Of files with checksums (`checked`) what is read must
be what was written, or an error; of others any answer will do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_smse.annotations import geojson, tile_notes
from napari_smse.annotations.annotation_set import read_annotations
from napari_smse.datasets.loading import read_training_set
from napari_smse.datasets.readers.slide_cases import read_cases
from napari_smse.evaluation.learners import read_recipe
from napari_smse.models import load_model
from napari_smse.models.encoders.weights import read_tensors
from napari_smse.models.model_files import read_card
from napari_smse.models.wsinfer.configuration import read_configuration
from napari_smse.reader import get_reader
from napari_smse.results.exchange import ome_tiff, ome_zarr, read_tile_features
from napari_smse.results.exchange.h5_files import add_rows, new_h5
from napari_smse.results.exchange.map_files import read_map
from napari_smse.results.exchange.map_stack import MapStack
from napari_smse.results.exchange.tile_values import read_tile_values
from napari_smse.scoring import ScoreStore
from napari_smse.similarity.bank_file import load_bank, save_bank
from napari_smse.similarity.index.shard_file import read_shard, read_slide, shard_path, write_shard
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.slides import open_slide
from napari_smse.slides.opening import may_be_slide
from napari_smse.tiles.tissue import find_tissue
from napari_smse.workflows.report.labels import read_labels
from support.czi_slides import Scene, write_czi
from support.dicom_slides import write_dicom_level
from support.exemplar_banks import made_bank
from support.ome_zarr import write_ome_zarr
from support.slide_index import made_shard
from support.slides import halved, noise_image, write_ome_pyramid, write_pyramid_tiff, write_svs
from support.stores import scored_store
from support.training import mini_model

Make = Callable[[Path], list[Path]]
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes
    ----------
    name
        Of the kind.
    make
        Makes a good sample in a folder, and returns the files of it that are to be damaged.
    read
        Reads the sample of a folder, as the program does.
    checked
        Damage has to be noticed.
    """

    name: str
    make: Make
    read: Read
    checked: bool = False


SCENE = np.maximum(noise_image(300, 200), [180, 120, 170]).astype(np.uint8)


def look_at_slide(path: Path, mpp: float | None = None) -> object:
    """All that opening, showing and scoring a slide asks of it."""
    may_be_slide(path)
    get_reader(str(path))
    with open_slide(path, mpp=mpp) as slide:
        for name in slide.associated_images:
            slide.associated_image(name)
        for level, stored in enumerate(slide.levels):
            slide.read_level(level, 0, 0, min(stored.width, 300), min(stored.height, 300))
            slide.read_level(level, stored.width - 1, stored.height - 1, 2, 2)
        slide.thumbnail(64)
        find_tissue(slide)
        return slide.quick_hash, slide.scale, slide.bounds


def slide(name: str, write: Callable[[Path], object], mpp: float | None = None) -> Target:
    """Return the target of a kind of slide in one file."""

    def make(folder: Path) -> list[Path]:
        write(folder / name)
        return [folder / name]

    return Target(f"slide {name}", make, lambda folder: look_at_slide(folder / name, mpp))


def picture(name: str) -> Target:
    """Return the target of an ordinary picture."""
    return slide(name, lambda path: Image.fromarray(SCENE).save(path), mpp=0.5)


def text(
    name: str,
    content: str,
    read: Callable[[Path], object],
    others: Mapping[str, NDArray[np.uint8]] = MappingProxyType({}),
) -> Target:
    """Return the target of a text file, with pictures beside it."""

    def make(folder: Path) -> list[Path]:
        (folder / name).write_text(content, encoding="utf-8")
        for other, pixels in others.items():
            Image.fromarray(pixels).save(folder / other)
        return [folder / name]

    return Target(name, make, lambda folder: read(folder / name))


def everything(value: Any) -> str:
    """Return all that something holds, to be compared."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{value.tobytes().hex()}"
    if isinstance(value, dict):
        return str({str(key): everything(one) for key, one in sorted(value.items())})
    if isinstance(value, list | tuple):
        return str([everything(one) for one in value])
    if hasattr(value, "__dataclass_fields__"):
        return everything({name: getattr(value, name) for name in value.__dataclass_fields__})
    return repr(value)


def made_map() -> MapStack:
    values = np.linspace(0, 1, 600, dtype=np.float32).reshape(2, 15, 20)
    return MapStack("20x", ("benign", "malignant"), values, 0, 0, 100, 0.25)


def make_czi(path: Path) -> None:
    write_czi(path, Scene({1: SCENE, 2: halved(SCENE)}), compression="zstd1:ExplicitLevel=1")


def make_map_zarr(folder: Path) -> list[Path]:
    path = folder / "a.ome.zarr"
    ome_zarr.write_map(path, made_map())
    return sorted(file for file in path.rglob("*") if file.is_file())


def make_map_tiff(folder: Path) -> list[Path]:
    ome_tiff.write_map(folder / "a.ome.tif", made_map())
    return [folder / "a.ome.tif"]


def make_store(folder: Path) -> list[Path]:
    store = scored_store(folder / "scores.zarr")
    return sorted(file for file in store.path.rglob("*") if file.is_file())


def look_at_store(folder: Path) -> object:
    store = ScoreStore.open(folder / "scores.zarr")
    return everything([store.facts, store.blocks_done(), store.scale(0)])


SHARD = made_shard(tiles=6)


def make_shard(folder: Path) -> list[Path]:
    write_shard(folder, SHARD)
    return [shard_path(folder, SHARD.slide.quick_hash)]


def look_at_shard(folder: Path) -> object:
    found = read_shard(folder, read_slide(shard_path(folder, SHARD.slide.quick_hash)))
    return everything([found.slide.model_dump(), found.probability, found.places, found.embeddings])


def make_bank(folder: Path) -> list[Path]:
    save_bank(made_bank(6, appearances=True), folder / "bank.safetensors")
    return [folder / "bank.safetensors"]


def make_model(folder: Path) -> list[Path]:
    mini_model(folder)
    return sorted(file for file in folder.iterdir() if file.is_file())


def look_at_model(folder: Path) -> object:
    path = next(iter(sorted(folder.glob("*.safetensors"))))
    model = load_model(path)
    card = {k: v for k, v in read_card(path).model_dump().items()}
    return everything([card, *(value.numpy() for value in model.network.state_dict().values())])


def make_reference(folder: Path) -> list[Path]:
    from fuzz.samples import copied_reference

    return [copied_reference(folder)]


def look_at_reference(folder: Path) -> object:
    sha256 = read_card("bundled").weights_sha256
    return everything(load_ood_reference(folder / "model.safetensors", sha256).model_dump())


def make_checkpoint(folder: Path) -> list[Path]:
    import torch

    torch.save({"state_dict": {"a": torch.ones(2, 2), "b": torch.zeros(3)}}, folder / "a.pth")
    return [folder / "a.pth"]


def make_dicom(folder: Path) -> list[Path]:
    return [write_dicom_level(folder / "a.dcm", SCENE, "1")]


def make_zarr(folder: Path) -> list[Path]:
    path = write_ome_zarr(folder / "a.ome.zarr", SCENE, levels=2)
    return sorted(file for file in path.rglob("*") if file.is_file())


SQUARE = [[0, 0], [0, 90], [90, 90], [90, 0], [0, 0]]
FEATURES = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "7f9c7f0e-6c0c-4b2c-8d35-8d5ad0c2f4a1",
            "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
            "properties": {
                "objectType": "annotation",
                "classification": {"name": name, "color": [200, 0, 0]},
            },
        }
        for name in ("benign", "malignant")
    ],
}


def look_at_regions(path: Path) -> object:
    """Every way in which a file of annotations is read."""
    geojson.holds_annotations(path)
    read_annotations(path)
    tile_notes.read_tile_notes(path)
    geojson.read_class_regions(path)
    return geojson.read_regions(path)


def make_features(folder: Path) -> list[Path]:
    """Make a slide and the features of its tiles; only those are damaged."""
    write_pyramid_tiff(folder / "a.tif", SCENE, tile=64, mpp=0.5)
    with new_h5(folder / "a.h5") as file:
        add_rows(file, "features", np.ones((4, 8), np.float32), {"encoder": "a"})
        corners = np.array([(0, 0), (64, 0), (0, 64), (64, 64)])
        add_rows(file, "coords", corners, {"patch_size": 64, "patch_size_level0": 64})
    return [folder / "a.h5"]


def look_at_features(folder: Path) -> object:
    """All that is done with the features of a slide's tiles."""
    with open_slide(folder / "a.tif") as slide:
        found = read_tile_features(folder / "a.h5", slide)
        return found.tiles.places, found.tiles.heat_map(np.ones(len(found)), 0)


def make_values(folder: Path) -> list[Path]:
    """Make a slide and scores of its tiles in a table and as GeoJSON; only those are damaged."""
    write_pyramid_tiff(folder / "a.tif", SCENE, tile=64, mpp=0.5)
    (folder / "a.csv").write_text("x,y,tile_size,score\n0,0,64,0.5\n64,0,64,0.25\n0,64,64,1\n")
    square = [[0, 0], [64, 0], [64, 64], [0, 64], [0, 0]]
    tile = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": {"objectType": "tile", "measurements": {"score": 0.5}},
    }
    (folder / "a.geojson").write_text(json.dumps({"features": [tile, tile]}))
    return [folder / "a.csv", folder / "a.geojson"]


def look_at_values(folder: Path) -> object:
    """Every file of scores, with the maps made of it."""
    with open_slide(folder / "a.tif") as slide:
        return [
            one.heat_map(name)
            for file in ("a.csv", "a.geojson")
            for one in read_tile_values(folder / file, slide)
            for name in one.values
        ]


TABLE = "path,label,case,um_per_px\na.png,benign,1,0.5\nb.png,malignant,2,0.5\n"
WSINFER = json.dumps(
    {
        "spec_version": "1.0",
        "architecture": "resnet18",
        "num_classes": 2,
        "class_names": ["other", "tumor"],
        "name": "test",
        "patch_size_pixels": 96,
        "spacing_um_px": 0.5,
        "transform": [{"name": "Resize", "arguments": {"size": 64}}, {"name": "ToTensor"}],
    }
)

TARGETS: tuple[Target, ...] = (
    slide("deflate.tif", partial(write_pyramid_tiff, image=SCENE, tile=64)),
    slide("jpeg.tif", partial(write_pyramid_tiff, image=SCENE, tile=64, compression="jpeg")),
    slide("lzw.tif", partial(write_pyramid_tiff, image=SCENE, tile=64, compression="lzw")),
    slide("plain.tif", partial(write_pyramid_tiff, image=SCENE, tile=64, compression=None)),
    slide("jp2k.svs", partial(write_svs, image=SCENE, tile=64, compression="jpeg2000")),
    slide("aperio.svs", partial(write_svs, image=SCENE, tile=64)),
    slide("pyramid.ome.tif", partial(write_ome_pyramid, image=SCENE, tile=64)),
    slide("zstd.czi", make_czi),
    picture("strips.tif"),
    picture("a.png"),
    picture("a.jpg"),
    picture("a.bmp"),
    picture("a.webp"),
    Target("slide DICOM", make_dicom, lambda folder: look_at_slide(folder / "a.dcm")),
    Target("slide OME-Zarr", make_zarr, lambda folder: look_at_slide(folder / "a.ome.zarr")),
    text("regions.geojson", json.dumps(FEATURES), look_at_regions),
    text(
        "images.csv",
        TABLE,
        lambda path: read_training_set(path.parent),
        others={"a.png": SCENE, "b.png": SCENE[::-1]},
    ),
    text("cases.csv", "slide,case\na.svs,1\nb.svs,2\n", read_cases),
    text("labels.csv", "case,label\n1,benign\n2,malignant\n", read_labels),
    text("recipe.json", json.dumps({"steps": 5, "rate": 0.1}), lambda path: read_recipe(str(path))),
    text("config.json", WSINFER, read_configuration),
    Target("checkpoint of torch", make_checkpoint, lambda folder: read_tensors(folder / "a.pth")),
    Target("map as OME-Zarr", make_map_zarr, lambda folder: read_map(folder / "a.ome.zarr")),
    Target("map as OME-TIFF", make_map_tiff, lambda folder: read_map(folder / "a.ome.tif")),
    Target("scores", make_store, look_at_store, checked=True),
    Target("index shard", make_shard, look_at_shard, checked=True),
    Target(
        "bank", make_bank, lambda at: everything(load_bank(at / "bank.safetensors")), checked=True
    ),
    Target("model", make_model, look_at_model, checked=True),
    Target("tile features", make_features, look_at_features),
    Target("tile values", make_values, look_at_values),
    Target("OOD reference", make_reference, look_at_reference, checked=True),
)
