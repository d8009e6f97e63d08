"""Slides as napari layers, in um."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import openslide
import tifffile

from napari_smse.address import is_url
from napari_smse.errors import UnreachableSlideError
from napari_smse.slides import (
    LevelArray,
    Slide,
    may_be_slide,
    open_slide,
    pyramid_arrays,
    slides_in_file,
    slides_in_folder,
)
from napari_smse.slides.backends.tiff_images import open_tiff, slide_images
from napari_smse.slides.exported_maps import is_exported_map
from napari_smse.slides.progressive_pyramid import RETRY_SECONDS, progressive_pyramid
from napari_smse.slides.remote_path import RemotePath, slide_path

LayerData = tuple[Any, dict[str, Any], str]
"""Data, keyword arguments and type of a napari layer."""

Reader = Callable[[str | Sequence[str]], list[LayerData]]

METADATA_KEY = "napari_smse"
"""Key of a slide layer's metadata: a plain dict of the slide's metadata."""

SLIDE_KEY = "napari_smse_slide"
"""Key of a slide layer's metadata: the open `napari_smse.slides.Slide` itself."""

MAP_NAME_KEY = "napari_smse_map"
"""Key of the metadata of an opened heat map: its `napari_smse.scoring.MapName`."""

MAP_SLIDE_KEY = "napari_smse_map_slide"
"""Key of the metadata of an opened heat map: the quick hash of the slide that it is of."""

