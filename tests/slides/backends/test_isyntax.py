"""Philips iSyntax files are refused by one line that says what to do with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.errors import NotASlideError
from napari_smse.slides import open_slide
from napari_smse.slides.probe import look_at
from support.shell import Shell, assert_one_error, shell

__all__ = ["shell"]  # the fixture
HEADER = b'<?xml version="1.0" encoding="UTF-8" ?>\n<DataObject ObjectType="DPUfsImport">'
CONTENTS = {
    "header": HEADER,
    "cut": HEADER + b"</DataObject>\r\n\x04" + bytes(999),
    "random": bytes(range(256)) * 40,
    "one": b"<",
    "picture": b"\x89PNG" + bytes(99),
}
WHAT_TO_DO = "is a Philips iSyntax file, which is not read here: export it from Philips' software"


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("suffix", ["isyntax", "i2syntax", "iSyntax"])
def test_any_is_refused_by_one_line(tmp_path: Path, content: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(CONTENTS[content])
    for opened in (open_slide, look_at):
        with pytest.raises(NotASlideError, match=rf"^a\.{suffix} {WHAT_TO_DO}"):
            opened(path)


def test_one_elsewhere_is_not_asked_for(tmp_path: Path, shell: Shell) -> None:
    with pytest.raises(NotASlideError, match="convert it to a pyramidal TIFF"):
        open_slide("https://nowhere.invalid/a.isyntax")
    path = tmp_path / "a.isyntax"
    path.write_bytes(HEADER)
    assert_one_error(shell("info", path), "a.isyntax", "Philips' software as TIFF or DICOM")
