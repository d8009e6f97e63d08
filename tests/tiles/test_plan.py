import numpy as np
import pytest
import shapely

from napari_smse.errors import NoTissueError, RegionError, ScaleError
from napari_smse.slides import Region, Slide
from napari_smse.tiles import Ground, TissueMask, plan_tiles
from napari_smse.tiles.plan import MAX_TILES_PER_BLOCK


class FlatSlide:
    """As much of a slide as planning needs."""

    def __init__(self, width=20_000, height=12_000, mpp=0.25, downsamples=(1, 4)):
        from pathlib import Path

        from napari_smse.slides import Level

        self.path, self.name, self.mpp = Path("flat.svs"), "flat", mpp
        self.width, self.height = width, height
        self.bounds = Region(0, 0, width, height)
        self.levels = tuple(
            Level(int(width / d), int(height / d), float(d), 256, 256) for d in downsamples
        )

    level_for = Slide.level_for


def full_mask(slide, ground=Ground.TISSUE):
    return TissueMask(np.full((60, 100), ground, np.uint8), slide.bounds)


def plan(slide, mpps, **options):
    options.setdefault("mask", full_mask(slide))
    return plan_tiles(slide, mpps, **options)


@pytest.mark.parametrize("mpps", [[0.5], [0.5, 0.25], [0.25, 0.5, 4.0], [0.3, 0.7]])
def test_every_tile_is_read_once_by_a_block_that_holds_it(mpps):
    slide = FlatSlide()
    tiles = plan(slide, mpps)
    assert [s.grid.spec.mpp for s in tiles.scales] == sorted(mpps)
    for number, scale in enumerate(tiles.scales):
        read = np.zeros(len(scale), dtype=int)
        for block in tiles.blocks:
            for member, start, stop in block.members:
                if member == number:
                    read[start:stop] += 1
                    for tile in (scale.region(index) for index in range(start, stop)):
                        assert block.region.x <= tile.x
                        assert block.region.y <= tile.y
                        assert tile.x + tile.width <= block.region.x + block.region.width
                        assert tile.y + tile.height <= block.region.y + block.region.height
        assert (read == 1).all()
    assert sum(block.tile_count for block in tiles.blocks) == tiles.tile_count


def test_near_scales_share_reads_and_far_ones_do_not():
    slide = FlatSlide()
    near = plan(slide, [0.25, 0.5])
    assert any(len(block.members) == 2 for block in near.blocks)
    assert {block.mpp for block in near.blocks} == {0.25}
    far = plan(slide, [0.25, 4.0])
    assert all(len(block.members) == 1 for block in far.blocks)


def test_a_scale_is_read_from_its_own_level_whatever_else_is_asked_for():
    slide = FlatSlide(downsamples=(1, 2, 4))
    for block in plan(slide, [0.25, 0.5, 0.7, 1.0]).blocks:
        for number, _, _ in block.members:
            mpp = (0.25, 0.5, 0.7, 1.0)[number]
            assert slide.level_for(block.mpp / 0.25) == slide.level_for(mpp / 0.25)


def test_a_second_scale_costs_few_more_pixels():
    slide = FlatSlide()

    def pixels(mpps):
        return sum(b.region.width * b.region.height for b in plan(slide, mpps).blocks)

    assert pixels([0.25, 0.5]) < 1.1 * pixels([0.25])


def test_blocks_stay_small():
    slide = FlatSlide(width=60_000, height=50_000)
    for block in plan(slide, [0.25, 0.5]).blocks:
        assert max(block.region.width, block.region.height) <= 2048 + 448


def test_tiles_that_overlap_much_come_in_more_blocks():
    for mpps in ([0.25], [0.25, 0.5, 1.0]):
        blocks = plan(FlatSlide(6000, 5000), mpps, overlap=0.9).blocks
        assert max(block.tile_count for block in blocks) <= 1.2 * MAX_TILES_PER_BLOCK


def test_a_small_region_does_not_cost_the_whole_grid(monkeypatch):
    looked_at, fraction = [], TissueMask.fraction

    def counted(self, x, y, edge):
        looked_at.append(len(x))
        return fraction(self, x, y, edge)

    monkeypatch.setattr(TissueMask, "fraction", counted)
    tiles = plan(FlatSlide(), [0.25], overlap=0.5, roi=shapely.box(3000, 3000, 3500, 3500))
    assert 9 <= tiles.tile_count <= sum(looked_at) <= 64


def test_only_tiles_with_enough_tissue_are_chosen():
    slide = FlatSlide()
    ground = np.zeros((60, 100), np.uint8)
    ground[:, :50] = Ground.TISSUE
    tiles = plan(slide, [0.5], mask=TissueMask(ground, slide.bounds), min_tissue=0.6).scales[0]
    assert tiles.tissue.min() >= 0.6
    assert tiles.x.max() + 448 * 0.6 <= 10_000 + 1


