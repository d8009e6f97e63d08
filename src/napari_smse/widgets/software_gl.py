"""Keeps Mesa's software renderer from ending the process when a layer is removed.

Without a graphics card, Mesa (seen with 22.3) reads memory of a shader program that was deleted
with its layer: two images, the lower one removed, and the next drawing ends napari. Programs that
are not deleted, a few kB each, cost nothing in comparison.
"""

from __future__ import annotations

from typing import Final

from vispy.gloo import gl
from vispy.gloo.glir import GlirProgram

_SOFTWARE: Final = ("llvmpipe", "softpipe", "swrast")

_delete = GlirProgram.delete


def keep_programs() -> None:
    """Let programs be, from now on, where drawing is done in software; elsewhere change nothing."""
    GlirProgram.delete = _delete_unless_software


def _delete_unless_software(program: GlirProgram) -> None:
    renderer = str(gl.glGetParameter(gl.GL_RENDERER)).lower()
    if not any(name in renderer for name in _SOFTWARE):
        _delete(program)
