from __future__ import annotations

import logging
from pathlib import Path

import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_smse.errors import ImplausibleScaleError, MissingScaleError, ScaleError
from napari_smse.slides import PhysicalScale, ScaleSource, open_slide
from napari_smse.slides.scale import (
    StatedScale,
    choose_scale,
    is_plausible,
    mean_mpp,
    pixel_ratio,
    warn_of_contradiction,
)
from support.slides import noise_image, write_ome_pyramid, write_pyramid_tiff, write_svs

IMAGE = noise_image(300, 260)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (StatedScale(0.25, 0.3, 20.0), PhysicalScale(0.25, ScaleSource.VENDOR)),
        (StatedScale(None, 0.3, 20.0), PhysicalScale(0.3, ScaleSource.TIFF)),
        (StatedScale(None, None, 20.0), PhysicalScale(0.5, ScaleSource.OBJECTIVE)),
        (StatedScale(), PhysicalScale(None, ScaleSource.NONE)),
        (StatedScale(None, 352.8, 40.0), PhysicalScale(0.25, ScaleSource.OBJECTIVE, 352.8)),
        (StatedScale(0.0, 0.3, None), PhysicalScale(0.3, ScaleSource.TIFF, 0.0)),
        (StatedScale(None, 352.8, None), PhysicalScale(None, ScaleSource.NONE, 352.8)),
        (StatedScale(None, None, 0.0), PhysicalScale(None, ScaleSource.NONE)),
    ],
)
def test_most_trusted_plausible_scale_is_taken(
    stated: StatedScale, expected: PhysicalScale
) -> None:
    assert choose_scale(stated) == expected


@given(*[st.none() | st.floats(allow_nan=True, allow_infinity=True)] * 3)
@settings(deadline=None)
def test_a_chosen_scale_is_always_plausible(
    vendor: float | None, tiff: float | None, power: float | None
) -> None:
    chosen = choose_scale(StatedScale(vendor, tiff, power))
    assert (chosen.mpp is None) == (chosen.source is ScaleSource.NONE)
    assert chosen.mpp is None or is_plausible(chosen.mpp)


def test_anisotropy_beyond_one_percent_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert mean_mpp(0.5, 0.502, "quiet.tif") == pytest.approx(0.501)
        assert not caplog.records
        assert mean_mpp(0.5, 0.52, "uneven.tif") == pytest.approx(0.51)
    assert "uneven.tif" in caplog.text
    assert mean_mpp(None, 0.4, "half.tif") == 0.4


@pytest.mark.parametrize(
    ("across", "down", "ratio"),
    [(0.5, 0.5, 1), (0.5, 0.52, 1), (0.25, 0.5, 2), (0.5, 0.25, 0.5), (0.02, 9, 1), (None, 1, 1)],
)
def test_pixels_are_square_but_for_more_than_five_percent(
    across: float | None, down: float, ratio: float
) -> None:
    assert pixel_ratio(across, down) == ratio


@pytest.mark.parametrize(
    ("power", "mpp", "warns"),
    [(40, 0.25, False), (40, 0.5, True), (20, 0.5, False), (20, 0.25, True), (20, 352.8, False)],
)
def test_a_power_that_contradicts_the_scale_is_told(
    power: float, mpp: float, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_contradiction(StatedScale(vendor=mpp, objective_power=power), "a.svs")
    assert ("a.svs states" in caplog.text) == warns


def test_user_overrides_what_the_file_says(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.scale == PhysicalScale(0.25, ScaleSource.USER)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.499)
        assert slide.with_mpp(1.0).scale == PhysicalScale(1.0, ScaleSource.USER)


@pytest.mark.parametrize("mpp", [0.0, 0.019, 10.1, 352.8, float("nan"), float("inf"), -1.0])
def test_user_cannot_state_what_no_microscope_has(tmp_path: Path, mpp: float) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE)
    with pytest.raises(ScaleError, match=r"between 0\.02 and 10"):
        open_slide(path, mpp=mpp)


