"""The heat maps of a run as napari layers, filled in while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_smse.scoring import (
    HeatMap,
    HeatMapBuilder,
    ScaleScores,
    TileScores,
    fuse,
    objective_power,
)
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan
from napari_smse.widgets.map_colours import CLASS_COLOUR, map_colours

MAP_KEY = "napari_smse_map"
"""Key of a map layer's metadata: slide, class and scale that it shows."""

FUSED = "fused"


@dataclass(frozen=True)
class MapName:
    """Which map a layer shows.

    Parameters
    ----------
    class_name
        The class whose probability it is.
    scale
        Objective power, such as ``20x``, or `FUSED`.
    """

    class_name: str
    scale: str

    def __str__(self) -> str:
        """As the layer list shows it."""
        return f"P({self.class_name}) {self.scale}"


class HeatLayers:
    """One image layer per class and scale, and one per class over all trained scales.

    Parameters
    ----------
    viewer
        Where the layers go.
    slide_layer, slide
        The slide they lie on.
    plan
        The tiles that will be scored.
    classes
        Class names, in the order of the probabilities.
    fused
        Scales that the fused maps are made of.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        slide_layer: Layer,
        slide: Slide,
        plan: TilePlan,
        classes: Sequence[str],
        fused: Sequence[int],
    ) -> None:
        self.plan, self.classes = plan, tuple(classes)
        self._viewer, self._slide_layer, self._slide = viewer, slide_layer, slide
        self._fused = tuple(fused)
        self._builders = [[HeatMapBuilder(tiles.grid) for _ in classes] for tiles in plan.scales]
        self._probability = [
            np.full((len(tiles), len(classes)), np.nan, dtype=np.float32) for tiles in plan.scales
        ]
        self._stale: set[MapName] = set()
        self.layers: dict[MapName, Image] = {}
        self._remove_old()
        self._add_layers()

    def __iter__(self) -> Iterator[MapName]:
        """Names of the maps."""
        return iter(self.layers)

    @property
    def scale_names(self) -> list[str]:
        """Objective power of each scale of the plan."""
        return [f"{objective_power(t.grid.spec.mpp):.3g}x" for t in self.plan.scales]

    def add(self, scores: Sequence[TileScores]) -> None:
        """Take in new results; `refresh` shows them."""
        for part in scores:
            tiles = self.plan.scales[part.scale]
            self._probability[part.scale][part.index] = part.probability
            for number, builder in enumerate(self._builders[part.scale]):
                builder.add(
                    tiles.columns[part.index], tiles.rows[part.index], part.probability[:, number]
                )
        if scores:
            self._stale.update(self.layers)

    def refresh(self, *, hidden: bool = False) -> None:
        """Show what is new, in hidden layers only on request."""
        for name in sorted(self._stale, key=str):
            layer = self.layers[name]
            if layer not in self._viewer.layers:
                self._stale.discard(name)
            elif layer.visible or hidden:
                layer.data = self.heat_map(name).values
                self._stale.discard(name)

    def heat_map(self, name: MapName) -> HeatMap:
        """The values of a map so far."""
        number = self.classes.index(name.class_name)
        if name.scale == FUSED:
            return fuse([self._builders[scale][number].heat_map() for scale in self._fused])
        return self._builders[self.scale_names.index(name.scale)][number].heat_map()

    def scores(self) -> list[ScaleScores]:
        """All results so far, without embeddings."""
        none = np.empty((0, 0), dtype=np.float16)
        return [
            ScaleScores(tiles, probability, none)
            for tiles, probability in zip(self.plan.scales, self._probability, strict=True)
        ]

    def values_at(self, x: float, y: float) -> dict[str, dict[str, float]]:
        """Probabilities by scale and class at a level-0 point, where a tile was scored."""
        found: dict[str, dict[str, float]] = {}
        for scale, builders in zip(self.scale_names, self._builders, strict=True):
            values = [builder.value_at(x, y) for builder in builders]
            if np.isfinite(values).all():
                found[scale] = dict(zip(self.classes, values, strict=True))
        return found

    def show_only(self, name: MapName) -> None:
        """Show one map and hide the others."""
        for other, layer in self.layers.items():
            layer.visible = other == name
        self.refresh()

    def _remove_old(self) -> None:
        """Take away the maps of an earlier run on this slide."""
        mark = self._slide.quick_hash
        for layer in list(self._viewer.layers):
            if layer.metadata.get(MAP_KEY, {}).get("slide") == mark:
                self._viewer.layers.remove(layer)

    def _add_layers(self) -> None:
        scales = list(self.scale_names)
        if len(scales) > 1:
            scales.append(FUSED)
        for scale in scales:
            for class_name in self.classes:
                name = MapName(class_name, scale)
                self.layers[name] = self._add_layer(name)
        shown = "malignant" if "malignant" in self.classes else self.classes[-1]
        first = MapName(shown, scales[-1])
        self.layers[first].visible = True
        self._viewer.layers.selection.active = self.layers[first]

    def _add_layer(self, name: MapName) -> Image:
        heat_map = self.heat_map(name)
        scale, translate = self._placed(heat_map)
        layer = Image(
            heat_map.values,
            name=f"{name} · {self._slide.name}",
            scale=scale,
            translate=translate,
            units=self._slide_layer.units[-2:],
            axis_labels=self._slide_layer.axis_labels[-2:],
            colormap=map_colours(CLASS_COLOUR, name.class_name),
            contrast_limits=(0, 1),
            interpolation2d="nearest",
            opacity=0.7,
            blending="translucent",
            visible=False,
            metadata={
                MAP_KEY: {
                    "slide": self._slide.quick_hash,
                    "class": name.class_name,
                    "scale": name.scale,
                }
            },
        )
        layer.events.visible.connect(lambda _: self.refresh())
        self._viewer.add_layer(layer)
        return layer

    def _placed(self, heat_map: HeatMap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale and translation of a map's layer.

        A cell of c level-0 px starts at the edge of its first pixel, but napari
        places layers by the centre of pixel 0: hence (c - 1) / 2.
        """
        px = np.asarray(self._slide_layer.scale[-2:], dtype=np.float64)
        origin = np.array([heat_map.y, heat_map.x])
        shift = np.asarray(self._slide_layer.translate[-2:], dtype=np.float64)
        return px * heat_map.cell, shift + px * (origin + (heat_map.cell - 1) / 2)
