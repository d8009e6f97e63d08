"""Encoders are known by any tool's name for them."""

from __future__ import annotations

from collections import Counter

import pytest

from napari_smse.errors import UnknownEncoderError
from napari_smse.models.encoders import ENCODERS, find_encoder

NAMES = {
    "TRIDENT": """
        uni_v1 uni_v2 phikon phikon_v2 gigapath virchow virchow2 hoptimus0 hoptimus1 h0-mini
        midnight12k gpfm hibou_l kaiko-vits8 kaiko-vits16 kaiko-vitb8 kaiko-vitb16 kaiko-vitl14
        lunit-vits8
    """,
    "LazySlide": """
        uni uni2 virchow virchow2 h-optimus-0 h-optimus-1 h0-mini hibou-b hibou-l lunit-bt
        lunit-mocov2 lunit-swav lunit-dino-s8 lunit-dino-s16 midnight phikon phikonv2 gpfm gigapath
    """,
    "slide2vec": """
        lunit phikon phikonv2 hibou-b hibou-l h0-mini uni uni2 virchow virchow2 gigapath
        h-optimus-0 h-optimus-1 midnight gpfm dinov2-vitb14
    """,
    "TIAToolbox": "UNI UNI2 Virchow Virchow2 H-optimus-0 H-optimus-1 H0-mini prov-gigapath",
}


@pytest.mark.parametrize("tool", NAMES)
def test_names_of_other_tools_are_known(tool: str) -> None:
    for name in NAMES[tool].split():
        assert find_encoder(name) in ENCODERS


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_every_spelling_leads_to_its_encoder(encoder) -> None:
    for spelling in encoder.spellings:
        for written in (spelling, spelling.upper(), f"hf-hub:{spelling}"):
            assert find_encoder(written) is encoder


def test_no_spelling_is_of_two_encoders() -> None:
    plain = Counter(
        spelling
        for encoder in ENCODERS
        for spelling in {one.casefold().replace("_", "-") for one in encoder.spellings}
    )
    assert [spelling for spelling, number in plain.items() if number > 1] == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [("uni3", "did you mean uni"), ("virchov2", "virchow2"), ("zzz", "models list")],
)
def test_an_unknown_name_is_answered_with_close_ones(name: str, hint: str) -> None:
    with pytest.raises(UnknownEncoderError, match=hint):
        find_encoder(name)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_records_are_whole(encoder) -> None:
    assert encoder.licence
    assert encoder.citation
    assert encoder.repository.count("/") == 1
    assert encoder.mpp_range[0] <= encoder.mpp_range[1]
    if "NC" in encoder.licence or "non-commercial" in encoder.licence:
        assert not encoder.commercial
