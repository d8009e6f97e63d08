"""Slides at addresses are those of their copies, pixel for pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fsspec.implementations.memory import MemoryFileSystem

from napari_smse.errors import (
    ChangedSlideError,
    CopyFirstError,
    CredentialsError,
    DamagedSlideError,
    NotASlideError,
    SeveralSlidesError,
    SlideNotFoundError,
    UnreachableSlideError,
)
from napari_smse.slides import Slide, may_be_slide, open_slide, slides_in_file
from support.ome_zarr import write_ome_zarr
from support.remote import impatient, in_memory, server
from support.slide_server import SlideServer
from support.slides import (
    APERIO,
    Image,
    noise_image,
    pyramid,
    write_ome_pyramid,
    write_pyramid_tiff,
    write_svs,
)

__all__ = ["impatient", "in_memory", "server"]  # the fixtures
IMAGE = noise_image(1100, 900)
WRITE: dict[str, Callable[[Path, Image], Path]] = {
    "a.tif": write_pyramid_tiff,
    "a.svs": write_svs,
    "a.ome.tif": write_ome_pyramid,
    "a.ome.zarr": write_ome_zarr,
}


def assert_same(remote: Slide, local: Slide) -> None:
    """Pixels of all levels, sizes, scale, names and hash are alike."""
    for fact in ("levels", "scale", "bounds", "background", "vendor", "objective_power", "name"):
        assert getattr(remote, fact) == getattr(local, fact)
    assert set(remote.associated_images) == set(local.associated_images)
    for name in local.associated_images:
        assert np.array_equal(remote.associated_image(name), local.associated_image(name))
    for number, level in enumerate(local.levels):
        box = (number, 0, 0, min(level.width, 3000), min(level.height, 3000))
        assert np.array_equal(remote.read_level(*box), local.read_level(*box))
    assert remote.quick_hash == local.quick_hash
    remote.require_unchanged(content=True)


@pytest.mark.parametrize("kind", WRITE)
def test_a_slide_on_a_server_is_its_copy(server: SlideServer, kind: str) -> None:
    path = WRITE[kind](server.folder / kind, IMAGE)
    with open_slide(f"{server.url}/{kind}") as remote, open_slide(path) as local:
        assert_same(remote, local)


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "cmu1_pyramid.ome.tif"])
def test_a_real_slide_on_a_server_is_its_copy(
    server: SlideServer, shared_data: Path, name: str
) -> None:
    server.folder = shared_data / "slides"
    size = (server.folder / name).stat().st_size
    with open_slide(f"{server.url}/{name}") as remote, open_slide(server.folder / name) as local:
        assert_same(remote, local)
    assert server.bytes_served < 1.05 * size + 64 * 1024  # each byte once


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_any_file_system_of_fsspec_will_do(
    in_memory: MemoryFileSystem, tmp_path: Path, version: str
) -> None:
    tiff = write_pyramid_tiff(tmp_path / "a.tif", IMAGE)
    in_memory.put(str(tiff), "/bucket/a.tif")
    zarr = write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE, version)
    in_memory.put(str(zarr), "/bucket/a.ome.zarr", recursive=True)
    for name in ("a.tif", "a.ome.zarr"):
        with open_slide(f"memory://bucket/{name}") as remote, open_slide(tmp_path / name) as local:
            assert_same(remote, local)


def test_a_region_of_a_large_slide_costs_its_own_tiles_only(server: SlideServer) -> None:
    path = write_pyramid_tiff(server.folder / "a.tif", noise_image(3000, 2600), compression=None)
    with open_slide(f"{server.url}/a.tif") as slide:
        slide.quick_hash  # noqa: B018 - its own three blocks
        before = server.bytes_served
        slide.read_level(0, 1000, 1000, 500, 500)
        level = slide.levels[0]
    side = 1499 // level.tile_width - 1000 // level.tile_width + 1
    needed = side**2 * level.tile_width * level.tile_height * 3
    assert needed <= server.bytes_served - before < 1.2 * needed
    assert server.bytes_served < 0.2 * path.stat().st_size


def test_each_of_several_slides_of_a_file_is_opened(server: SlideServer) -> None:
    with tifffile.TiffWriter(server.folder / "a.ome.tif", ome=True) as tiff:
        for image in (IMAGE, IMAGE[::-1]):
            tiff.write(image, photometric="rgb", tile=(128, 128), metadata={"axes": "YXS"})
    url = f"{server.url}/a.ome.tif?token=s3cr3t"
    server.token = "s3cr3t"
    with pytest.raises(SeveralSlidesError, match=r"open one of them, such as a\.ome\.tif#1"):
        open_slide(url)
    paths = slides_in_file(url)
    assert [str(path) for path in paths] == [f"{server.url}/a.ome.tif#{n}" for n in (1, 2)]
    with open_slide(paths[1]) as second, open_slide(f"{url}#2") as same:
        assert second.name == "a#2"
        assert np.array_equal(second.read_level(0, 0, 0, 300, 300), IMAGE[::-1][:300, :300])
        assert same.quick_hash == second.quick_hash


@pytest.mark.parametrize("name", ["a.ndpi", "a.mrxs", "a.czi", "a.dcm", "a.scn", "a.bif"])
def test_other_formats_are_to_be_copied_first(server: SlideServer, name: str) -> None:
    with pytest.raises(CopyFirstError, match=r"cannot be read where it is.*copy it first$"):
        open_slide(f"{server.url}/{name}")
    assert server.requests == 0


def test_what_only_openslide_reads_is_to_be_copied_first(server: SlideServer) -> None:
    (server.folder / "a.png").write_bytes(b"\x89PNG" + bytes(99))
    scanner = {"software": "Philips DP v1.0", "description": "<DataObject></DataObject>"}
    tifffile.imwrite(server.folder / "hidden.tif", IMAGE, tile=(128, 128), **scanner)
    write_svs(server.folder / "a.svs", IMAGE, compression="lzma")
    with tifffile.TiffWriter(server.folder / "levels.svs") as tiff:
        for image in pyramid(IMAGE, 3):  # of which tifffile takes the second for a thumbnail
            tiff.write(image, photometric="rgb", tile=(128, 128), description=APERIO, metadata=None)
    for name in ("a.png", "hidden.tif", "a.svs", "levels.svs"):
        with pytest.raises(CopyFirstError, match="copy it first"):
            open_slide(f"{server.url}/{name}")


def test_empty_cut_short_and_damaged_files_are_named(server: SlideServer) -> None:
    whole = write_pyramid_tiff(server.folder / "a.tif", IMAGE).read_bytes()
    (server.folder / "empty.tif").write_bytes(b"")
    (server.folder / "short.tif").write_bytes(whole[: len(whole) // 2])
    (server.folder / "header.tif").write_bytes(whole[:4] + b"\xff" * 999)
    with pytest.raises(NotASlideError, match="is empty"):
        open_slide(f"{server.url}/empty.tif")
    for name in ("short.tif", "header.tif"):
        with pytest.raises(DamagedSlideError, match=name):
            open_slide(f"{server.url}/{name}")


@pytest.mark.parametrize("kind", ["a.tif", "a.ome.zarr"])
def test_what_stops_a_slide_has_its_name(server: SlideServer, kind: str) -> None:
    WRITE[kind](server.folder / kind, IMAGE)
    url = f"{server.url}/{kind}"
    for status, error in ((401, CredentialsError), (503, UnreachableSlideError)):
        server.status = status
        with pytest.raises(error):
            open_slide(url)
    server.status = 0
    with pytest.raises(SlideNotFoundError if kind == "a.tif" else NotASlideError):
        open_slide(f"{server.url}/none.{kind[2:]}")
    with open_slide(url) as slide:
        server.status = 503
        with pytest.raises(UnreachableSlideError):
            slide.read_level(0, 0, 0, 900, 900)
        server.status = 0
        assert np.array_equal(slide.read_level(0, 0, 0, 900, 900), IMAGE[:900, :900])


def test_a_folder_is_not_opened_by_a_token_of_a_file(server: SlideServer) -> None:
    write_ome_zarr(server.folder / "a.zarr", IMAGE)
    with pytest.raises(CopyFirstError, match="token in the address opens no file"):
        open_slide(f"{server.url}/a.zarr?sig=s3cr3t")


@pytest.mark.parametrize("change", ["tag", "content"])
def test_a_slide_that_changed_is_refused(server: SlideServer, change: str) -> None:
    path = write_pyramid_tiff(server.folder / "a.tif", IMAGE)
    with open_slide(f"{server.url}/a.tif") as slide:
        slide.require_unchanged(content=True)
        if change == "tag":
            server.tag = "2"
        else:
            path.write_bytes(path.read_bytes() + b"9")
        with pytest.raises(ChangedSlideError, match="changed after it was opened"):
            slide.require_unchanged()
    with open_slide(f"{server.url}/a.tif") as again:
        again.require_unchanged(content=True)


def test_an_address_may_be_a_slide_by_its_name_alone() -> None:
    assert may_be_slide("https://host/a.svs")
    assert may_be_slide("s3://bucket/a.ome.zarr")
    assert not may_be_slide("https://host/a.txt")
