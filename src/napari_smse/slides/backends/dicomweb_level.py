"""One image of a slide on a DICOMweb server: where its frames lie, and how they are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DamagedSlideError, NotASlideError, NotBrightfieldError, SlideError
from napari_smse.slides.backends.base import as_rgb
from napari_smse.slides.backends.dicom_header import DicomHeader, describe_object, header_of
from napari_smse.slides.backends.openslide import MAX_TILE_PIXELS
from napari_smse.slides.dicomweb_errors import NotGivenError
from napari_smse.slides.dicomweb_series import (
    WHOLE_SLIDE_IMAGE,
    DicomwebSeries,
    dataset_of,
    stated_syntaxes,
)
from napari_smse.slides.region import Region

_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1"
_LOSSLESS: Final = (
    "1.2.840.10008.1.2.4.90",  # JPEG 2000
    "1.2.840.10008.1.2.4.80",  # JPEG-LS
    "1.2.840.10008.1.2.4.70",  # JPEG
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.5",  # run lengths
    _UNCOMPRESSED,
)
_LOSSY: Final = {
    "ISO_10918_1": "1.2.840.10008.1.2.4.50",  # JPEG
    "ISO_15444_1": "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "ISO_14495_1": "1.2.840.10008.1.2.4.81",  # JPEG-LS
}
_PROPERTIES: Final = (
    "Manufacturer",
    "ManufacturerModelName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)
"""Of the scanner and the series; nothing that names a patient."""


class DicomwebLevel:
    """An image of a series; every method may be called from several threads at once.

    Parameters
    ----------
    series : DicomwebSeries
        What is asked.
    uid : str
        Of the instance.
    metadata : mapping
        All that is stated of it, as DICOM's JSON.
    available : frozenset of str
        Transfer syntaxes that the server names for it, perhaps none.

    Raises
    ------
    NotASlideError
        It is an image that is no slide's, or of a kind that is not read.
    DamagedSlideError
        What is stated of it cannot be.
    """

    def __init__(
        self,
        series: DicomwebSeries,
        uid: str,
        metadata: Mapping[str, Any],
        available: frozenset[str],
    ) -> None:
        from wsidicom.instance import WsiDataset

        self.uid = uid
        self._series = series
        try:
            dataset = dataset_of(dict(metadata))
            self.header: DicomHeader = header_of(dataset)
            self._dataset = WsiDataset(dataset)
            self._require_readable(dataset)
            self.width, self.height = self.header.width, self.header.height
            tile = self._dataset.tile_size
            self.tile_width, self.tile_height = tile.width, tile.height
            self._require_plausible()
            self._index = _index(self._dataset)
            self.objective_power = _objective_power(dataset)
            self.properties = _properties(dataset)
        except SlideError:
            raise
        except Exception as error:  # the libraries have a class for each of theirs
            raise DamagedSlideError(
                f"{series.place} cannot be opened: what the server states of image {uid} "
                f"({' '.join(str(error).split()) or type(error).__name__}) is not understood; "
                "store it there again"
            ) from error
        self._syntax = ""
        self._decoder: Any = None
        self._available = available or stated_syntaxes(dict(metadata))

    @property
    def flavour(self) -> str:
        """VOLUME for a level of the slide; LABEL, OVERVIEW or THUMBNAIL."""
        return self.header.flavour

    def prepare(self, likely: str = "") -> str:
        """Find out in which form the server gives its frames, and return its transfer syntax.

        A copy on a disk has the same pixels: what is stored without loss is never taken with one.

        Parameters
        ----------
        likely
            The syntax of another image of the series.

        Raises
        ------
        NotASlideError
            In none that can be decoded.
        SlideError
            One of its classes: the server cannot be reached.
        """
        from wsidicom.codec import Decoder

        wanted = [syntax for syntax in self._wanted() if self._can_be_decoded(syntax)]
        wanted.sort(key=lambda syntax: syntax != likely)
        named = [syntax for syntax in wanted if syntax in self._available]
        chosen = named[0] if named else next(filter(self._is_given, wanted), None)
        if chosen is None:
            raise NotASlideError(
                f"{self._series.place} has images in a form that cannot be read; copy it first"
            )
        self._decoder = Decoder.create(chosen, **self._coding(), size=self._dataset.tile_size)
        self._syntax = chosen
        return chosen

    def frames_in(self, box: Region) -> Iterator[tuple[int, Region]]:
        """Yield the number of each frame, from 0, that has a part in a box, and where it lies.

        Of tiles that are not stored there is none.
        """
        from wsidicom.geometry import Point

        (z,), (path,) = self._index.focal_planes, self._index.optical_paths
        for row in range(box.y // self.tile_height, -(-box.bottom // self.tile_height)):
            for column in range(box.x // self.tile_width, -(-box.right // self.tile_width)):
                number = int(self._index.get_frame_index(Point(column, row), z, path))
                if number >= 0:
                    corner = (column * self.tile_width, row * self.tile_height)
                    yield number, Region(*corner, self.tile_width, self.tile_height)

    def fetch(self, numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return frames, from 0, as RGB of shape (tile height, tile width, 3).

        Raises
        ------
        DamagedSlideError
            What the server gives cannot be decoded.
        SlideError
            One of its other classes: it cannot be reached.
        """
        given = self._series.frames(self.uid, [number + 1 for number in numbers], self._syntax)
        return [self._decoded(*one) for one in zip(given, numbers, strict=True)]

    def _decoded(self, frame: bytes, number: int) -> NDArray[np.uint8]:
        shape = (self.tile_height, self.tile_width, 3)
        try:
            if self._syntax == _UNCOMPRESSED:  # it may be filled up to an even number of bytes
                size = self.tile_height * self.tile_width * 3
                pixels = np.frombuffer(frame, np.uint8)[: size if len(frame) <= size + 1 else 0]
                return pixels.reshape(shape)
            pixels = as_rgb(np.asarray(self._decoder.decode(frame)))
            if pixels.shape != shape or pixels.dtype != np.uint8:
                raise ValueError(f"{pixels.shape[1]} x {pixels.shape[0]} px of it")
        except Exception as error:  # decoders raise whatever they like
            raise DamagedSlideError(
                f"{self._series.place} cannot be read everywhere (frame {number + 1} of image "
                f"{self.uid}: {' '.join(str(error).split())}); store it on the server again"
            ) from error
        return pixels

    def _wanted(self) -> list[str]:
        """Return transfer syntaxes, best first."""
        if not self._dataset.lossy_compressed:
            return list(_LOSSLESS)
        methods = self._dataset.lossy_compression_methods
        first = [_LOSSY[method] for method in reversed(methods) if method in _LOSSY]
        return list(dict.fromkeys([*first, *_LOSSY.values(), *_LOSSLESS]))

    def _is_given(self, syntax: str) -> bool:
        try:
            self._series.frames(self.uid, [1], syntax)
        except NotGivenError:
            return False
        return True

    def _can_be_decoded(self, syntax: str) -> bool:
        from wsidicom.codec import Decoder

        coding = self._coding()
        found = Decoder.select_decoder(syntax, coding["samples_per_pixel"], coding["bits"])
        return found is not None

    def _coding(self) -> dict[str, Any]:
        return {
            "samples_per_pixel": self._dataset.samples_per_pixel,
            "bits": self._dataset.bits,
            "photometric_interpretation": self._dataset.photometric_interpretation,
        }

    def _require_readable(self, dataset: Any) -> None:
        place = self._series.place
        if self.header.sop_class != WHOLE_SLIDE_IMAGE:
            raise NotASlideError(
                f"{place} holds {describe_object(self.header)}, and is not a slide; give the "
                "address of a series of whole-slide images"
            )
        if dataset.get("SamplesPerPixel") == 1:
            raise NotBrightfieldError(
                f"{place} is not a brightfield slide (it has grey pixels, as in fluorescence): "
                "only H&E sections on bright glass can be scored."
            )
        lacking = [tag for tag in self._dataset.REQUIRED_ATTRIBUTES if tag not in dataset]
        if lacking:
            raise ValueError(f"{lacking[0]} is not stated")
        if not self._dataset.is_supported(dataset):
            raise NotASlideError(f"{place} does not have 8-bit RGB pixels; export it as 8-bit")
        planes = dataset.get("TotalPixelMatrixFocalPlanes", 1)
        if int(planes) > 1 or int(dataset.get("NumberOfOpticalPaths", 1)) > 1:
            raise NotASlideError(
                f"{place} holds several focal planes or optical paths in an image; export one"
            )
        if dataset.get("ConcatenationUID") is not None:
            raise NotASlideError(f"{place} has images in several parts; export them whole")

    def _require_plausible(self) -> None:
        if min(self.width, self.height, self.tile_width, self.tile_height) < 1:
            raise ValueError(f"{self.width} x {self.height} px")
        if self.tile_width * self.tile_height > MAX_TILE_PIXELS:
            raise ValueError(f"tiles of {self.tile_width} x {self.tile_height} px")


def _index(dataset: Any) -> Any:
    """Return what knows where frames lie; it is made when it is first asked, so it is now."""
    from wsidicom.instance import TileType
    from wsidicom.instance.tile_index import FullTileIndex, SparseTileIndex

    is_full = dataset.tile_type == TileType.FULL
    index = (FullTileIndex if is_full else SparseTileIndex)([dataset])
    if len(index.focal_planes) != 1 or len(index.optical_paths) != 1:
        raise ValueError("several focal planes or optical paths")
    columns = -(-dataset.image_size.width // dataset.tile_size.width)
    rows = -(-dataset.image_size.height // dataset.tile_size.height)
    if is_full and dataset.frame_count < columns * rows:
        raise ValueError(f"{dataset.frame_count} frames for {columns} x {rows} tiles")
    return index


def _objective_power(dataset: Any) -> float | None:
    for path in dataset.get("OpticalPathSequence") or []:
        power = path.get("ObjectiveLensPower")
        return None if power is None else float(power)
    return None


def _properties(dataset: Any) -> dict[str, str]:
    return {f"dicom.{name}": str(dataset[name].value) for name in _PROPERTIES if name in dataset}
