"""What is learnt from and what is held out."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import DataError
from napari_smse.finetuning.setup import one_a_place, split_for_fine_tuning
from napari_smse.slides import Region
from support.annotated_slides import block
from support.datasets import image, labelled_set


def test_cases_are_held_out_where_there_are_enough() -> None:
    data = labelled_set(
        [image(f"{label} {case}", label, f"{case}{i}.png") for label in (0, 1) for case in range(4)
         for i in range(3)]
    )  # fmt: skip
    training, testing, by_region = split_for_fine_tuning(data, 0.25, 0)
    assert not by_region
    assert len(testing) == 6
    assert {data.images[i].case for i in training}.isdisjoint(data.images[i].case for i in testing)
    assert {data.images[i].label for i in testing} == {0, 1}


def test_regions_are_held_out_of_a_single_slide() -> None:
    fields = [*block(0, 0, 0), *block(900, 0, 0), *block(0, 900, 1), *block(900, 900, 1)]
    training, testing, by_region = split_for_fine_tuning(labelled_set(fields), 0.25, 0)
    assert by_region
    assert (len(training), len(testing)) == (8, 8)


def test_one_case_of_pictures_is_an_error_that_names_the_class() -> None:
    data = labelled_set([image("a", 0), image("b", 0), image("c", 1, Path("x.png").name)])
    with pytest.raises(DataError, match="Class malignant has one case only"):
        split_for_fine_tuning(data, 0.25, 0)


def test_of_tiles_of_two_scales_at_one_place_the_finest_is_judged() -> None:
    fine = [on_slide("a.svs", x, 100, mpp=0.25) for x in (0, 100, 400)]
    coarse = [on_slide("a.svs", x, 200, mpp=0.5) for x in (0, 600)]
    elsewhere = on_slide("b.svs", 0, 200, mpp=0.5)
    file = image("c", 0)
    data = labelled_set([*coarse, *fine, elsewhere, file])
    # The first coarse tile lies over two fine ones.
    assert one_a_place(data, range(7)) == [1, 2, 3, 4, 5, 6]
    assert one_a_place(data, [6, 0]) == [6, 0]


def on_slide(path: str, x: int, edge: int, *, mpp: float) -> LabelledImage:
    region = Region(x, 0, edge, edge)
    return LabelledImage(Path(path), 0, path, 0.25, (mpp, mpp), "s", "s", region=region)
