"""Which formats of ordinary pictures are opened."""

from __future__ import annotations

from typing import Final

PICTURE_FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Formats Pillow may take a file for, to be handed to every ``Image.open``.

Left to itself Pillow tries all it knows, whatever the file is called, and PostScript among
them is a program: it is handed to Ghostscript, and may never end.
"""
