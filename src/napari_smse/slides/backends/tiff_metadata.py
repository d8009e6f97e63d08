"""Metadata of a slide in TIFF tags, OME-XML and Aperio descriptions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree

import tifffile

from napari_smse.slides.backends.base import SlideFacts
from napari_smse.slides.backends.level_steps import Spacing
from napari_smse.slides.scale import StatedScale, mean_mpp, pixel_ratio

_MICROMETRES = {
    "nm": 1e-3,
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "um": 1.0,
    "micron": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "pm": 1e-6,
    "Å": 1e-4,
    "in": 25400.0,
    "pt": 25400.0 / 72,
}
_ICC_PROFILE: Final = 34675
_RESOLUTION_UNITS = {2: 25400.0, 3: 10000.0}  # inch, centimetre; 1 means none


def tiff_facts(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> SlideFacts:
    """Return the metadata of the slide in one series of a TIFF."""
    page = series.keyframe
    description = page.description or ""
    properties = {"tiff.ImageDescription": description} if description else {}
    vendor_mpp, power, vendor = None, None, "generic-tiff"
    ratio = pixel_ratio(*_tag_spacing(page))
    if tiff.is_ome:
        vendor = "ome-tiff"
        # A plane of a stack has the stack's keyframe, and is not among the series.
        index = [member.keyframe.index for member in tiff.series].index(page.index)
        (across, down), power = _ome_scale(tiff.ome_metadata or "", index)
        vendor_mpp = mean_mpp(across, down, tiff.filename)
        ratio = pixel_ratio(across, down) if vendor_mpp else ratio
    elif description.startswith("Aperio"):
        vendor = "aperio"
        stated = aperio_fields(description)
        properties.update({f"aperio.{key}": value for key, value in stated.items()})
        vendor_mpp, power = positive(stated.get("MPP")), positive(stated.get("AppMag"))
    return SlideFacts(
        vendor=vendor,
        properties=properties,
        stated_scale=StatedScale(vendor_mpp, _tag_mpp(page, tiff.filename), power, ratio),
        icc_profile=_icc_profile(page),
    )


def _icc_profile(page: tifffile.TiffPage) -> bytes | None:
    """Return the profile in a page's tags; read only now, and a damaged one stops nothing else."""
    try:
        profile = page.tags.valueof(_ICC_PROFILE)
        return None if profile is None else bytes(profile)
    except Exception:  # whatever tifffile raises where the file has no such bytes
        return b""


def aperio_fields(description: str) -> dict[str, str]:
    """Return the ``key = value`` fields of an Aperio image description."""
    pairs = (field.partition("=") for field in description.split("|")[1:])
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def positive(text: str | None) -> float | None:
    """Return the positive number a text states, or None."""
    try:
        value = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def page_spacing(page: tifffile.TiffPage) -> Spacing | None:
    """Return um/px across and down as a page's resolution tags state them, or None."""
    across, down = _tag_spacing(page)
    return None if across is None or down is None else (across, down)


def _tag_mpp(page: tifffile.TiffPage, name: str) -> float | None:
    return mean_mpp(*_tag_spacing(page), name)


def _tag_spacing(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    unit = page.tags.valueof("ResolutionUnit", 2)  # inch is TIFF's default
    micrometres = _RESOLUTION_UNITS.get(int(unit))
    if micrometres is None:
        return None, None
    across, down = (_per_pixel(page, f"{side}Resolution", micrometres) for side in "XY")
    return across, down


def _per_pixel(page: tifffile.TiffPage, tag: str, micrometres: float) -> float | None:
    value = page.tags.valueof(tag)
    try:
        numerator, denominator = value
    except TypeError:
        return None
    return None if numerator <= 0 or denominator <= 0 else micrometres * denominator / numerator


def _ome_scale(xml: str, index: int) -> tuple[tuple[float | None, float | None], float | None]:
    """Return um/px across and down, and objective power, of the image at an index of OME-XML."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return (None, None), None
    images = root.findall("{*}Image")
    if index >= len(images):
        return (None, None), None
    image = images[index]
    pixels = image.find("{*}Pixels")
    attributes: Mapping[str, str] = {} if pixels is None else pixels.attrib
    across, down = (_physical_size(attributes, side) for side in "XY")
    return (across, down), _nominal_power(root, image)


def _physical_size(attributes: Mapping[str, str], side: str) -> float | None:
    size = positive(attributes.get(f"PhysicalSize{side}"))
    unit = attributes.get(f"PhysicalSize{side}Unit", "µm")
    factor = _MICROMETRES.get(unit)
    return None if size is None or factor is None else size * factor


def _nominal_power(root: ElementTree.Element, image: ElementTree.Element) -> float | None:
    settings = image.find("{*}ObjectiveSettings")
    if settings is None:
        return None
    for objective in root.iterfind(".//{*}Objective"):
        if objective.get("ID") == settings.get("ID"):
            return positive(objective.get("NominalMagnification"))
    return None
