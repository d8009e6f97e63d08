"""The file that a slide's tissue is taken from, and what is left out by it.

What a file says of a slide is kept in the cache, packed: a network takes minutes to find it.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import platformdirs

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import MaskError, OutputError, RequestError
from napari_smse.slides import Region, Slide
from napari_smse.tiles.tissue_mask import ARTEFACTS, Ground, TissueMask

MASKS_KEPT: Final = 500
"""Masks of that many slides stay in the cache."""

NO_ARTEFACT: Final = "none"
"""What stands for leaving nothing out."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskChoice:
    """What takes the place of tissue by colour.

    Parameters
    ----------
    path
        GeoJSON, or the weights of a network.
    sha256
        Of its content.
    left_out
        The artefacts that are not scored.
    mpp
        um/px that a network is to run at; None for its own, and for GeoJSON.
    """

    path: Path
    sha256: str
    left_out: frozenset[Ground]
    mpp: float | None = None

    @classmethod
    def from_facts(cls, request: Mapping[str, Any], source: Mapping[str, Any]) -> MaskChoice | None:
        """Return the choice that `facts` tells of; None if tissue was found by its colours.

        Parameters
        ----------
        request
            Facts of the request.
        source
            Where the file was: ``path``.
        """
        if "tissue_mask" not in request:
            return None
        left_out = left_out_by(request.get("leave_out") or [NO_ARTEFACT])
        path = Path(str(source.get("path", "the tissue mask")))
        return cls(path, request["tissue_mask"], left_out, request.get("mask_mpp"))

    def facts(self) -> dict[str, Any]:
        """What scores depend on, as JSON values; the same file anywhere has the same."""
        names = sorted(name for name, ground in ARTEFACTS.items() if ground in self.left_out)
        facts = {"tissue_mask": self.sha256, "leave_out": names}
        return facts if self.mpp is None else facts | {"mask_mpp": self.mpp}

    def applied(self, mask: TissueMask) -> TissueMask:
        """Return a mask with what is left out by this choice."""
        return replace(mask, left_out=self.left_out)

    def known(self, slide: Slide, *, icc: bool = False) -> TissueMask | None:
        """Return what the file says of a slide, if it was asked before; None if not."""
        try:
            return self.applied(unpack_mask(self._cached(slide, icc=icc).read_bytes()))
        except (OSError, MaskError):
            return None

    def keep(self, slide: Slide, mask: TissueMask, *, icc: bool = False) -> None:
        """Remember what the file says of a slide; that it cannot be is logged."""
        path = self._cached(slide, icc=icc)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, pack_mask(mask))
            _forget_old(path.parent)
        except (OSError, OutputError) as error:
            _log.warning("The tissue mask of %s cannot be kept: %s", slide.name, error)

    def _cached(self, slide: Slide, *, icc: bool) -> Path:
        asked = [slide.quick_hash, slide.mpp, self.sha256, self.mpp, icc]
        name = sha256(json.dumps(asked).encode()).hexdigest()[:32]
        return platformdirs.user_cache_path("napari-smse") / "tissue-masks" / f"{name}.npz"


def left_out_by(names: Collection[str]) -> frozenset[Ground]:
    """Return the artefacts of these names; ``none`` alone stands for none of them.

    Raises
    ------
    RequestError
        There is no such artefact.
    """
    if list(names) == [NO_ARTEFACT]:
        return frozenset()
    for name in names:
        if name not in ARTEFACTS:
            raise RequestError(
                f"There is no artefact {name!r} to leave out: choose from {', '.join(ARTEFACTS)}, "
                f"or {NO_ARTEFACT} alone to score them all."
            )
    return frozenset(ARTEFACTS[name] for name in names)


def mask_sha256(path: Path) -> str:
    """Return the SHA-256 of a mask's file; one that has not changed since is not read again.

    Raises
    ------
    MaskError
        It cannot be read.
    """
    try:
        facts = path.stat()
        return _sha256(str(path), facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise MaskError(
            f"{path} cannot be read ({error.strerror or error}): give the GeoJSON or the weights "
            "that tissue is to be found by."
        ) from error


@lru_cache(maxsize=256)
def _sha256(path: str, _size: int, _time: int) -> str:
    with Path(path).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def pack_mask(mask: TissueMask) -> bytes:
    """Return a mask as the bytes of a NumPy archive."""
    region = mask.region
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        ground=mask.ground,
        region=np.array([region.x, region.y, region.width, region.height]),
        words=np.array([mask.stain, mask.notice]),
    )
    return packed.getvalue()


def unpack_mask(packed: bytes) -> TissueMask:
    """Return the mask that `pack_mask` packed; nothing in it is run.

    Raises
    ------
    MaskError
        It is damaged.
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            stain, notice = (str(text) for text in arrays["words"])
            region = Region(*(int(side) for side in arrays["region"]))
            return TissueMask(arrays["ground"], region, stain, notice=notice)
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise MaskError(
            "A tissue mask in the cache is damaged: it has to be found again."
        ) from error


def _forget_old(folder: Path) -> None:
    masks = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    for path in masks[: max(0, len(masks) - MASKS_KEPT)]:
        path.unlink(missing_ok=True)
