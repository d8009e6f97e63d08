"""Chooses tiles of an embedding map, highlights them on their slides, and annotates them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import napari
import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from numpy.typing import NDArray
from qtpy.QtCore import QObject
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.palette import Colour
from napari_smse.similarity.tile_outlines import tiles_within
from napari_smse.widgets.embedding_map.messages import describe_selection, most_called
from napari_smse.widgets.embedding_map.scatter_plot import ScatterPlot
from napari_smse.widgets.embedding_map.selection_panel import Outlined, SelectionPanel, outlined
from napari_smse.widgets.hit_annotations import add_as_regions
from napari_smse.widgets.layers.regions import drawn_region, visible_region
from napari_smse.widgets.layers.selection_layer import SelectionLayers
from napari_smse.widgets.scored_slides import classes_for
from napari_smse.widgets.slide_layers import layer_with
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.embedding_map import EmbeddingMap


class SelectionController(QObject):
    """The chosen tiles of a map, in the plot and on the slides.

    Parameters
    ----------
    viewer
        Where the slides are.
    plot
        Where tiles are chosen by drawing around their points.
    panel
        Where tiles are chosen by their place on a slide, and annotated.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        plot: ScatterPlot,
        panel: SelectionPanel,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._plot, self._panel = viewer, plot, panel
        self._space: EmbeddingMap | None = None
        self._unlikeness: NDArray[np.float32] | None = None
        self._highlights = SelectionLayers(viewer)
        # Without a parent, as a worker may still speak while the dock is being destroyed.
        self.outlining = Worker()
        self.outlining.returned.connect(self._annotate)
        plot.chosen.connect(self._show_selection)
        panel.drawn.clicked.connect(partial(self._choose_on_slide, drawn_region))
        panel.in_view.clicked.connect(partial(self._choose_on_slide, visible_region))
        panel.nothing.clicked.connect(self._choose_nothing)
        panel.annotate.clicked.connect(self._outline)

    def follow(self, space: EmbeddingMap | None) -> None:
        """Choose tiles of this map, which the plot shows, from now on; at first none of them."""
        self._space = space
        self._choose_nothing()

    def take_unlikeness(self, values: NDArray[np.float32] | None) -> None:
        """Take note of how far the tiles are out of distribution; such tiles are not called."""
        self._unlikeness = values
        if self._space is not None and values is not None:
            self._describe(self._plot.selection)

    def allow_annotating(self) -> None:
        """Let the chosen tiles be annotated, if there are any."""
        self._panel.annotate.setEnabled(bool(self._plot.selection.any()))

    # -- choosing --------------------------------------------------------------------

    def _choose_nothing(self) -> None:
        self._plot.select(np.zeros(len(self._plot.selection), dtype=bool))
        self._show_selection(self._plot.selection)

    def _choose_on_slide(
        self, region_of: Callable[[napari.Viewer, Image], BaseGeometry], *_: object
    ) -> None:
        """Choose the tiles in a region of the slides that are seen."""
        if self._space is None:
            return
        selection = np.zeros(len(self._space), dtype=bool)
        try:
            for number, one in enumerate(self._space.slides):
                layer = layer_with(self._viewer, one.slide.quick_hash)
                if layer is not None and layer.visible:
                    within = tiles_within(one.tiles, region_of(self._viewer, layer))
                    selection[self._space.rows_of(number)] = within
        except SmseError as error:
            show_error(str(error))
            return
        self._plot.select(selection)
        self._show_selection(selection)
        if not selection.any():
            show_info("No scored tile lies there.")

    def _show_selection(self, selection: NDArray[np.bool_]) -> None:
        self.outlining.cancel()
        if self._space is None:
            self._highlights.hide()
            self._panel.set_chosen("No tile is chosen.", any_chosen=False)
            return
        self._panel.offer(self._classes())
        if selection.any():
            self._panel.suggest(most_called(self._space, selection))
        self._highlights.show(self._space, selection)
        self._describe(selection)

    def _describe(self, selection: NDArray[np.bool_]) -> None:
        assert self._space is not None
        text = describe_selection(self._space, selection, self._unlikeness)
        self._panel.set_chosen(text, any_chosen=bool(selection.any()))

    # -- annotating ------------------------------------------------------------------

    def _outline(self) -> None:
        if self._space is not None and self._plot.selection.any():
            self._panel.annotate.setEnabled(False)
            self.outlining.start(partial(outlined, self._space, self._plot.selection.copy()))

    def _annotate(self, outlines: Sequence[Outlined]) -> None:
        """Keep what was outlined, on all slides at once or, if that failed, on none."""
        self._panel.annotate.setEnabled(True)
        name, sentences = self._panel.classes.currentText(), []
        for one, regions in outlines:
            layer = layer_with(self._viewer, one.slide.quick_hash)
            if layer is not None:
                add_as_regions(self._viewer, layer, one.slide, name, regions)
                number = counted(len(regions), "regions")
                sentences.append(f"{number} of class {name} added on {one.slide.name}.")
        self._panel.show_outcome(" ".join(sentences))

    def _classes(self) -> dict[str, Colour]:
        """Return the classes that the mapped slides can be annotated with."""
        found: dict[str, Colour] = {}
        for one in () if self._space is None else self._space.slides:
            layer = layer_with(self._viewer, one.slide.quick_hash)
            if layer is not None:
                offered = classes_for(self._viewer, layer, one.slide)
                found = {**offered, **found}
        return found
