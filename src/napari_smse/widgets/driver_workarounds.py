"""Keep graphics drivers and libraries that clash from ending the viewer."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Final

from vispy.gloo import gl
from vispy.gloo.glir import GlirProgram

logger = logging.getLogger(__name__)

_MAPS = Path("/proc/self/maps")


def guard_against_triton(maps: Path = _MAPS) -> bool:
    """Make `import triton` fail politely if loading it would end the process.

    Mesa's software and AMD drivers load libLLVM, and Triton, which torchvision
    imports by way of torch, contains another LLVM: loaded second, it crashes
    Python (pytorch issue 96060). Torch does without Triton where it is missing;
    only `torch.compile` on a GPU needs it.

    Parameters
    ----------
    maps
        What the process has loaded, as Linux tells it.

    Returns
    -------
    Whether Triton is kept out.
    """
    if "triton" in sys.modules:
        return sys.modules["triton"] is None
    if not maps.exists() or "/libLLVM" not in maps.read_text(errors="replace"):
        return False
    sys.modules["triton"] = None  # type: ignore[assignment]
    logger.info("OpenGL here brings its own LLVM: Triton, which would clash with it, is left out")
    return True


_SOFTWARE: Final = ("llvmpipe", "softpipe", "swrast")

_delete = GlirProgram.delete


def keep_programs() -> None:
    """Let programs be, from now on, where drawing is done in software; elsewhere change nothing."""
    GlirProgram.delete = _delete_unless_software


def _delete_unless_software(program: GlirProgram) -> None:
    renderer = str(gl.glGetParameter(gl.GL_RENDERER)).lower()
    if not any(name in renderer for name in _SOFTWARE):
        _delete(program)
