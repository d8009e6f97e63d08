"""What runs on the machines of others: every Python and system that the package promises."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from support import ROOT

yaml = pytest.importorskip("yaml")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TESTS: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text("utf-8"))
JOBS: dict[str, Any] = TESTS["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in JOBS[job]["steps"])


def test_every_python_that_is_promised_is_tested_on_every_system() -> None:
    matrix = JOBS["tests"]["strategy"]["matrix"]
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert matrix["python"] == versions
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert JOBS["style"]["steps"][1]["with"]["python-version"] == versions[0]


def test_what_is_tested_is_the_wheel() -> None:
    assert JOBS["tests"]["needs"] == JOBS["cluster"]["needs"] == "wheel"
    assert "dist/*.whl" in commands("tests")
    assert "dist/*.whl" in commands("cluster")
    assert "--editable" not in commands("tests") + commands("cluster")
    assert "-e ." not in commands("tests") + commands("cluster")
    extras = re.search(r"\[([\w,]+)\]", commands("tests"))[1].split(",")
    assert {"all", "train", "test"} == set(extras) <= PROJECT["optional-dependencies"].keys()


def test_jobs_have_steps_limits_and_no_rights_to_write() -> None:
    assert TESTS["permissions"] == {"contents": "read"}
    for name, job in JOBS.items():
        assert job["timeout-minutes"] <= 120, name
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), name
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v0")), step


@pytest.mark.parametrize("job", JOBS)
def test_files_and_targets_that_commands_name_are_there(job: str) -> None:
    text = commands(job)
    for name in re.findall(r"(?:scripts|packaging|\.ci|sample_data)/[\w.-]+", text):
        assert (ROOT / name).exists(), name
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)$", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert not re.search(r"\bdist/napari", text)


def test_there_is_no_other() -> None:
    assert [path.name for path in WORKFLOWS] == ["tests.yml"]
