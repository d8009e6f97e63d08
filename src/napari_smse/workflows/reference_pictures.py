"""Pictures of a model's reference tiles, found in the data sets they were cut from.

A model brings the embeddings of its reference tiles, their cases and scales, and neither pixels nor
file names. So the images of a case are cut as for the training, embedded by the model, and a tile
is taken for a reference tile where both embeddings are the same but for rounding: the embedding is
the fingerprint. What was found is kept in the user's cache.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import platformdirs
from numpy.typing import NDArray
from PIL import Image

from napari_smse.datasets.crops import crop_grid, picture_tiles
from napari_smse.datasets.public_sets import PublicImage, public_images
from napari_smse.errors import BankError, DataError
from napari_smse.models.card import ModelCard
from napari_smse.progress import Progress, Task
from napari_smse.scoring import ComputeDevice
from napari_smse.scoring.device import usable_cores
from napari_smse.scoring.tile_classifier import TileClassifier
from napari_smse.similarity.bank_file import load_bank, save_bank
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, ExemplarBank
from napari_smse.similarity.neighbours import nearest
from napari_smse.workflows.score_slide import load_cached_model

if TYPE_CHECKING:
    from napari_smse.models import Model

SAME_TILE: Final = 0.2
"""Embeddings no further apart may be of one tile.

