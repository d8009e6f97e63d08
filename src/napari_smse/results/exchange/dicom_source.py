"""The image that DICOM results refer to: the slide's own, or one that stands for it.

highdicom takes patient, study and coordinates of what is derived from its source image. A slide of
another format has none: UIDs made from its content stand for it, the same for each of its results.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse import __version__
from napari_smse.errors import OutputError
from napari_smse.results.exchange.map_stack import MapStack
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.run_record import SlideRecord
from napari_smse.slides.backends.dicom_header import WHOLE_SLIDE_IMAGE, read_header
from napari_smse.slides.backends.dicom_series import folder_series, slide_series
from napari_smse.slides.dicomweb_series import finest_image, is_series
from napari_smse.slides.identity import text_path
from napari_smse.slides.remote_path import RemotePath

if TYPE_CHECKING:
    from pydicom import Dataset

SCHEME: Final = "99NAPARISMSE"
"""Of codes that no standard has, such as the classes of a model."""
UTF_8: Final = "ISO_IR 192"
_EMPTY: Final = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""What each object has, if only without a value."""
_CODE_LENGTH, _TEXT_LENGTH = 16, 63
"""DICOM has room for 64 letters, but some readers count what fills them up to an even length."""
_UNWRITABLE: Final = re.compile(r"[\\\x00-\x1f\x7f\ud800-\udfff]")
_TILE: Final = 256


def dicom_library() -> Any:
    """Return highdicom; raises `OutputError` if it is not installed."""
    try:
        import highdicom
    except ImportError as error:
        raise OutputError(
            'DICOM is written by a package of an extra: pip install "napari-smse[dicom]".'
        ) from error
    return highdicom


def dicom_text(text: str) -> str:
    """Return a text as DICOM takes it for a name: short, no backslash, no control codes."""
    return _UNWRITABLE.sub("_", text).strip()[:_TEXT_LENGTH] or "_"


def class_code(prefix: str, number: int, meaning: str) -> Any:
    """Return a code of our own for something about the class of this number."""
    from pydicom.sr.coding import Code

    return Code(f"{prefix}{number + 1}"[:_CODE_LENGTH], SCHEME, dicom_text(meaning))


@dataclass(frozen=True)
class DicomSource:
    """What results in DICOM are derived from, and by what.

    Attributes
    ----------
    image
        Header of the slide's finest level, or of what stands for it.
    equipment
        Arguments that each object of highdicom takes: who made it, and in which letters.
    """

    image: Dataset
    equipment: dict[str, Any]

    @classmethod
    def of_results(cls, results: ResultFolder) -> DicomSource:
        """Find the header of the slide that was scored, or make one that stands for it."""
        slide, model = results.record.slide, results.record.model
        image = _slide_header(slide) or _stand_in(slide)
        return cls(
            _completed(image, slide),
            {
                "manufacturer": "napari-smse",
                "manufacturer_model_name": dicom_text(f"{model.name} {model.version}"),
                "software_versions": __version__,
                "device_serial_number": model.weights_sha256[:16],
                "specific_character_set": UTF_8,
            },
        )

    def place(self, x: float, y: float) -> tuple[float, float, float]:
        """Return where a point of the image, px from the middle of its first, lies, mm."""
        origin = self.image.TotalPixelMatrixOriginSequence[0]
        cosines = [float(one) for one in self.image.ImageOrientationSlide]
        down, across = self.spacing
        along = np.array(cosines[:3]) * across * x + np.array(cosines[3:]) * down * y
        start = (
            float(origin.XOffsetInSlideCoordinateSystem),
            float(origin.YOffsetInSlideCoordinateSystem),
            0.0,
        )
        left, top, height = (np.array(start) + along).tolist()
        return left, top, height

    @property
    def spacing(self) -> tuple[float, float]:
        """Size of a pixel of the image, down and across, mm."""
        (group,) = self.image.SharedFunctionalGroupsSequence
        down, across = group.PixelMeasuresSequence[0].PixelSpacing
        return float(down), float(across)

    def corner(self, stack: MapStack) -> tuple[float, float, float]:
        """Return where the middle of a map's first cell lies, mm."""
        half = (stack.cell - 1) / 2
        return self.place(stack.x + half, stack.y + half)


def rectangles(places: NDArray[np.integer]) -> Sequence[NDArray[np.float32]]:
    """Return the corners (4, 2) of boxes ``(n, 4)`` of x, y, width, height, clockwise."""
    x, y, width, height = places.T.astype(np.float32)
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return list(np.stack([np.stack(one, axis=1) for one in corners], axis=1))


def _slide_header(slide: SlideRecord) -> Dataset | None:
    """Return the header of the finest level of a DICOM slide; None if it is gone, or another."""
    try:
        image = _finest_header(text_path(slide.path))
    except Exception:  # pydicom raises what its many converters do
        return None
    if image is None:
        return None
    size = image.get("TotalPixelMatrixColumns"), image.get("TotalPixelMatrixRows")
    # Pixels that are not square are made so on opening, and then tiles are in other pixels.
    return image if size == (slide.width, slide.height) else None


def _finest_header(path: Path) -> Dataset | None:
    from pydicom import dcmread

    if isinstance(path, RemotePath):
        return finest_image(path.url, str(path)) if is_series(path) else None
    file = _finest_level(path)
    return None if file is None else dcmread(file, stop_before_pixels=True)


def _finest_level(path: Path) -> Path | None:
    if not path.exists():
        return None
    found = slide_series(path)
    if found is None:
        return None
    folder, series = found
    headers = {file: read_header(file) for file in folder_series(folder).get(series, [])}
    sizes = {file: header.width for file, header in headers.items() if header is not None}
    return max(sizes, key=sizes.__getitem__, default=None)


def _stand_in(slide: SlideRecord) -> Dataset:
    """Return the header of an image that has the slide's size, scale and name, and no pixels."""
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    def uid(of: str) -> str:
        return str(generate_uid(entropy_srcs=[SCHEME, slide.quick_hash, of]))

    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = WHOLE_SLIDE_IMAGE, uid("image")
    image.StudyInstanceUID, image.SeriesInstanceUID = uid("study"), uid("series")
    image.Modality = "SM"
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.Rows = image.Columns = _TILE
    image.TotalPixelMatrixColumns, image.TotalPixelMatrixRows = slide.width, slide.height
    image.NumberOfFrames = math.ceil(slide.width / _TILE) * math.ceil(slide.height / _TILE)
    image.DimensionOrganizationType = "TILED_FULL"
    image.ContainerIdentifier = dicom_text(text_path(slide.path).name)
    return image


def _completed(image: Dataset, slide: SlideRecord) -> Dataset:
    """Add what highdicom relies on, where a header lacks it."""
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    for keyword in _EMPTY:
        if keyword not in image:
            setattr(image, keyword, "")
    if "FrameOfReferenceUID" not in image:
        image.FrameOfReferenceUID = generate_uid(
            entropy_srcs=[SCHEME, str(image.SeriesInstanceUID), "frame of reference"]
        )
    if "TotalPixelMatrixOriginSequence" not in image:
        origin = Dataset()
        origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
        image.TotalPixelMatrixOriginSequence = [origin]
    if "ImageOrientationSlide" not in image:
        image.ImageOrientationSlide = [1, 0, 0, 0, 1, 0]
    if "SharedFunctionalGroupsSequence" not in image:
        measures, group = Dataset(), Dataset()
        measures.PixelSpacing = [slide.mpp / 1000] * 2
        measures.SliceThickness = 0.001
        group.PixelMeasuresSequence = [measures]
        image.SharedFunctionalGroupsSequence = [group]
    return image
