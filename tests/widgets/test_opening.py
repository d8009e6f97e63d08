"""Docks open at once: what takes seconds to import waits until something is to be computed."""

import subprocess
import sys
from pathlib import Path

import pytest

from napari_smse import widgets

DOCKS = sorted(path.parent.name for path in Path(widgets.__file__).parent.glob("*/dock.py"))


def test_every_dock_is_tested():
    assert len(DOCKS) == 8


@pytest.mark.parametrize("dock", DOCKS)
def test_a_dock_opens_without_torch_sklearn_or_umap(dock):
    code = (
        f"import sys, napari_smse.widgets.{dock}.dock; "
        "assert not {'torch', 'sklearn', 'umap'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
