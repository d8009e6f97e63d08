"""Heat maps as OME-Zarr images, with what is called as their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import zarr
from numpy.typing import NDArray

from napari_smse.atomic_write import require_free
from napari_smse.errors import OutputError
from napari_smse.results.exchange.map_stack import CallMap, MapStack, call_maps, map_stacks
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.scoring import shown_class
from napari_smse.slides.backends.ome_zarr import MAP_KEY
from napari_smse.zarr_groups import open_group, zarr_folder

Version = Literal["0.4", "0.5"]

CALLS: Final = "calls"
"""Name of the labels."""
_CHUNK: Final = 512
_OPAQUE: Final = 255


def export(
    results: ResultFolder, out: Path, *, overwrite: bool = False, version: Version = "0.4"
) -> list[Path]:
    """Write the maps of each scale, and their mean, as OME-Zarr: as float32, and again as uint8.

    Parameters
    ----------
    results
        Of a slide.
    out
        Folder to write into.
    overwrite
        Maps of this slide that lie there may be replaced.
    version
        Of OME-Zarr: 0.4 is read by QuPath, OMERO and Fiji; 0.5 is the newest.

    Returns
    -------
    list of Path
        Folders, each an image: ``NAME_SCALE.ome.zarr`` and ``NAME_SCALE_uint8.ome.zarr``.

    Raises
    ------
    OutputError
        One lies there already, or cannot be written; or ome-zarr is not installed.
    """
    stacks, calls = map_stacks(results), list(call_maps(results))
    images = [
        (out / f"{results.stem}_{stack.file_name}{kind}.ome.zarr", stack, number, bool(kind))
        for number, stack in enumerate(stacks)
        for kind in ("", "_uint8")
    ]
    require_free([path for path, *_ in images], overwrite=overwrite)
    for path, stack, number, as_bytes in images:
        # The mean is of no tiles, and so nothing is called in its table.
        labels = calls[number] if number < len(calls) else None
        write_map(path, stack, labels, version=version, as_bytes=as_bytes, overwrite=overwrite)
    return [path for path, *_ in images]


def export_0_5(results: ResultFolder, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write what `export` does, in version 0.5 of OME-Zarr."""
    return export(results, out, overwrite=overwrite, version="0.5")


def write_map(
    path: Path,
    stack: MapStack,
    calls: CallMap | None = None,
    *,
    version: Version = "0.4",
    as_bytes: bool = False,
    overwrite: bool = False,
) -> None:
    """Write maps as one OME-Zarr image, whole or not at all.

    Parameters
    ----------
    path
        The folder.
    stack
        The maps; a channel a class.
    calls
        What is called, as labels.
    version
        Of OME-Zarr.
    as_bytes
        As 0..255 with 0 where nothing was scored, for viewers that know no NaN.
    overwrite
        What lies there may be replaced.

    Raises
    ------
    OutputError
        Something lies there already, or it cannot be written; or ome-zarr is not installed.
    """
    writer, made = _library(version)
    levels = stack.pyramid()
    pixels: list[NDArray[Any]] = [one.as_bytes() if as_bytes else one.values for one in levels]
    with zarr_folder(path, overwrite=overwrite) as part:
        group = open_group(part, mode="w", zarr_format=made.zarr_format)
        writes = writer.write_multiscale(
            pixels,
            group,
            fmt=made,
            compute=False,
            axes=_axes("cyx"),
            coordinate_transformations=[_placed(one, "cyx") for one in levels],
            storage_options={"chunks": (1, _CHUNK, _CHUNK)},
            name=path.name.removesuffix(".ome.zarr"),
            metadata={
                "omero": _omero(stack, version, as_bytes=as_bytes),
                MAP_KEY: {
                    "scale": stack.name,
                    "slide_mpp": stack.slide_mpp,
                    "cell_px": stack.cell,
                    "corner_px": [stack.x, stack.y],
                    **({} if stack.slide is None else {"slide": stack.slide}),
                },
            },
        )
        _write(writes)
        if calls is not None:
            _write_calls(group, calls, levels, writer, made)


def _library(version: Version) -> tuple[Any, Any]:
    try:
        from ome_zarr import format as formats
        from ome_zarr import writer
    except ImportError as error:
        raise OutputError(
            'OME-Zarr is written by a package of an extra: pip install "napari-smse[ome-zarr]".'
        ) from error
    return writer, formats.format_from_version(version)


def _axes(letters: str) -> list[dict[str, str]]:
    return [
        {"name": "c", "type": "channel"}
        if letter == "c"
        else {"name": letter, "type": "space", "unit": "micrometer"}
        for letter in letters
    ]


def _placed(stack: MapStack, letters: str) -> list[dict[str, Any]]:
    """Return where a level lies: the middle of its first cell from that of the first pixel."""
    channel = len(letters) - 2
    return [
        {"type": "scale", "scale": [1.0] * channel + [stack.cell_um] * 2},
        {"type": "translation", "translation": [0.0] * channel + list(stack.origin_um)},
    ]


def _omero(stack: MapStack, version: Version, *, as_bytes: bool) -> dict[str, Any]:
    """Return how viewers show the channels at first: the class that is looked for alone."""
    full = 255.0 if as_bytes else 1.0
    shown = shown_class(stack.classes)
    channels = [
        {
            "label": name,
            "color": "".join(f"{part:02X}" for part in colour),
            "window": {"min": 0.0, "max": full, "start": 0.0, "end": full},
            "active": name == shown,
            "coefficient": 1.0,
            "family": "linear",
            "inverted": False,
        }
        for name, colour in zip(stack.classes, stack.rgb, strict=True)
    ]
    return {"version": version, "channels": channels, "rdefs": {"model": "color"}}


def _write(delayed: Sequence[Any]) -> None:
    """Write by one thread: of several that dask starts, others go on after one has failed."""
    from dask import base

    compute: Any = base.compute
    compute(*delayed, scheduler="synchronous")


def _write_calls(
    group: zarr.Group, calls: CallMap, levels: Sequence[MapStack], writer: Any, made: Any
) -> None:
    numbered = list(enumerate(zip(calls.names, calls.colours, strict=True), start=1))
    writes = writer.write_multiscale(
        calls.pyramid(len(levels)),
        group.require_group(f"labels/{CALLS}"),
        fmt=made,
        compute=False,
        axes=_axes("yx"),
        coordinate_transformations=[_placed(one, "yx") for one in levels],
        storage_options={"chunks": (_CHUNK, _CHUNK)},
        name=CALLS,
    )
    _write(writes)
    writer.write_label_metadata(
        group["labels"],
        CALLS,
        colors=[
            {"label-value": number, "rgba": [*colour, _OPAQUE]} for number, (_, colour) in numbered
        ],
        properties=[{"label-value": number, "class": name} for number, (name, _) in numbered],
        fmt=made,
        source={"image": "../../"},
    )
    if made.zarr_format == 3:
        # From 0.5 on the group of all labels states the version, too, which the writer leaves out.
        stated: Any = group["labels"].attrs
        stated["ome"] = {**stated["ome"], "version": made.version}
