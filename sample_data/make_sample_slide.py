"""Draws `sample_slide.tif` and `sample_annotations.geojson`: H&E-like, but not tissue.

Three islands lie on bright glass: ordered glands, a disordered mass of large nuclei, and fat with a
few glands; beside them somebody has used a pen. Everything is drawn in stain concentrations
(haematoxylin, eosin) and turned into colour by Beer-Lambert, so that colour deconvolution finds
sensible stains. Each island has its own seed and can be drawn alone.

Run it from anywhere: python sample_data/make_sample_slide.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, zoom
from scipy.spatial import cKDTree
from shapely.geometry import LineString, Polygon, mapping

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, MPP, SEED = 6144, 4608, 0.25, 20210701
GLASS = np.array([243.0, 242.0, 244.0], np.float32)
HAEMATOXYLIN = np.array(
    [0.5626, 0.7201, 0.4062], np.float32
)  # optical density, Macenko et al. 2009
EOSIN = np.array([0.2159, 0.8012, 0.5581], np.float32)
PEN_DENSITY = np.array([1.75, 0.75, 0.22], np.float32)  # blue felt-tip
COLOURS = {
    "Benign-like": (0, 114, 178),
    "Malignant-like": (213, 94, 0),
    "Fat-like": (240, 228, 66),
    "Pen": (0, 158, 115),
}
Field = NDArray[np.float32]


@dataclass(frozen=True)
class Island:
    """A piece of tissue: centre and mean radii in px of the slide."""

    kind: str
    x: int
    y: int
    radius_x: int
    radius_y: int
    seed: int

    @property
    def reach(self) -> tuple[int, int]:
        return int(self.radius_x * 1.35), int(self.radius_y * 1.35)

    @property
    def origin(self) -> tuple[int, int]:
        return self.x - self.reach[0], self.y - self.reach[1]


ISLANDS = (
    Island("Benign-like", 1560, 1950, 1080, 1330, 1),
    Island("Malignant-like", 4330, 1620, 1180, 1010, 2),
    Island("Fat-like", 4150, 3640, 1220, 610, 3),
)
PEN = ((2860, 330), (2760, 820), (2900, 1360), (2800, 1900), (2960, 2400), (2840, 2760))


@dataclass
class Stains:
    """Concentrations of haematoxylin and eosin in a patch, and how much of a pixel is tissue."""

    haematoxylin: Field
    eosin: Field
    cover: Field

    def __post_init__(self) -> None:
        self.height, self.width = self.cover.shape

    def lay(self, x: float, y: float, half: int, shape: Brush) -> None:
        """Paint `shape`, a function of (dx, dy) giving opacity and both stains, around (x, y)."""
        x0, y0 = max(int(x) - half, 0), max(int(y) - half, 0)
        x1, y1 = min(int(x) + half + 1, self.width), min(int(y) + half + 1, self.height)
        if x0 >= x1 or y0 >= y1:
            return
        dx = np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(x)
        dy = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(y)
        opacity, haematoxylin, eosin = shape.paint(dx, dy)
        for channel, value in ((self.haematoxylin, haematoxylin), (self.eosin, eosin)):
            patch = channel[y0:y1, x0:x1]
            patch += opacity * (value - patch)


class Brush:
    def paint(self, dx: Field, dy: Field) -> tuple[Field, Field, Field]:
        raise NotImplementedError


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Field:
    """Noise of mean 0 and deviation 1 whose blobs are about `grain` px wide."""
    step = max(1, int(grain / 4))
    coarse = rng.standard_normal((shape[0] // step + 3, shape[1] // step + 3)).astype(np.float32)
    coarse = gaussian_filter(coarse, grain / step / 2.5)
    coarse /= coarse.std()
    fine = zoom(coarse, step, order=1) if step > 1 else coarse
    return fine[: shape[0], : shape[1]]


def fibres(rng: np.random.Generator, shape: tuple[int, int], angle: float) -> Field:
    """Wavy strands along `angle`, deviation about 1, for the collagen of the stroma."""
    texture = smooth_noise(rng, (1024, 1024), 8)
    half = (shape[0] // 2 + 1, shape[1] // 2 + 1)
    y, x = np.mgrid[: half[0], : half[1]].astype(np.float32)
    bend = 90 * smooth_noise(rng, half, 420)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle) + bend
    drawn = map_coordinates(texture, (across, along / 9), order=1, mode="grid-wrap")
    return zoom(drawn, 2, order=1)[: shape[0], : shape[1]]


def wobble(rng: np.random.Generator, strength: float, orders: range) -> tuple[Field, Field, Field]:
    count = np.array(list(orders), np.float32)
    size = (strength * rng.standard_normal(len(count)) / np.sqrt(count)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, len(count)).astype(np.float32)
    return count, size, phase


def outline(theta: Field, waves: tuple[Field, Field, Field]) -> Field:
    """Radius of a wobbly circle at the angles `theta`, about 1."""
    count, size, phase = waves
    radius = np.ones_like(theta)
    for k, a, p in zip(count, size, phase, strict=True):
        radius += a * np.cos(k * theta + p)
    return np.clip(radius, 0.45, 1.3)


def ramp(value: Field, width: float) -> Field:
    """0 below zero, 1 above `width`, straight in between: an edge that is not a staircase."""
    return np.clip(value / width, 0, 1)


class Nucleus(Brush):
    def __init__(
        self,
        rng: np.random.Generator,
        chromatin: Field,
        axes: tuple[float, float],
        angle: float,
        *,
        stain: float,
        unrest: float,
    ) -> None:
        self.axes, self.angle, self.stain, self.unrest = axes, angle, stain, unrest
        self.waves = wobble(rng, unrest, range(2, 5))
        self.chromatin = chromatin
        self.offset = rng.integers(0, chromatin.shape[0] - 160, 2)
        self.nucleolus = rng.uniform(-0.35, 0.35, 2) if unrest > 0.1 else None

    def paint(self, dx: Field, dy: Field) -> tuple[Field, Field, Field]:
        u = (dx * np.cos(self.angle) + dy * np.sin(self.angle)) / self.axes[0]
        v = (dy * np.cos(self.angle) - dx * np.sin(self.angle)) / self.axes[1]
        distance = np.hypot(u, v)
        edge = outline(np.arctan2(v, u), self.waves)
        inside = (edge - distance) * min(self.axes)
        rim = np.exp(-((inside / 2.2) ** 2))
        y, x = self.offset
        texture = self.chromatin[y : y + dy.shape[0], x : x + dx.shape[1]]
        strength = self.stain * (0.86 + (0.16 + 0.5 * self.unrest) * texture) + 0.3 * rim
        if self.nucleolus is not None:
            far = np.hypot(u - self.nucleolus[0], v - self.nucleolus[1])
            strength = strength + 0.7 * np.exp(-((far / 0.17) ** 2))
        return ramp(inside, 2.0) * 0.93, np.maximum(strength, 0.2), np.full_like(u, 0.28)


class Gland(Brush):
    """A ring of cells around an open lumen; nuclei are laid on afterwards."""

    def __init__(self, rng: np.random.Generator, radius: float) -> None:
        self.radius = radius
        self.stretch = rng.uniform(1.0, 1.35)
        self.angle = rng.uniform(0, np.pi)
        self.waves = wobble(rng, 0.07, range(2, 6))
        self.lumen = rng.uniform(0.3, 0.46)

    def place(self, theta: float, depth: float) -> tuple[float, float, float]:
        """Offset from the centre, and direction outwards, at an angle and a relative depth."""
        r = self.radius * depth * float(outline(np.array([theta], np.float32), self.waves)[0])
        u, v = r * np.cos(theta) * self.stretch, r * np.sin(theta)
        c, s = np.cos(self.angle), np.sin(self.angle)
        dx, dy = u * c - v * s, u * s + v * c
        return dx, dy, float(np.arctan2(dy, dx))

    def paint(self, dx: Field, dy: Field) -> tuple[Field, Field, Field]:
        c, s = np.cos(self.angle), np.sin(self.angle)
        u, v = (dx * c + dy * s) / self.stretch, dy * c - dx * s
        depth = np.hypot(u, v) / (self.radius * outline(np.arctan2(v, u), self.waves))
        wall = ramp(depth - self.lumen, 0.035)
        basement = np.exp(-(((depth - 1.0) * self.radius / 5) ** 2))
        eosin = wall * (0.34 + 0.1 * np.cos(9 * depth)) + 0.35 * basement + 0.02
        haematoxylin = wall * (0.12 + 0.05 * depth)
        return ramp(1.04 - depth, 0.03), haematoxylin, eosin


def island_polygon(island: Island) -> Polygon:
    """The outline of an island in px of the slide."""
    rng = np.random.default_rng([SEED, island.seed, 0])
    theta = np.linspace(0, 2 * np.pi, 160, endpoint=False, dtype=np.float32)
    radius = outline(theta, wobble(rng, 0.075, range(2, 8)))
    x = island.x + island.radius_x * radius * np.cos(theta)
    y = island.y + island.radius_y * radius * np.sin(theta)
    return Polygon(np.column_stack([x, y]).round(1))


def island_cover(island: Island, rng: np.random.Generator) -> Field:
    reach_x, reach_y = island.reach
    y, x = np.mgrid[-reach_y:reach_y, -reach_x:reach_x].astype(np.float32)
    u, v = x / island.radius_x, y / island.radius_y
    edge = np.random.default_rng([SEED, island.seed, 0])
    radius = outline(np.arctan2(v, u), wobble(edge, 0.075, range(2, 8)))
    ragged = 9 * smooth_noise(rng, u.shape, 60) + 4 * smooth_noise(rng, u.shape, 14)
    return ramp((radius - np.hypot(u, v)) * min(island.radius_x, island.radius_y) + ragged, 5)


def scatter(rng: np.random.Generator, stains: Stains, gap: float, jitter: float) -> Iterator[tuple]:
    """Points on a shaken hexagonal grid, where there is tissue."""
    for row, y in enumerate(np.arange(gap / 2, stains.height, gap * 0.866)):
        for x in np.arange(gap / 2 * (1 + row % 2), stains.width, gap):
            px, py = np.array([x, y]) + rng.uniform(-jitter, jitter, 2) * gap
            if not (0 <= px < stains.width and 0 <= py < stains.height):
                continue
            if stains.cover[int(py), int(px)] > 0.5:
                yield px, py


def stroma(island: Island, rng: np.random.Generator) -> Stains:
    cover = island_cover(island, rng)
    strands = fibres(rng, cover.shape, rng.uniform(0.2, 1.2))
    density = 0.55 + 0.11 * strands + 0.07 * smooth_noise(rng, cover.shape, 300)
    clefts = ramp(strands - 1.75, 0.25) * 0.85
    density += 0.06 * smooth_noise(rng, cover.shape, 3) * density
    eosin = np.maximum(density, 0.08) * (1 - clefts)
    return Stains(0.05 + 0.03 * eosin, eosin, cover)


def chromatin_texture(rng: np.random.Generator) -> Field:
    return 0.7 * smooth_noise(rng, (512, 512), 7) + 0.5 * smooth_noise(rng, (512, 512), 3)


def strew_stroma_nuclei(rng: np.random.Generator, stains: Stains, chromatin: Field) -> None:
    """Spindle cells, mostly along the fibres, and a few lymphocytes."""
    for x, y in scatter(rng, stains, 92, 0.48):
        if rng.random() < 0.22:
            axes, stain = (rng.uniform(9, 11),) * 2, 1.5
        else:
            axes, stain = (rng.uniform(16, 26), rng.uniform(4, 6)), 1.05
        angle = 0.8 + rng.normal(0, 0.45)
        nucleus = Nucleus(rng, chromatin, axes, angle, stain=stain, unrest=0.04)
        stains.lay(x, y, 32, nucleus)


def draw_gland(rng: np.random.Generator, stains: Stains, chromatin: Field, x: float, y: float,
               radius: float) -> None:  # fmt: skip
    gland = Gland(rng, radius)
    stains.lay(x, y, int(radius * 2.1), gland)
    around = 2 * np.pi * radius * (1 + gland.stretch) / 2 * 0.8
    for theta in np.arange(0, 2 * np.pi, 2 * np.pi * 24 / around):
        depth = rng.normal(0.8, 0.035)
        dx, dy, outwards = gland.place(theta + rng.normal(0, 0.015), depth)
        axes = (rng.uniform(14, 17), rng.uniform(8.5, 10.5))
        angle = outwards + rng.normal(0, 0.12)
        nucleus = Nucleus(rng, chromatin, axes, angle, stain=1.05, unrest=0.03)
        stains.lay(x + dx, y + dy, 24, nucleus)


def draw_benign(island: Island, rng: np.random.Generator) -> Stains:
    stains, chromatin = stroma(island, rng), chromatin_texture(rng)
    strew_stroma_nuclei(rng, stains, chromatin)
    for x, y in scatter(rng, stains, 410, 0.12):
        draw_gland(rng, stains, chromatin, x, y, rng.uniform(100, 148))
    return stains


def draw_malignant(island: Island, rng: np.random.Generator) -> Stains:
    stains, chromatin = stroma(island, rng), chromatin_texture(rng)
    strew_stroma_nuclei(rng, stains, chromatin)
    strands = np.abs(smooth_noise(rng, stains.cover.shape, 620))
    nests = ramp(strands - 0.13, 0.03) * 0.92
    cytoplasm = 0.42 + 0.09 * smooth_noise(rng, nests.shape, 40)
    stains.eosin += nests * (cytoplasm - stains.eosin)
    stains.haematoxylin += nests * (0.27 + 0.05 * smooth_noise(rng, nests.shape, 90) - 0.06)
    for x, y in scatter(rng, stains, 45, 0.36):
        if nests[int(y), int(x)] < 0.5:
            continue
        size = float(np.clip(rng.lognormal(np.log(19), 0.28), 11, 38))
        axes = (size * rng.uniform(1, 1.35), size * rng.uniform(0.7, 1))
        stain = float(np.clip(rng.normal(1.15, 0.3), 0.6, 2.0))
        nucleus = Nucleus(
            rng, chromatin, axes, rng.uniform(0, np.pi), stain=stain, unrest=rng.uniform(0.11, 0.2)
        )
        stains.lay(x, y, int(max(axes) * 1.35) + 4, nucleus)
    return stains


def draw_fat(island: Island, rng: np.random.Generator) -> Stains:
    """Empty cells with thin walls: the walls are where two cell centres are equally far."""
    stains, chromatin = stroma(island, rng), chromatin_texture(rng)
    seeds = np.array(list(scatter(rng, stains, 215, 0.3)))
    y, x = np.mgrid[0 : stains.height : 2, 0 : stains.width : 2]
    distance, _ = cKDTree(seeds).query(np.column_stack([x.ravel(), y.ravel()]), k=3)
    nearest, second, third = distance.astype(np.float32).T
    # Adding the third neighbour rounds the corners where walls meet.
    gap = (second - nearest) - 60 * np.exp(-(third - nearest) / 28)
    gap = zoom(gap.reshape(x.shape), 2, order=1)[: stains.height, : stains.width]
    rim = zoom(distance_transform_edt(stains.cover[::2, ::2] > 0.5), 2, order=1) * 2
    gap = np.minimum(gap, 4 * rim[: stains.height, : stains.width].astype(np.float32) - 40)
    empty = ramp(gap - 7, 4)
    septum = smooth_noise(rng, empty.shape, 900)
    empty *= ramp(1.25 - septum, 0.1)
    stains.cover *= 1 - 0.985 * empty
    for x0, y0 in scatter(rng, stains, 60, 0.5):
        if gap[int(y0), int(x0)] < 6 and rng.random() < 0.35:
            axes = (rng.uniform(12, 18), rng.uniform(3.5, 5))
            angle = rng.uniform(0, np.pi)
            nucleus = Nucleus(rng, chromatin, axes, angle, stain=1.1, unrest=0.03)
            stains.lay(x0, y0, 24, nucleus)
    return stains


DRAW = {"Benign-like": draw_benign, "Malignant-like": draw_malignant, "Fat-like": draw_fat}


def draw_island(island: Island) -> Field:
    """Optical density (height, width, 3) of one island's patch."""
    stains = DRAW[island.kind](island, np.random.default_rng([SEED, island.seed, 1]))
    grain = 1 + 0.07 * smooth_noise(
        np.random.default_rng([SEED, island.seed, 2]), stains.cover.shape, 2
    )
    haematoxylin, eosin = (
        (gaussian_filter(stain, 0.7) * grain)[..., None]
        for stain in (stains.haematoxylin, stains.eosin)
    )
    return (haematoxylin * HAEMATOXYLIN + eosin * EOSIN) * stains.cover[..., None]


