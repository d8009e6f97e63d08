"""A mask's file: its identity, and what is remembered of it."""

import numpy as np
import platformdirs
import pytest

from napari_smse.errors import MaskError, RequestError
from napari_smse.slides import Region, open_slide
from napari_smse.tiles import ARTEFACTS, Ground, TissueMask, mask_choice
from napari_smse.tiles.mask_choice import (
    MaskChoice,
    left_out_by,
    mask_sha256,
    pack_mask,
    unpack_mask,
)

MASK = TissueMask(
    np.array([[0, 1], [4, 7]], np.uint8), Region(5, 6, 70, 80), "other", notice="by somebody"
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache" / "tissue-masks"


def test_a_packed_mask_is_the_same_again():
    again = unpack_mask(pack_mask(MASK))
    assert np.array_equal(again.ground, MASK.ground)
    assert (again.region, again.stain, again.notice) == (MASK.region, MASK.stain, MASK.notice)
    for damaged in (b"", b"PK", pack_mask(MASK)[:-30]):
        with pytest.raises(MaskError, match="damaged"):
            unpack_mask(damaged)


def test_what_a_file_says_is_remembered_by_slide_content_and_scale(cache, slide_path, tmp_path):
    choice = MaskChoice(tmp_path / "a.pth", "ab", frozenset({Ground.FOLD}), 1.5)
    with open_slide(slide_path) as slide:
        assert choice.known(slide) is None
        choice.keep(slide, MASK)
        found = choice.known(slide)
        assert found.left_out == {Ground.FOLD}
        moved = MaskChoice(tmp_path / "b.pth", "ab", frozenset(), 1.5)
        assert moved.known(slide).left_out == frozenset()
        assert choice.known(slide, icc=True) is None
        assert MaskChoice(choice.path, "ab", choice.left_out, 2.0).known(slide) is None
        assert MaskChoice(choice.path, "cd", choice.left_out, 1.5).known(slide) is None
        assert choice.known(slide.with_mpp(0.3)) is None
        (kept,) = cache.glob("*.npz")
        kept.write_bytes(b"damaged")
        assert choice.known(slide) is None


def test_only_so_many_masks_are_kept(cache, slide_path, tmp_path, monkeypatch):
    monkeypatch.setattr(mask_choice, "MASKS_KEPT", 2)
    with open_slide(slide_path) as slide:
        for sha256 in "abc":
            MaskChoice(tmp_path, sha256, frozenset()).keep(slide, MASK)
    assert len(list(cache.glob("*.npz"))) == 2


def test_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text("one")
    first = mask_sha256(path)
    path.write_text("three")
    assert mask_sha256(path) != first
    with pytest.raises(MaskError, match="cannot be read"):
        mask_sha256(tmp_path / "gone")


def test_artefacts_are_chosen_by_name():
    assert left_out_by(["fold", "blur"]) == {Ground.FOLD, Ground.BLUR}
    assert left_out_by(["none"]) == frozenset()
    assert left_out_by(ARTEFACTS) == set(ARTEFACTS.values())
    for names in (["folds"], ["none", "fold"]):
        with pytest.raises(RequestError, match="There is no artefact"):
            left_out_by(names)


def test_a_choice_is_what_its_facts_say(tmp_path):
    choice = MaskChoice(tmp_path / "a.pth", "ab", frozenset({Ground.FOLD}), 1.5)
    facts = choice.facts()
    assert facts == {"tissue_mask": "ab", "leave_out": ["fold"], "mask_mpp": 1.5}
    assert MaskChoice.from_facts(facts, {"path": str(choice.path)}) == choice
    assert MaskChoice.from_facts({"mpps": [0.5]}, {}) is None
    nothing = MaskChoice(tmp_path / "a.geojson", "ab", frozenset())
    assert MaskChoice.from_facts(nothing.facts(), {}).left_out == frozenset()