With the bundled model, reference tiles lay 0.02 to 0.12 from their own pictures, as they were
embedded in half precision, and 0.35 at least from any other picture of their case.
"""

_CLEARLY: Final = 0.5
"""Any other tile of the case must be further away: this share of its distance, at most."""

_SURELY: Final = 0.13
"""So near, there is no need to look at further images of the case."""

_ROUNDING: Final = 2e-3
_AT_ONCE: Final = 8
"""So many images are read before their tiles are embedded."""

_NO_CASE: Final = "no image of their case is in the folder"
_OTHER: Final = "the images of their case there are other copies, or not those learnt from"
_STOPPED: Final = "the search was stopped before"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundPictures:
    """What a search for pictures found.

    Attributes
    ----------
    bank
        The bank, with the pictures.
    found, wanted
        How many reference tiles without a picture have one now, and were looked for.
    missing
        Why the others have none, and how many.
    """

    bank: ExemplarBank
    found: int
    wanted: int
    missing: Mapping[str, int]

    @property
    def sentence(self) -> str:
        """How many of how many were found, and why not the others, for a person."""
        if not self.wanted:
            return "All reference tiles that come with the model have their pictures."
        reasons = [f"{number:,}: {reason}" for reason, number in self.missing.items()]
        others = f" The others: {'; '.join(reasons)}." if reasons else ""
        return f"Found {self.found:,} of {self.wanted:,} pictures.{others}"


class PictureSearch:
    """Looks for the pictures of those exemplars that are of no slide and have none.

    Parameters
    ----------
    bank
        Exemplars.
    model
        ``bundled`` or the path of the model that made them.
    folder
        Where public data sets lie, in folders of any nesting.
    device
        Where the model runs.
    """

    def __init__(self, bank: ExemplarBank, model: str, folder: Path, device: ComputeDevice) -> None:
        self._bank, self._model, self._folder, self._device = bank, model, folder, device
        self._stopped = threading.Event()
        self._wanted = without_picture(bank)
        self._matches = {row: _Match() for row in self._wanted.tolist()}

    def stop(self) -> None:
        """End the search after the images under way, and keep what was found; from any thread."""
        self._stopped.set()

    def run(self) -> Task[FoundPictures]:
        """Search, with progress in images, and keep what was found in the cache.

        Raises
        ------
        DataError
            The folder holds no image of a case that an exemplar is of.
        ModelError, DeviceError
            The model cannot be read, or does not run.
        BankError
            It did not make the exemplars, or the cache cannot be written.
        """
        yield Progress(0, 0, "Looking through the folder …")
        if not len(self._wanted):
            return FoundPictures(self._bank, 0, 0, {})
        rows = _rows_by_case(self._bank, self._wanted)
        images = self._images_of(rows)
        loaded = self._loaded()
        classify = TileClassifier(loaded, self._device, max(1, usable_cores() - 1))
        total, done = sum(map(len, images.values())), 0
        looked_at = set()
        for case, of_case in images.items():
            for some in _chunks(of_case):
                if self._stopped.is_set():
                    break
                self._compare(some, rows[case], classify, loaded.card.tile_px)
                done += len(some)
                yield Progress(done, total)
                if all(self._matches[row].nearest <= _SURELY for row in rows[case].tolist()):
                    break
            else:
                looked_at.add(case)
        found = self._found(images, looked_at, loaded.card)
        if found.found:
            keep_pictures(found.bank)
        return found

    def _images_of(self, cases: Container[str]) -> dict[str, list[PublicImage]]:
        images: dict[str, list[PublicImage]] = defaultdict(list)
        for image in public_images(self._folder):
            if image.case in cases:
                images[image.case].append(image)
        if not images:
            raise DataError(
                f"{self._folder} holds no image of the cases that this model's reference tiles are "
                "of: choose a folder with BreakHis, EBHI-Seg or the oral set, unpacked, with the "
                "names that their files came with."
            )
        return images

    def _loaded(self) -> Model:
        loaded = load_cached_model(self._model)
        self._bank.require_model(loaded.card.weights_sha256, loaded.card.name)
        return loaded

    def _compare(
        self,
        images: Sequence[PublicImage],
        rows: NDArray[np.intp],
        classify: TileClassifier,
        tile_px: int,
    ) -> None:
        """Compare the tiles of some images with the exemplars of their case, scale by scale."""
        scales = np.round(self._bank.mpps[rows].astype(np.float64), 3)
        wanted = np.unique(scales).tolist()
        cut = [one for image in images for one in _tiles_of(image, wanted, tile_px)]
        if not cut:
            return
        tiles, at = np.stack([tile for _, tile in cut]), np.array([scale for scale, _ in cut])
        _, embeddings = classify(tiles)
        for scale in wanted:
            own, others = rows[scales == scale], np.flatnonzero(at == scale)
            if not len(others):
                continue
            found = nearest(self._bank.embeddings[own], embeddings[others], 2)
            for row, near, distances in zip(
                own.tolist(), found.rows, found.distances.tolist(), strict=True
            ):
                self._matches[row].take(distances, _thumbnail(tiles[others[near[0]]]))

    def _found(
        self, images: Container[str], looked_at: Container[str], card: ModelCard
    ) -> FoundPictures:
        missing: Counter[str] = Counter()
        pictures = {}
        for row, match in self._matches.items():
            case = self._bank.cases[row]
            if match.picture is not None and match.is_clear:
                pictures[row] = match.picture
            else:
                reason = _OTHER if case in looked_at else _STOPPED
                missing[reason if case in images else _NO_CASE] += 1
        bank = with_pictures(self._bank, pictures, _licence(card))
        return FoundPictures(bank, len(pictures), len(self._wanted), missing)


class _Match:
    """The tile nearest to an exemplar so far, and how near the next one is."""

    def __init__(self) -> None:
        self.picture: NDArray[np.uint8] | None = None
        self.nearest = self.second = float("inf")

    def take(self, distances: Sequence[float], picture: NDArray[np.uint8]) -> None:
        """Take the nearest of further tiles, and the distances of the nearest one or two."""
        first, *rest = distances
        known = self.nearest
        self.nearest, self.second = sorted([known, self.second, first, *rest])[:2]
        if first < known:
            self.picture = picture

    @property
    def is_clear(self) -> bool:
        """Whether it is the very tile, and no other one could be."""
        return self.nearest <= SAME_TILE and self.nearest <= _CLEARLY * self.second


def without_picture(bank: ExemplarBank) -> NDArray[np.intp]:
    """Return the rows of the exemplars that are of no slide and have no picture."""
    rows = [row for row in range(len(bank)) if not bank.slides[row] and bank.thumbnail(row) is None]
    return np.array(rows, dtype=np.intp)


def with_pictures(
    bank: ExemplarBank, pictures: Mapping[int, NDArray[np.uint8]], licence: str
) -> ExemplarBank:
    """Return a bank with pictures for some rows, ``(THUMBNAIL_PX, THUMBNAIL_PX, 3)`` each."""
    if not pictures:
        return bank
    shape = (len(bank), THUMBNAIL_PX, THUMBNAIL_PX, 3)
    thumbnails = np.zeros(shape, np.uint8) if bank.thumbnails is None else bank.thumbnails.copy()
    for row, picture in pictures.items():
        thumbnails[row] = picture
    lines = dict.fromkeys([*bank.licence.splitlines(), *licence.splitlines()])
    return replace(bank, thumbnails=thumbnails, licence="\n".join(lines))


def pictures_path(model: str) -> Path:
    """Return where the pictures of the reference tiles of a model lie, by its sha256."""
    folder = platformdirs.user_cache_path("napari-smse") / "reference_pictures"
    return folder / f"{model}.safetensors"


def keep_pictures(bank: ExemplarBank) -> None:
    """Keep the pictures of the exemplars of a bank that are of no slide for the next start.

    Raises
    ------
    BankError
        The cache cannot be written.
    """
    rows = [
        row for row in range(len(bank)) if not bank.slides[row] and bank.thumbnail(row) is not None
    ]
    path = pictures_path(bank.model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BankError(
            f"{path.parent} cannot be made ({error.strerror or error}), so that the pictures found "
            "are not kept: make room on that disk, or allow writing there."
        ) from error
    save_bank(bank.take(rows), path)


def with_cached_pictures(bank: ExemplarBank) -> ExemplarBank:
    """Return a bank with the pictures that were found for its model before, as far as they are.

    What is kept cannot be read: it is left out, as pictures can be found again.
    """
    path = pictures_path(bank.model)
    if not path.is_file():
        return bank
    try:
        kept = load_bank(path)
    except BankError as error:
        logger.warning("pictures of reference tiles are not shown: %s", error)
        return bank
    rows = without_picture(bank)
    if kept.model != bank.model or not len(kept) or not len(rows):
        return bank
    found = nearest(bank.embeddings[rows], kept.embeddings, 1)
    pictures = {
        int(row): picture
        for row, other, distance in zip(rows, found.rows[:, 0], found.distances[:, 0], strict=True)
        if distance <= _ROUNDING and (picture := kept.thumbnail(int(other))) is not None
    }
    return with_pictures(bank, pictures, kept.licence)


def _rows_by_case(bank: ExemplarBank, rows: NDArray[np.intp]) -> dict[str, NDArray[np.intp]]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows.tolist():
        found[bank.cases[row]].append(row)
    return {case: np.array(of_case, dtype=np.intp) for case, of_case in found.items()}


def _chunks(images: Sequence[PublicImage]) -> Iterator[Sequence[PublicImage]]:
    for first in range(0, len(images), _AT_ONCE):
        yield images[first : first + _AT_ONCE]


def _tiles_of(
    image: PublicImage, scales: Sequence[float], tile_px: int
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield the tiles of an image at each scale; none of one that cannot be read."""
    try:
        picture, mpp = image.read()
    except DataError as error:
        logger.warning("left out of the search for pictures: %s", error)
        return
    for scale in scales:
        for crop in picture_tiles(picture, mpp, [scale], tile_px):
            yield scale, crop.tile
        for tile in crop_grid(picture, mpp, scale, tile_px):
            yield scale, tile


def _thumbnail(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = Image.fromarray(tile).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return np.asarray(small)


def _licence(card: ModelCard) -> str:
    return "\n".join(f"{source.name}: {source.licence}" for source in card.training)