def test_tiles_without_any_tissue_are_never_chosen():
    slide = FlatSlide()
    ground = np.zeros((60, 100), np.uint8)
    ground[:, :50] = Ground.TISSUE
    tiles = plan(slide, [0.5], mask=TissueMask(ground, slide.bounds), min_tissue=0).scales[0]
    assert tiles.tissue.min() > 0
    assert tiles.x.max() < 10_000


def test_a_region_of_interest_keeps_the_slides_grid():
    slide = FlatSlide()
    everything = plan(slide, [0.5]).scales[0]
    some = plan(slide, [0.5], roi=shapely.box(3000, 3000, 6000, 5000)).scales[0]
    places = set(zip(everything.x.tolist(), everything.y.tolist(), strict=True))
    chosen = set(zip(some.x.tolist(), some.y.tolist(), strict=True))
    assert 0 < len(chosen) < len(places)
    assert chosen < places


def test_no_tissue_is_said_so():
    slide = FlatSlide()
    with pytest.raises(NoTissueError, match=r"No tissue found on flat\.svs"):
        plan(slide, [0.5], mask=full_mask(slide, Ground.GLASS))
    with pytest.raises(NoTissueError, match="region of interest"):
        plan(slide, [0.5], mask=full_mask(slide, Ground.PEN), roi=shapely.box(0, 0, 900, 900))


@pytest.mark.parametrize("size", [(1, 1), (100, 100), (2000, 100)])
def test_a_slide_smaller_than_a_tile_is_not_called_empty(size):
    slide = FlatSlide(*size, downsamples=(1,))
    with pytest.raises(NoTissueError, match=rf"only {size[0]} x {size[1]} px.*448 x 448 px at 0.5"):
        plan(slide, [0.5])


@pytest.mark.parametrize("size", [(300, 200), (2000, 120), (120, 2000), (448, 447)])
def test_a_field_smaller_than_a_tile_is_full_of_tissue_if_what_there_is_of_it_is(size):
    slide = FlatSlide(*size, downsamples=(1,))
    (tiles,) = plan(slide, [0.5]).scales
    assert len(tiles) == -(-size[0] // 448) * -(-size[1] // 448)
    assert tiles.tissue == pytest.approx(np.ones(len(tiles)))
    assert tiles.grid.shown_px == (min(224, size[1] // 2), min(224, size[0] // 2))


def test_a_scale_at_which_a_field_is_tiny_has_no_tiles():
    fine, coarse = plan(FlatSlide(400, 300, downsamples=(1,)), [0.25, 4.0]).scales
    assert len(fine) == 4
    assert len(coarse) == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_impossible_share_of_tissue_is_said_so(share):
    with pytest.raises(ScaleError, match="least share as 0 to 1"):
        plan(FlatSlide(), [0.5], min_tissue=share)


@pytest.mark.parametrize("roi", [shapely.box(30_000, 0, 31_000, 10), shapely.Polygon()])
def test_a_region_off_the_slide_is_said_so(roi):
    with pytest.raises(RegionError, match="does not lie on"):
        plan(FlatSlide(), [0.5], roi=roi)


def test_scales_much_finer_than_the_slide_are_refused():
    with pytest.raises(ScaleError, match="too coarse"):
        plan(FlatSlide(mpp=2.0), [0.5])
    with pytest.raises(ScaleError, match="No scale"):
        plan(FlatSlide(), [])


@pytest.mark.parametrize(
    ("mpps", "overlap"), [([0.25, 0.5, 2.0], 0.0), ([0.5], 0.5), ([0.25, 0.5], 0.5), ([0.3], 0.75)]
)
def test_a_first_look_shows_all_tissue_once_and_the_rest_is_apart(mpps, overlap):
    slide = FlatSlide()
    whole = plan(slide, mpps, overlap=overlap)
    tiles = plan(slide, mpps, overlap=overlap, coarse_first=True)
    assert [len(scale) for scale in tiles.scales] == [len(scale) for scale in whole.scales]
    seen = [np.zeros(len(scale), dtype=int) for scale in tiles.scales]
    first = [np.zeros(len(scale), dtype=bool) for scale in tiles.scales]
    for block in tiles.blocks:
        for scale, start, stop in block.members:
            seen[scale][start:stop] += 1
            first[scale][start:stop] = block.coarse_first
    assert all((count == 1).all() for count in seen)
    assert not any(one.any() for one in first[:-1])
    step = round(1 / (1 - overlap))
    coarsest = tiles.scales[-1]
    beside = (coarsest.columns % step == 0) & (coarsest.rows % step == 0)
    assert (first[-1] == beside).all()
    edge = coarsest.grid.edge
    assert beside.sum() * edge**2 > 0.95 * slide.width * slide.height


def test_no_plan_has_a_closer_look_unless_asked():
    assert all(block.coarse_first for block in plan(FlatSlide(), [0.25, 0.5]).blocks)