def test_aperio_description_is_vendor_metadata(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "slide.svs", IMAGE)) as slide:
        assert slide.scale == PhysicalScale(0.499, ScaleSource.VENDOR)
        assert (slide.vendor, slide.objective_power) == ("aperio", 20.0)


def test_aperio_strips_that_openslide_refuses_keep_their_scale(tmp_path: Path) -> None:
    path = tmp_path / "strips.svs"
    description = "Aperio Image Library v1\r\n300x260|AppMag = 40|MPP = 0,2520"
    tifffile.imwrite(path, IMAGE, photometric="rgb", description=description, metadata=None)
    with open_slide(path) as slide:
        assert slide.scale == PhysicalScale(0.252, ScaleSource.VENDOR)
        assert slide.objective_power == 40.0


def test_aperio_without_mpp_is_estimated_from_its_objective(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "slide.svs", IMAGE, mpp="unknown")) as slide:
        assert slide.scale == PhysicalScale(0.5, ScaleSource.OBJECTIVE)


@pytest.mark.parametrize(
    ("size", "unit"), [(0.25, "µm"), (250.0, "nm"), (0.00025, "mm"), (0.000025, "cm")]
)
def test_ome_physical_size_in_any_unit(tmp_path: Path, size: float, unit: str) -> None:
    path = write_ome_pyramid(tmp_path / "slide.ome.tif", IMAGE, size, unit)
    with open_slide(path) as slide:
        assert slide.scale.source is ScaleSource.VENDOR
        assert slide.mpp == pytest.approx(0.25)


def test_generic_tiff_scale_is_told_as_tiff_resolution(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, mpp=0.4)
    with open_slide(path) as slide:
        assert slide.scale.source is ScaleSource.TIFF
        assert slide.mpp == pytest.approx(0.4)


def _write_strips(path: Path, unit: str, resolution: float) -> Path:
    tifffile.imwrite(
        path, IMAGE, photometric="rgb", resolution=(resolution,) * 2, resolutionunit=unit
    )
    return path


@pytest.mark.parametrize("tiled", [True, False])
def test_72_dpi_is_rejected_and_told(tmp_path: Path, tiled: bool) -> None:
    path = tmp_path / "dpi.tif"
    if tiled:
        write_pyramid_tiff(path, IMAGE, mpp=25400 / 72)
    else:
        _write_strips(path, "INCH", 72)
    with open_slide(path) as slide:
        assert slide.scale.mpp is None
        assert slide.scale.rejected == pytest.approx(352.8, abs=0.1)
        with pytest.raises(ImplausibleScaleError, match=r"352\.\d+ µm/px.*--source-mpp"):
            _ = slide.mpp


def test_resolution_unit_none_is_no_scale(tmp_path: Path) -> None:
    with open_slide(_write_strips(tmp_path / "none.tif", "NONE", 20000)) as slide:
        assert slide.scale == PhysicalScale(None, ScaleSource.NONE)
        with pytest.raises(MissingScaleError, match="dock"):
            _ = slide.mpp


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(("dpi", "mpp"), [(72, None), (96, None), (300, None), (50800, 0.5)])
def test_picture_dpi_counts_only_where_plausible(
    tmp_path: Path, suffix: str, dpi: int, mpp: float | None
) -> None:
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(IMAGE).save(path, dpi=(dpi, dpi))
    with open_slide(path) as slide:
        assert slide.scale.mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-3))
        if mpp is None:
            assert slide.scale.rejected == pytest.approx(25400 / dpi, rel=1e-3)
        else:
            assert slide.scale.source is ScaleSource.TIFF


def test_picture_without_dpi_has_no_scale(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "plain.png")
    with open_slide(tmp_path / "plain.png") as slide:
        assert slide.scale == PhysicalScale(None, ScaleSource.NONE)
