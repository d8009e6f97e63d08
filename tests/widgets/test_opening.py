"""Docks open at once: what takes seconds to import waits until something is to be computed."""

import subprocess
import sys
from pathlib import Path

from napari_smse import widgets

DOCKS = sorted(path.parent.name for path in Path(widgets.__file__).parent.glob("*/dock.py"))


def test_every_dock_is_tested():
    assert len(DOCKS) == 8


def test_docks_open_without_torch_sklearn_or_umap():
    code = "import importlib, sys\n"
    for dock in DOCKS:
        code += (
            f"importlib.import_module('napari_smse.widgets.{dock}.dock')\n"
            "slow = {'torch', 'sklearn', 'umap'} & set(sys.modules)\n"
            f"assert not slow, ('{dock}', slow)\n"
        )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
