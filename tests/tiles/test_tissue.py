import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, maximum_filter
from skimage.color import rgb2hsv

from napari_smse.errors import RegionError
from napari_smse.slides import Region, open_slide
from napari_smse.tiles import Ground, TissueMask, classify_ground, find_tissue, glass, tissue
from napari_smse.tiles.tissue import hue_and_saturation

GLASS = (242, 241, 243)
H_AND_E = {
    "eosin-rich stroma": (228, 170, 205),
    "dense nuclei": (130, 85, 150),
    "typical": (200, 130, 180),
    "pale": (236, 210, 226),
}
NOT_TISSUE = {
    "green pen": (60, 160, 90),
    "blue pen": (40, 70, 190),
    "red pen": (215, 30, 45),
    "black pen": (60, 60, 64),
    "grey dust": (200, 200, 200),
    "black border": (0, 0, 0),
}

RED_AND_BLUE_INKS = {
    "red-pink": (220, 60, 70),
    "pink": (230, 90, 100),
    "red": (215, 30, 45),
    "blue": (40, 70, 190),
    "violet": (90, 50, 190),
    "green": (60, 160, 90),
    "black": (40, 40, 44),
    "orange": (240, 130, 40),
}
PURPLE_INKS = {"purple": (120, 40, 150), "magenta": (215, 40, 140)}


