"""Pictures are opened as one of a few named formats, whatever their names say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from PIL import EpsImagePlugin, Image

import napari_smse
from napari_smse.datasets.image_header import image_size
from napari_smse.errors import DataError, NotASlideError
from napari_smse.slides import open_slide
from napari_smse.slides.backends.image import PICTURE_FORMATS
from support.slides import noise_image

IMAGE = noise_image(40, 30)
ENDLESS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{ } loop\n"


@pytest.fixture(autouse=True)
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        pytest.fail("PostScript was run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)


@pytest.mark.parametrize("name", ["x.svs", "x.jpg", "x.png", "x.dat"])
def test_postscript_is_never_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ENDLESS)
    with pytest.raises(NotASlideError, match=rf"{name} is no image .*PNG"):
        open_slide(tmp_path / name)
    with pytest.raises(DataError, match="is no image"):
        image_size(tmp_path / name)


@pytest.mark.parametrize("kind", ["EPS", "GIF", "ICNS", "ICO", "PCX", "PPM", "SGI", "TGA", "DDS"])
def test_other_formats_are_refused(tmp_path: Path, kind: str) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "x.png", format=kind)
    with pytest.raises(NotASlideError, match="is no image"):
        open_slide(tmp_path / "x.png")
    with pytest.raises(DataError, match="is no image"):
        image_size(tmp_path / "x.png")


@pytest.mark.parametrize("kind", PICTURE_FORMATS)
def test_named_formats_are_read(tmp_path: Path, kind: str) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "picture", format=kind)
    with open_slide(tmp_path / "picture") as slide:
        assert (slide.width, slide.height) == (40, 30)
    assert image_size(tmp_path / "picture") == (40, 30)


def test_no_picture_is_opened_as_whatever_it_is() -> None:
    opened = [
        (file.name, [keyword.arg for keyword in node.keywords])
        for file in Path(napari_smse.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert opened
    assert all("formats" in keywords for _, keywords in opened), opened
