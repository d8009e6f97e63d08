"""The conda recipe asks for what pyproject.toml asks for, by conda's names."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

import napari_smse
from support import ROOT

yaml = pytest.importorskip("yaml")
RECIPE: dict[str, Any] = yaml.safe_load(
    (ROOT / "packaging" / "conda" / "recipe.yaml").read_text("utf-8")
)
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = SETTINGS["project"]

CONDA_NAMES = {"matplotlib": "matplotlib-base", "openslide-bin": "openslide", "torch": "pytorch"}
"""Where conda-forge calls a package otherwise; matplotlib-base brings no Qt."""

CONDA_FLOORS = {"openslide": "4.0.0"}
"""Where a wheel's version has a part that its library's has not."""


def by_name(requirements: list[str]) -> dict[str, str]:
    return dict(one.replace(" ", "").partition(">=")[::2] for one in requirements)


def test_what_is_needed_is_the_same_but_for_names() -> None:
    wanted = {}
    for name, floor in by_name(PROJECT["dependencies"]).items():
        conda = CONDA_NAMES.get(name, name)
        wanted[conda] = CONDA_FLOORS.get(conda, floor)
    run = by_name(RECIPE["requirements"]["run"])
    assert run.pop("python") == "${{python_min}}"
    assert run == wanted
    assert by_name(PROJECT["dependencies"])["openslide-bin"].startswith(CONDA_FLOORS["openslide"])


def test_no_qt_binding_is_asked_for() -> None:
    names = {name.lower() for name in by_name(RECIPE["requirements"]["run"])}
    assert not {"pyqt", "pyqt6", "pyside2", "pyside6", "qt", "matplotlib"} & names


def test_it_is_built_as_pyproject_says() -> None:
    host = by_name(RECIPE["requirements"]["host"])
    (backend,) = SETTINGS["build-system"]["requires"]
    assert by_name([backend]).items() <= host.items()
    assert PROJECT["requires-python"] == f">={RECIPE['context']['python_min']}"
    assert RECIPE["build"]["noarch"] == "python"
    assert "--no-deps" in RECIPE["build"]["script"]


def test_programs_and_the_plugin_are_there_and_tried() -> None:
    programs = [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == programs
    ((name, place),) = PROJECT["entry-points"]["napari.manifest"].items()
    tried = "\n".join(line for test in RECIPE["tests"] for line in test.get("script", ()))
    assert f"['{name}'].value == '{place}'" in tried
    assert "napari-smse doctor" in tried


def test_version_and_licence_are_those_of_the_package() -> None:
    assert RECIPE["context"]["version"] == napari_smse.__version__
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert (ROOT / RECIPE["about"]["license_file"]).exists()
    assert RECIPE["about"]["summary"] == PROJECT["description"]
