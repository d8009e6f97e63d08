"""A network over a whole slide: the windows leave no trace in what is found."""

from dataclasses import replace

import numpy as np
import pytest

from napari_smse.errors import MaskError
from napari_smse.progress import run_task
from napari_smse.segmentation import windows
from napari_smse.segmentation.networks import GRANDQC_ARTEFACTS
from napari_smse.segmentation.weights import Segmenter
from napari_smse.segmentation.windows import is_blank, outvoted, segment_slide
from napari_smse.slides import open_slide
from napari_smse.tiles import Ground
from support.slides import write_pyramid_tiff
from support.tissue_masks import ColourNetwork

WIDTH, HEIGHT = 1600, 1100
SEGMENTER = Segmenter(GRANDQC_ARTEFACTS, 1.0, ColourNetwork())


def _picture():
    """Glass with pink blocks, one of them with a fold."""
    picture = np.full((HEIGHT, WIDTH, 3), 240, np.uint8)
    picture[200:900, 300:1500] = (230, 120, 190)
    picture[480:720, 640:1200] = (120, 60, 20)
    picture[1000:1090, 0:90] = (220, 130, 180)
    return picture


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = write_pyramid_tiff(tmp_path_factory.mktemp("windows") / "slide.tif", _picture(), mpp=1.0)
    with open_slide(path) as opened:
        yield opened


def test_what_windows_find_is_what_is_found_at_once(slide):
    shape = (HEIGHT // 4, WIDTH // 4)
    found = run_task(segment_slide(slide, SEGMENTER, 4.0, shape))
    whole = SEGMENTER.ground(slide.read(slide.bounds, 1.0)[np.newaxis, : HEIGHT // 4 * 4])[0]
    assert np.array_equal(found, outvoted(whole, 4))
    assert set(np.unique(found)) == {Ground.GLASS, Ground.TISSUE, Ground.FOLD}


def test_a_slide_that_no_cell_fits_is_covered_to_its_edges(slide):
    found = run_task(segment_slide(slide, SEGMENTER, 8.0, (141, 203)))
    assert found.shape == (141, 203)
    row, column = round(1045 / HEIGHT * 141), round(45 / WIDTH * 203)
    assert found[row, column] == Ground.TISSUE
    assert found[141 // 2, 203 // 2] == Ground.FOLD


def test_glass_alone_is_not_shown_to_the_network(slide):
    class Counting(ColourNetwork):
        shown = 0

        def forward(self, images):
            Counting.shown += len(images)
            return super().forward(images)

    one = replace(SEGMENTER, module=Counting())
    task = segment_slide(slide, one, 8.0, (100, 100))
    last = [progress for progress in iter(lambda: next(task, None), None)][-1]
    assert 0 < Counting.shown <= last.total
    assert is_blank(np.full((512, 512, 3), 238, np.uint8))
    assert is_blank(np.random.default_rng(0).normal(238, 3, (512, 512, 3)).astype(np.uint8))
    assert not is_blank(slide.read(slide.bounds, 1.0))


def test_closing_the_search_stops_it(slide, monkeypatch):
    monkeypatch.setattr(windows, "MARGIN_PX", 192)
    task = segment_slide(slide, SEGMENTER, 8.0, (100, 100))
    first = next(task)
    assert "0 of" in first.message
    task.close()
    assert next(task, None) is None


def test_each_cell_shows_what_most_of_its_pixels_show():
    ground = np.array([[1, 1, 4, 4], [1, 0, 4, 7]], np.uint8)
    assert outvoted(ground, 2).tolist() == [[1, 4]]


def test_a_slide_much_coarser_than_the_network_is_refused(slide):
    with pytest.raises(MaskError, match="too coarse for GrandQC artefact detection"):
        run_task(segment_slide(slide.with_mpp(4.0), SEGMENTER, 8.0, (10, 10)))