def on_glass(colour, seed=0):
    """A 400 x 400 um patch in the middle of 800 x 800 um of glass, at 8 um/px, with noise."""
    rgb = np.full((100, 100, 3), GLASS, dtype=np.int16)
    rgb[25:75, 25:75] = colour
    rgb += np.random.default_rng(seed).integers(-3, 4, rgb.shape, dtype=np.int16)
    return np.clip(rgb, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("colour", H_AND_E.values(), ids=H_AND_E)
def test_stained_tissue_is_found_where_it_is(colour):
    tissue = classify_ground(on_glass(colour), 8.0) == Ground.TISSUE
    assert tissue[27:73, 27:73].mean() > 0.95
    assert tissue[:20].mean() == 0


@pytest.mark.parametrize("colour", NOT_TISSUE.values(), ids=NOT_TISSUE)
def test_ink_dust_and_borders_are_not_tissue(colour):
    ground = classify_ground(on_glass(colour), 8.0)
    assert (ground == Ground.TISSUE).mean() < 0.01


def test_pen_and_dark_are_told_apart():
    assert classify_ground(on_glass(NOT_TISSUE["green pen"]), 8.0)[50, 50] == Ground.PEN
    assert classify_ground(on_glass(NOT_TISSUE["black border"]), 8.0)[50, 50] == Ground.DARK


def test_tissue_beside_pen_is_kept_and_the_pen_is_not():
    rgb = on_glass(H_AND_E["typical"])
    rgb[25:75, 55:75] = NOT_TISSUE["blue pen"]
    ground = classify_ground(rgb, 8.0)
    assert (ground[30:70, 28:50] == Ground.TISSUE).all()
    assert (ground[30:70, 60:72] == Ground.PEN).all()


@pytest.mark.parametrize("level", [200, 243, 255])
def test_all_glass_has_no_tissue(level):
    assert (classify_ground(np.full((60, 60, 3), level, np.uint8), 8.0) == Ground.GLASS).all()


def test_an_image_full_of_tissue_is_all_tissue():
    rgb = np.full((60, 60, 3), H_AND_E["typical"], np.uint8)
    assert (classify_ground(rgb, 8.0) == Ground.TISSUE).all()


def test_specks_go_and_small_lumens_close_by_physical_size():
    rgb = on_glass(H_AND_E["typical"])
    rgb[48:52, 48:52] = GLASS  # a lumen of 32 um
    rgb[5:8, 5:8] = H_AND_E["typical"]  # a speck of 24 um
    tissue = classify_ground(rgb, 8.0) == Ground.TISSUE
    assert tissue[50, 50]
    assert not tissue[:15, :15].any()


def tissue_like(shape, seed=0, mpp=8.0):
    """Colours of H&E as a camera sees them: stroma with nuclei, uneven at every scale."""
    rng = np.random.default_rng(seed)
    unevenness = sum(
        gaussian_filter(rng.standard_normal(shape), max(0.5, um / mpp)) * max(0.5, um / mpp)
        for um in (4.0, 30.0)
    )
    haematoxylin = 0.35 * np.clip(0.4 + unevenness, 0, None)
    eosin = 0.25 * np.clip(0.8 + gaussian_filter(rng.standard_normal(shape), 1.0), 0, None)
    density = haematoxylin[..., None] * (0.56, 0.72, 0.41) + eosin[..., None] * (0.22, 0.80, 0.56)
    return (243 * 10**-density).astype(np.uint8)


def stroke(rgb, colour, opacity, width_um, mpp=8.0):
    """A pen stroke with soft edges across the middle, and where it is more than half there."""
    rows = np.arange(rgb.shape[0])[:, None] * mpp
    columns = np.arange(rgb.shape[1])[None, :] * mpp
    middle = rgb.shape[0] * mpp / 2 + 200 * np.sin(columns / 400)
    inside = (columns > 8 * mpp) & (columns < (rgb.shape[1] - 8) * mpp)
    cover = np.clip((width_um / 2 - np.abs(rows - middle)) / mpp + 0.5, 0, 1) * inside
    cover = cover[..., None] * opacity
    inked = rgb * (1 - cover) + np.array(colour) * cover
    noise = np.random.default_rng(0).normal(0, 1.5, rgb.shape)
    return np.clip(inked + noise, 0, 255).astype(np.uint8), cover[..., 0] > opacity / 2


@pytest.mark.parametrize("width_um", [120, 400, 900])
@pytest.mark.parametrize("opacity", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("colour", [*RED_AND_BLUE_INKS.values()], ids=[*RED_AND_BLUE_INKS])
def test_ink_on_glass_is_not_tissue_however_thin_or_transparent(colour, opacity, width_um):
    rgb, _ = stroke(np.full((200, 200, 3), GLASS, np.uint8), colour, opacity, width_um)
    assert not (classify_ground(rgb, 8.0) == Ground.TISSUE).any()


@pytest.mark.parametrize("colour", [*PURPLE_INKS.values()], ids=[*PURPLE_INKS])
@pytest.mark.parametrize("width_um", [120, 400, 900])
def test_ink_of_the_hue_of_h_and_e_is_not_tissue_where_it_is_opaque(colour, width_um):
    rgb, _ = stroke(np.full((200, 200, 3), GLASS, np.uint8), colour, 1.0, width_um)
    assert not (classify_ground(rgb, 8.0) == Ground.TISSUE).any()


def test_inks_side_by_side_are_no_tissue_to_each_other():
    rgb = np.full((200, 200, 3), GLASS, np.uint8)
    for number, colour in enumerate([(220, 60, 70), (230, 90, 100), (120, 40, 150)]):
        rgb[60 + 20 * number : 80 + 20 * number, 40:160] = colour
    assert not (classify_ground(rgb, 8.0) == Ground.TISSUE).any()


@pytest.mark.parametrize("colour", [(220, 60, 70), (120, 40, 150), (60, 160, 90)])
def test_ink_that_runs_from_glass_to_tissue_leaves_the_tissue_around_it(colour):
    rgb = np.full((200, 200, 3), GLASS, np.uint8)
    rgb[:, 120:] = tissue_like((200, 80))
    inked, ink = stroke(rgb, colour, 1.0, 400)
    tissue = classify_ground(inked, 8.0) == Ground.TISSUE
    assert not (tissue & ink)[:, :118].any()
    away = np.ones_like(ink)
    away[:, :125] = False
    assert tissue[away & ~maximum_filter(ink, 15)].mean() > 0.95


@pytest.mark.parametrize("gain", [(1, 1, 1), (0.85, 0.9, 0.85), (0.7, 0.78, 0.9)])
@pytest.mark.parametrize("mpp", [0.5, 2.0, 8.0])
def test_a_field_full_of_uneven_tissue_is_all_tissue_in_any_light(gain, mpp):
    field = (tissue_like((220, 240), mpp=mpp) * np.array(gain)).astype(np.uint8)
    assert (classify_ground(field, mpp) == Ground.TISSUE).mean() > 0.99


def test_a_lumen_in_a_field_is_glass_though_most_of_the_field_is_tissue():
    field = tissue_like((240, 240), mpp=1.0)
    field[60:160, 60:160] = GLASS
    ground = classify_ground(field, 1.0)
    assert (ground[80:140, 80:140] == Ground.GLASS).all()
    assert (ground[:50] == Ground.TISSUE).mean() > 0.99


@given(
    data=st.data(),
    x=st.lists(st.integers(-300, 900), min_size=1, max_size=8),
    edge=st.integers(1, 400),
)
def test_the_tissue_share_of_what_a_tile_shows_agrees_with_counting_its_pixels(data, x, edge):
    cells = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 2, (6, 8))
    mask = TissueMask((cells * Ground.TISSUE).astype(np.uint8), Region(20, -30, 8 * 50, 6 * 50))
    x = np.array(x)
    y = np.array([data.draw(st.integers(-300, 600)) for _ in x])
    pixels = np.zeros((2600, 2600), dtype=bool)
    pixels[970:1270, 1020:1420] = np.kron(cells, np.ones((50, 50)))
    shown = np.zeros((2600, 2600), dtype=bool)
    shown[970:1270, 1020:1420] = True
    tiles = [
        np.s_[1000 + j : 1000 + j + edge, 1000 + i : 1000 + i + edge]
        for i, j in zip(x, y, strict=True)
    ]
    expected = [pixels[tile].sum() / max(1, shown[tile].sum()) for tile in tiles]
    np.testing.assert_allclose(mask.fraction(x, y, edge), expected, atol=1e-5)


def test_the_mask_knows_its_cell_and_shares():
    mask = TissueMask(np.array([[1, 0], [2, 3]], np.uint8), Region(0, 0, 100, 60))
    assert mask.cell == (50, 30)
    assert [mask.ground_fraction(ground) for ground in list(Ground)[:4]] == [0.25] * 4


def test_a_real_slide(shared_data):
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        mask = find_tissue(slide)
    assert mask.region == Region(0, 0, 2220, 2967)
    assert 0.3 < mask.ground_fraction(Ground.TISSUE) < 0.95
    assert mask.ground_fraction(Ground.PEN) < 0.01


def test_hue_and_saturation_are_those_of_skimage() -> None:
    rgb = np.random.default_rng(0).integers(0, 8, (60, 50, 3)).astype(np.float32) / 7
    hue, saturation = hue_and_saturation(*np.moveaxis(rgb, -1, 0))
    hsv = rgb2hsv(rgb)
    assert np.abs(hue - 360 * hsv[..., 0]).max() < 1e-3
    assert np.abs(saturation - hsv[..., 1]).max() < 1e-5


def test_how_many_rows_are_computed_at_once_changes_nothing(sample_slide, monkeypatch):
    with open_slide(sample_slide) as slide:
        overview = slide.read(slide.bounds, 4.0)
    found = classify_ground(overview, 4.0)
    for module in (tissue, glass):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", len(overview))
    np.testing.assert_array_equal(found, classify_ground(overview, 4.0))


def test_what_would_be_read_for_ever_is_refused(sample_slide, monkeypatch):
    monkeypatch.setattr(tissue, "_MAX_OVERVIEW_PIXELS", 1000)
    with (
        open_slide(sample_slide) as slide,
        pytest.raises(RegionError, match="no smaller level for an overview; convert it"),
    ):
        find_tissue(slide)
