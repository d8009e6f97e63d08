"""The examples in the docstrings, on the sample slide."""

from __future__ import annotations

import doctest
import functools
import importlib
import pkgutil
from pathlib import Path

import pytest

from napari_smse import api, models

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(one.name for one in pkgutil.iter_modules(api.__path__))


@pytest.fixture(scope="module", autouse=True)
def one_model():
    """Loading takes seconds, and every example begins with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load_model", functools.cache(models.load_model))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_say(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(f"napari_smse.api.{name}")
    assert doctest.testmod(module).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    with_examples = {
        name
        for name in MODULES
        for one in finder.find(importlib.import_module(f"napari_smse.api.{name}"))
        if one.examples
    }
    assert with_examples >= {
        *("annotations", "exemplars", "fine_tuning", "model", "scores", "scoring"),
        *("reports", "searching", "slide_sets"),
    }