def pen_polygon() -> Polygon:
    return LineString(PEN).buffer(58).simplify(2)


def draw_pen(density: Field) -> None:
    """A felt-tip stroke with streaks along it, and paler where it was lifted."""
    rng = np.random.default_rng([SEED, 9])
    points = np.array(LineString(PEN).segmentize(4).coords)
    x0, y0 = points.min(axis=0).astype(int) - 80
    x1, y1 = points.max(axis=0).astype(int) + 80
    y, x = np.mgrid[y0:y1, x0:x1]
    far, nearest = cKDTree(points).query(np.column_stack([x.ravel(), y.ravel()]))
    far = far.reshape(x.shape).astype(np.float32)
    progress = nearest.reshape(x.shape) / len(points)
    ragged = far + 3 * smooth_noise(rng, x.shape, 30)
    streaks = 0.8 + 0.12 * np.sin(far / 5.5) + 0.05 * smooth_noise(rng, x.shape, 90)
    ink = ramp(58 - ragged, 6) * streaks * (1.1 - 0.45 * progress)
    density[y0:y1, x0:x1] += ink[..., None].astype(np.float32) * PEN_DENSITY


def to_colour(density: Field) -> NDArray[np.uint8]:
    colour = np.exp(-density)
    colour *= GLASS
    return np.clip(colour + 0.5, 0, 255).astype(np.uint8)


