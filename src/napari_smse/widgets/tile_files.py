"""Files of other programs about the tiles of the slide in view, opened by napari's readers.

Scores become layers over the slide, and features the slide's run. napari hands a reader a path
alone, and so the slide is looked for in the viewer.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import napari
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject

from napari_smse.annotations.geojson import holds_annotations
from napari_smse.errors import DataError, SmseError
from napari_smse.reader import LayerData
from napari_smse.results.exchange.h5_values import h5_content
from napari_smse.results.exchange.tile_values import SUFFIXES, read_tile_values
from napari_smse.widgets.dock import main_window, of_viewer
from napari_smse.widgets.layers.tile_value_layers import value_layers
from napari_smse.widgets.session import session_of
from napari_smse.widgets.shown_runs import ShownRuns
from napari_smse.widgets.slide_layers import maps_on, slide_of

_NO_LAYERS: Final[list[Any]] = [(None,)]
"""How napari is told that a file was read and brings no layers of its own."""


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return a reader of scores if a slide is in view; napari asks before it opens. Never raises.

    Parameters
    ----------
    path
        A table, HDF5 or GeoJSON file, or several.
    """
    paths = [Path(one) for one in ([path] if isinstance(path, str) else path)]
    try:
        readable = all(one.suffix.lower() in SUFFIXES and not _is_drawn(one) for one in paths)
        return read_values if paths and readable and _slide_layer() is not None else None
    except SmseError:
        return None


def read_values(path: str | Sequence[str]) -> list[LayerData]:
    """Return the layers that show the scores of the slide in view.

    Features become its run, in the background, and have no layers.

    Raises
    ------
    DataError
        The file cannot be read, or is of another slide; napari shows the message.
    """
    layer, viewer = _slide_layer(), napari.current_viewer()
    assert layer is not None
    assert viewer is not None
    paths = [Path(one) for one in ([path] if isinstance(path, str) else path)]
    content = {one: h5_content(one) for one in paths}
    features = [one for one, found in content.items() if found.features]
    if len(features) > 1:
        names = ", ".join(one.name for one in features)
        raise DataError(f"A slide has one run in force: open one of {names} at a time.")
    made_layers = [
        made
        for one in paths
        if content[one].scores or one not in features
        for values in read_tile_values(one, slide_of(layer))
        for made in value_layers(values, layer, slide_of(layer).quick_hash)
    ]
    for one in features:
        feature_files(viewer).open(layer, one)
    if not made_layers:
        return _NO_LAYERS
    _hide_maps_on(slide_of(layer).quick_hash)
    return made_layers


def _hide_maps_on(slide: str) -> None:
    """Hide the slide's maps: two lie over each other unreadably, and the legend is of one."""
    viewer = napari.current_viewer()
    for layer in [] if viewer is None else maps_on(viewer, slide):
        session_of(viewer).set_shown(layer, False)


def _is_drawn(path: Path) -> bool:
    """Whether it is GeoJSON with regions that somebody drew, which *SMSE: Annotate* loads."""
    return path.suffix.lower() in (".geojson", ".json") and holds_annotations(path)


def _slide_layer() -> Image | None:
    viewer = napari.current_viewer()
    return None if viewer is None else session_of(viewer).slide_layer


class FeatureFiles(QObject):
    """Opens files of features in one viewer, and says what came of it.

    Parameters
    ----------
    viewer
        Where the slides are.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        window = main_window(viewer)
        super().__init__(window)
        self._session = session_of(viewer)
        self.runs = ShownRuns(viewer, self)
        self.runs.described.connect(show_info)
        self.runs.problem.connect(show_error)
        window.destroyed.connect(weakref.finalize(self, self.runs.task.closing.set))

    def open(self, layer: Image, path: Path) -> None:
        """Begin to read a file; its tiles take the place of the slide's run once they are there.

        Parameters
        ----------
        layer
            The slide's.
        path
            The file.

        Raises
        ------
        DataError
            The slide is being scored, whose run must not be taken away.
        """
        slide = slide_of(layer)
        if self._session.is_scoring(layer):
            raise DataError(
                f"{slide.name} is being scored: wait for its end, or cancel it, and open "
                f"{path.name} again."
            )
        self.runs.open_features(layer, slide, path)


def feature_files(viewer: napari.Viewer) -> FeatureFiles:
    """Return what opens files of features in a viewer, made when it is first asked for."""
    return of_viewer(FeatureFiles, viewer)
