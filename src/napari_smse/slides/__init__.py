"""Open any slide and read any region of it at any um/px."""

from napari_smse.slides.backends.base import Level
from napari_smse.slides.backends.dicom_series import slide_series, slides_in_folder
from napari_smse.slides.image_number import file_and_image
from napari_smse.slides.opening import SLIDE_SUFFIXES, may_be_slide, open_slide, slides_in_file
from napari_smse.slides.pyramid import LevelArray, pyramid_arrays
from napari_smse.slides.region import Region
from napari_smse.slides.scale import PhysicalScale, ScaleSource
from napari_smse.slides.slide import Slide
from napari_smse.slides.window import Window

__all__ = [
    "SLIDE_SUFFIXES",
    "Level",
    "LevelArray",
    "PhysicalScale",
    "Region",
    "ScaleSource",
    "Slide",
    "Window",
    "file_and_image",
    "may_be_slide",
    "open_slide",
    "pyramid_arrays",
    "slide_series",
    "slides_in_file",
    "slides_in_folder",
]
