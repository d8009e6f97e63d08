"""Cases that a model was trained on, recognised wherever their images lie."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from napari_smse.datasets.leakage import cases_among, image_case_hash, training_hashes
from napari_smse.datasets.loading import read_training_set
from napari_smse.slides.identity import quick_hash
from napari_smse.training.train_model import training_sources
from support.annotated_slides import annotate, write_red_slide
from support.datasets import image, labelled_set


def test_slides_are_known_by_what_they_hold(tmp_path: Path) -> None:
    for folder, name in (("here", "a"), ("there", "another name")):
        (tmp_path / folder).mkdir()
        annotate(write_red_slide(tmp_path / folder, name))
    shutil.copy(tmp_path / "here" / "a.tif", tmp_path / "there" / "another name.tif")
    annotate(write_red_slide(tmp_path / "there", "new", 3))
    learnt = read_training_set(tmp_path / "here")
    (source,) = training_sources(learnt, range(len(learnt.images)))
    found = read_training_set(tmp_path / "there").images
    assert cases_among(found, source.case_hashes) == {"there another name"}
    # Also where only its content is at hand, as of a reference tile whose slide is not open.
    gone = replace(learnt.images[0], path=Path(quick_hash(learnt.images[0].path)), case="any")
    assert training_hashes([gone]) - {image_case_hash(gone)} == set(source.case_hashes) - {
        image_case_hash(learnt.images[0])
    }


def test_images_are_known_by_their_case() -> None:
    images = labelled_set([image("a", 0), image("b", 1)]).images
    assert training_hashes(images) == {image_case_hash(one) for one in images}
    assert cases_among(images, [image_case_hash(images[1])]) == {images[1].case}