_SCANNER_SUFFIXES = {".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu"} | {
    ".czi"
}
_TIFF_SUFFIXES = {".tif", ".tiff", ".btf", ".tf8"}
_RGB_PHOTOMETRICS = {2, 6}  # RGB, YCbCr
WINDOW_SECONDS = 30.0
"""That napari's window may wait for a slide at an address."""
_LARGE_PIXELS = 25_000_000
_REFRESH_MS = 100


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Return a reader if this is a slide, or an exported heat map; napari asks before it opens.

    Ordinary TIFFs are left to napari's own reader: a TIFF counts as a slide when it is
    8-bit colour and tiled, a pyramid, or larger than 25 megapixels. Never raises.

    Parameters
    ----------
    path : str or list of str
        A file, a folder with a DICOM slide, a URL, or several of them.
    """
    paths = [path] if isinstance(path, str | Path) else path
    try:
        if paths and all(is_exported_map(Path(file)) for file in paths):
            return read_maps
        are_slides = bool(paths) and all(_is_slide(file) for file in paths)
    except Exception:  # napari goes on to its other readers only if nothing is raised
        return None
    return read_slides if are_slides else None


def read_slides(path: str | Sequence[str]) -> list[LayerData]:
    """Open one slide or several as multiscale image layers.

    Each DICOM series of a folder is one, and each slide of a file with several.

    Raises
    ------
    SlideError
        When a file cannot be opened as a slide; napari shows its message. So, too, when one at an
        address keeps the window waiting for longer than `WINDOW_SECONDS`.
    """
    paths = [path] if isinstance(path, str | Path) else path
    return [layer for file in paths for layer in _layers_at(file)]


def _layers_at(place: str | Path) -> list[LayerData]:
    if is_url(place) and _holds_window_up():
        return _within(WINDOW_SECONDS, slide_path(place), partial(_opened_layers, place))
    return _opened_layers(place)


def _opened_layers(place: str | Path) -> list[LayerData]:
    return [slide_layer(open_slide(slide)) for slide in _slides_at(place)]


def _holds_window_up() -> bool:
    """Whether a window waits for this thread, as it does while napari opens a file."""
    from qtpy.QtWidgets import QApplication

    return QApplication.instance() is not None and current_thread() is main_thread()


def _within(
    seconds: float, address: Path, open_layers: Callable[[], list[LayerData]]
) -> list[LayerData]:
    """Return the layers of what lies at an address, or raise if that takes too long."""
    answer: Future[list[LayerData]] = Future()

    def fetch() -> None:
        try:
            answer.set_result(open_layers())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=fetch, daemon=True, name="napari-smse address").start()
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        if answer.done():  # it is of what was opened
            raise
        answer.add_done_callback(_close_slides)
        raise UnreachableSlideError(
            f"{address} did not answer within {seconds:g} s, for which napari's window waits: open "
            "it with Open address … in SMSE: Slides, which waits in the background."
        ) from error


def _close_slides(answer: Future[list[LayerData]]) -> None:
    """Close what came too late."""
    if answer.exception() is None:
        for _, arguments, _ in answer.result():
            arguments["metadata"][SLIDE_KEY].close()


def read_maps(path: str | Sequence[str]) -> list[LayerData]:
    """Open exported heat maps as image layers, a class each, that lie on the slide's layer.

    Raises
    ------
    OutputError
        When a file is damaged; napari shows its message.
    """
    paths = [path] if isinstance(path, str | Path) else path
    return [layer for file in paths for layer in map_layers(Path(file))]


def map_layers(path: Path) -> list[LayerData]:
    """Return the image layers that show an exported heat map as the Score dock does.

    Of two classes one is shown, as there; of more, the one that is looked for is visible.
    """
    from napari.utils import Colormap

    # Whoever opens a slide need not wait for these.
    from napari_smse.palette import map_colours
    from napari_smse.results.exchange.map_files import read_map
    from napari_smse.scoring import MapName, shown_class

    stack = read_map(path)
    shown, several = shown_class(stack.classes), len(stack.classes) > 2
    colours = dict(zip(stack.classes, stack.rgb, strict=True))
    slide = path.name.partition(".ome.")[0].removesuffix(f"_{stack.file_name}")
    layers: list[LayerData] = []
    for name, values in zip(stack.classes, stack.values, strict=True):
        if name != shown and not several:
            continue
        ramp = map_colours(stack.classes, name, colours).ramp()
        arguments: dict[str, Any] = {
            "name": f"{MapName(name, stack.name)} · {slide}",
            "scale": (stack.cell_um, stack.cell_um),
            "translate": stack.origin_um,
            "units": ("um", "um"),
            "axis_labels": ("y", "x"),
            # napari keeps colour maps by name.
            "colormap": Colormap(
                ramp, display_name="Class colours", name=f"{name} of {stack.classes} {stack.rgb}"
            ),
            "contrast_limits": (0, 1),
            "interpolation2d": "nearest",
            "opacity": 0.55,
            "blending": "translucent",
            "visible": name == shown,
            "metadata": {MAP_NAME_KEY: MapName(name, stack.name), MAP_SLIDE_KEY: stack.slide},
        }
        layers.append((values, arguments, "image"))
    return layers


def _slides_at(place: str | Path) -> list[Path]:
    """Return the slides of a folder or a file; opening it raises where there is none."""
    path = slide_path(place) if is_url(place) else Path(place)
    if path.is_dir() and not isinstance(path, RemotePath):
        return slides_in_folder(path) or [path]
    return slides_in_file(path)


def slide_layer(slide: Slide) -> LayerData:
    """Return the image layer that shows a slide.

    It lies in um, level-0 pixel (0, 0) centred on the origin; in pixels when the slide's
    um/px is not known.
    """
    mpp = slide.scale.mpp
    if mpp is None:
        _warn_of_missing_scale(slide)
    side, unit = (1.0, "pixel") if mpp is None else (mpp, "um")
    arguments: dict[str, Any] = {
        "name": slide.name,
        "multiscale": True,
        "rgb": True,
        "interpolation2d": "linear",
        "scale": (side, side),
        "units": (unit, unit),
        "axis_labels": ("y", "x"),
        "metadata": {METADATA_KEY: slide_metadata(slide), SLIDE_KEY: slide},
    }
    return _levels(slide), arguments, "image"


def _levels(slide: Slide) -> list[LevelArray]:
    """Return the levels to show: one at an address must not keep the window waiting."""
    from qtpy.QtWidgets import QApplication

    if isinstance(slide.path, RemotePath) and QApplication.instance() is not None:
        return progressive_pyramid(slide, LayerRefresher(slide).chunk_fetched)
    return pyramid_arrays(slide)


class LayerRefresher:
    """Shows a slide's layers again, now and then, while more of it is fetched.

    Parameters
    ----------
    slide
        The slide.
    """

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self._waits = False
        self._warned = ""

    def chunk_fetched(self, problem: Exception | None) -> None:
        """Show what was fetched soon; may be called in any thread."""
        from superqt.utils import ensure_main_thread

        ensure_main_thread(self._plan)(problem)

    def _plan(self, problem: Exception | None) -> None:
        from qtpy.QtCore import QTimer

        if problem is not None:
            self._warn(str(problem))
            QTimer.singleShot(int(RETRY_SECONDS * 1000) + _REFRESH_MS, self._show)
        elif not self._waits:
            self._waits = True
            QTimer.singleShot(_REFRESH_MS, self._show)

    def _show(self) -> None:
        from napari import current_viewer

        self._waits = False
        viewer = current_viewer()
        for layer in () if viewer is None else viewer.layers:
            if layer.metadata.get(SLIDE_KEY) is self._slide:
                layer.refresh(extent=False, thumbnail=False)

    def _warn(self, text: str) -> None:
        from napari.utils.notifications import show_warning

        if text != self._warned:
            self._warned = text
            show_warning(text)


def slide_metadata(slide: Slide) -> dict[str, Any]:
    """Return the metadata of a slide as plain values, sizes in level-0 px."""
    return {
        "path": str(slide.path),
        "mpp": slide.scale.mpp,
        "mpp_source": str(slide.scale.source),
        "objective_power": slide.objective_power,
        "vendor": slide.vendor,
        "width": slide.width,
        "height": slide.height,
        "quick_hash": slide.quick_hash,
        "properties": dict(slide.properties),
    }


def _warn_of_missing_scale(slide: Slide) -> None:
    from napari.utils.notifications import show_warning

    rejected = slide.scale.rejected
    problem = (
        "states no µm/px" if rejected is None else f"states {rejected:g} µm/px, which cannot be"
    )
    show_warning(
        f"{slide.path.name} {problem}: it is shown in pixels, and the score dock asks for its µm/px"
    )


def _is_slide(place: str | Path) -> bool:
    if is_url(place):
        return may_be_slide(place)  # by its name: asking for it would keep the window waiting
    path = Path(place)
    if path.is_dir():
        return may_be_slide(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        return False
    if suffix in _TIFF_SUFFIXES:
        return _is_slide_tiff(path)
    if suffix == ".dcm":
        return openslide.OpenSlide.detect_format(str(path)) is not None
    return suffix in _SCANNER_SUFFIXES


def _is_slide_tiff(path: Path) -> bool:
    """Tell from its pages whether a TIFF is a slide; no pixels are read."""
    try:
        with open_tiff(path) as tiff:
            return any(_is_slide_page(image.keyframe) for image in slide_images(tiff))
    except Exception:
        # Nobody can read it; but ours says in one line that it is empty or damaged.
        return path.stat().st_size == 0 or _has_tiff_magic(path)


def _is_slide_page(page: tifffile.TiffPage) -> bool:
    colour = page.photometric in _RGB_PHOTOMETRICS and page.bitspersample == 8
    pyramid = page.is_tiled or page.subifds is not None
    return bool(colour and (pyramid or page.imagewidth * page.imagelength > _LARGE_PIXELS))


def _has_tiff_magic(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) in {b"II", b"MM"}
