"""Nothing that runs a network tells its makers of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_smse.scoring.runtimes.base import unreported
from support import TESTS

CONVERTED = """
import openvino_telemetry.main as reports

reports.TelemetrySender.send = lambda *args: print("sent", args[2:])
from napari_smse.scoring.runtimes.openvino_runner import converted_model
from support.models import redness_model

converted_model(redness_model())
print("converted", reports.Telemetry().consent)
"""


def test_openvino_sends_nothing_when_it_is_imported_and_converts(tmp_path: Path) -> None:
    pytest.importorskip("openvino_telemetry")
    # As on a user's machine: no CI job, and nobody opted out.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(TESTS)}
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CONVERTED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert answer.stdout.splitlines()[-1] == "converted False"
    assert "sent" not in answer.stdout
    assert not list(tmp_path.rglob("*cid*"))


def test_variables_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("NNCF_CI", "0")
    with unreported():
        assert os.environ["CI"] == "true"
    assert "CI" not in os.environ
    assert os.environ["NNCF_CI"] == "0"