def draw_slide() -> NDArray[np.uint8]:
    """The whole slide, (height, width, 3) RGB."""
    density = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for island in ISLANDS:
        patch = draw_island(island)
        x, y = island.origin
        density[y : y + patch.shape[0], x : x + patch.shape[1]] += patch
    draw_pen(density)
    return to_colour(density)


def halved_twice(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = (side // 4 * 4 for side in image.shape[:2])
    blocks = image[:height, :width].reshape(height // 4, 4, width // 4, 4, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def write_slide(image: NDArray[np.uint8], path: Path) -> None:
    """Three levels as pages of their own: what both OpenSlide and tifffile read as a pyramid."""
    with tifffile.TiffWriter(path) as tiff:
        for level in range(3):
            tiff.write(
                image,
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 80},
                subfiletype=int(level > 0),
                resolution=(10_000 / (MPP * 4**level),) * 2,
                resolutionunit="CENTIMETER",
                description="Drawn, not tissue. CC0." if level == 0 else None,
                software="make_sample_slide.py",
                metadata=None,
            )
            image = halved_twice(image)


def annotation(kind: str, shape: Polygon) -> dict:
    classification = {"name": kind, "color": COLOURS[kind]}
    properties = {"objectType": "annotation", "classification": classification}
    return {"type": "Feature", "geometry": mapping(shape), "properties": properties}


def write_annotations(path: Path) -> None:
    features = [annotation(island.kind, island_polygon(island)) for island in ISLANDS]
    features.append(annotation("Pen", pen_polygon()))
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


if __name__ == "__main__":
    write_slide(draw_slide(), HERE / "sample_slide.tif")
    write_annotations(HERE / "sample_annotations.geojson")
