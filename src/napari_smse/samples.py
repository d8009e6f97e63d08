"""Slides to try napari-smse on, in napari's File > Open Sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_smse.errors import DamagedSlideError, SlideNotFoundError
from napari_smse.reader import LayerData, read_slides

CMU_NAME = "CMU-1-Small-Region.svs"
CMU_URL = f"https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/{CMU_NAME}"
CMU_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"

_GENERATED_NAME = "sample_slide.tif"


def generated_slide() -> list[LayerData]:
    """Open the generated slide that is shipped with the package.

    Raises
    ------
    SlideNotFoundError
        When the installation lacks it.
    """
    return read_slides(str(generated_slide_path()))


def generated_slide_path() -> Path:
    """Return the generated slide: in the package, or at the root of an editable install."""
    package = Path(__file__).resolve().parent
    for root in (package, package.parent.parent):
        path = root / "sample_data" / _GENERATED_NAME
        if path.is_file():
            return path
    raise SlideNotFoundError(
        f"this installation lacks sample_data/{_GENERATED_NAME}; install napari-smse again"
    )


def cmu_small_region() -> list[LayerData]:
    """Fetch a small real slide of OpenSlide's test data (2 MB, CC0) once, and open it.

    Raises
    ------
    SlideNotFoundError
        When it cannot be fetched; the message says how to get it by hand.
    DamagedSlideError
        When what was fetched is not that slide.
    """
    return read_slides(str(fetch_cmu_small_region()))


def fetch_cmu_small_region(downloader: Any = None, folder: Path | None = None) -> Path:
    """Return the slide in the user's cache, fetched if it is not there.

    Parameters
    ----------
    downloader : callable, optional
        A pooch downloader; pooch's own for HTTPS by default.
    folder : Path, optional
        Folder to cache it in, instead of the user's cache.
    """
    by_hand = f"download {CMU_URL} by hand and open it"
    try:
        import pooch
    except ImportError as error:
        raise SlideNotFoundError(
            f"{CMU_NAME} is fetched with pooch, which is not installed; "
            f"pip install pooch, or {by_hand}"
        ) from error
    try:
        fetched = pooch.retrieve(
            CMU_URL,
            known_hash=f"sha256:{CMU_SHA256}",
            fname=CMU_NAME,
            path=folder or pooch.os_cache("napari-smse"),
            downloader=downloader,
        )
    except ValueError as error:  # what pooch raises for another checksum
        raise DamagedSlideError(
            f"what came for {CMU_NAME} is not that slide (another SHA-256); {by_hand}"
        ) from error
    except OSError as error:  # which the errors of requests are too
        raise SlideNotFoundError(
            f"{CMU_NAME} could not be fetched ({type(error).__name__}); be online, or {by_hand}"
        ) from error
    return Path(fetched)
