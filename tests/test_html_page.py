"""Pages that need nothing else, and in which no text is markup."""

from __future__ import annotations

import base64

from napari_smse.html_page import NOTICE, bullets, figure, html_page, image, table

HOSTILE = '<script>alert("x")</script> & "quoted"'


def test_whatever_a_name_holds_is_text() -> None:
    parts = [bullets([HOSTILE]), table((HOSTILE, "n"), [("", (HOSTILE, "1"))])]
    parts.append(figure(b"x", "png", HOSTILE))
    page = html_page(HOSTILE, parts)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 7
    assert 'alt="&lt;script&gt;' in page


def test_a_page_says_what_it_is_for_and_carries_its_pictures() -> None:
    page = html_page("Title", [image(b"picture", "jpeg", "a tile")])
    assert page.startswith("<!DOCTYPE html>")
    assert page.count(NOTICE) == 1
    assert f"data:image/jpeg;base64,{base64.b64encode(b'picture').decode()}" in page
    assert "http" not in page


def test_numbers_stand_in_their_columns() -> None:
    made = table(("name", "number"), [("all", ("a", "1"))])
    assert '<tr class="all"><td >a</td><td class="n">1</td></tr>' in made
    assert bullets([]) == ""


def test_a_table_without_heads_has_no_empty_line_above() -> None:
    assert "<thead>" not in table(("", ""), [("", ("a", "b"))], numbers=())
