"""What the package hands out, and what asking for it brings along."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import napari_smse as smse

FUNCTIONS = {
    "open_features",
    "open_slide",
    "load_model",
    "score",
    "read_scores",
    "read_annotations",
    "explain",
    "export_results",
    "read_tile_features",
    "read_tile_values",
    "out_of_distribution",
    "find_similar",
    "embedding_map",
    "suggest_tiles",
    "find_label_issues",
    "batch_effect",
    "fine_tune",
    "read_dataset",
    "train",
    "evaluate",
    "compare_encoders",
    "cross_validate",
    "summarise",
    "write_report",
    "write_cohort",
    "write_cohort_tiles",
}
QUICK = {"open_slide", "load_model", "read_scores", "read_annotations", "explain"}
QUICK |= {"summarise", "write_report", "export_results", "open_features", "read_tile_features"}
QUICK |= {"read_tile_values"}
"""What is done before anybody would look at a bar."""


def out_of(code: str) -> list[str]:
    """Return the words that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_these_are_all_the_names():
    assert set(smse.__all__) == FUNCTIONS | {
        "ExemplarBank",
        "SlideIndex",
        "losses",
        "__version__",
    }
    assert dir(smse) == smse.__all__ == sorted(smse.__all__)


def test_every_name_is_there():
    assert all(callable(getattr(smse, name)) for name in FUNCTIONS)
    assert smse.score is smse.score
    for name in ("ContrastiveLoss", "TripletLoss", "FocalLoss", "mine_triplets"):
        assert callable(getattr(smse.losses, name))
    assert issubclass(smse.errors.ScaleError, smse.errors.SmseError)
    with pytest.raises(AttributeError, match="no attribute 'scoer'"):
        _ = smse.scoer


def test_importing_the_package_imports_next_to_nothing():
    heavy = ("torch", "numpy", "napari", "zarr", "pydantic", "pyarrow", "shapely")
    assert out_of(
        f"import sys, napari_smse; print(*[m for m in {heavy!r} if m in sys.modules])"
    ) == []  # fmt: skip


def test_looking_at_slides_and_scores_needs_no_torch():
    learning = {
        "fine_tune",
        "read_dataset",
        "train",
        "evaluate",
        "cross_validate",
        "compare_encoders",
        "losses",
    }
    names = sorted(set(smse.__all__) - learning)
    code = f"import sys, napari_smse\nfor n in {names!r}: getattr(napari_smse, n)\n"
    assert out_of(code + "print('torch' in sys.modules, 'napari' in sys.modules)") == [
        "False",
        "False",
    ]


@pytest.mark.parametrize("name", sorted(FUNCTIONS - QUICK))
def test_long_work_tells_its_progress(name):
    assert inspect.signature(getattr(smse, name)).parameters["progress"].default is None


@pytest.mark.parametrize("name", sorted(FUNCTIONS | {"ExemplarBank", "SlideIndex"}))
def test_docstrings_tell_parameters_and_errors(name):
    found = getattr(smse, name)
    text = inspect.getdoc(found)
    assert text
    if name == "ExemplarBank":
        return
    parameters = inspect.signature(found).parameters
    told = text.partition("Parameters\n")[2]
    for parameter in parameters:
        assert parameter in told, parameter
    if name != "SlideIndex":
        assert "Raises\n" in text


def test_type_checkers_see_the_names_that_are_handed_out():
    tree = ast.parse(inspect.getsource(smse))
    (checking,) = (node for node in tree.body if isinstance(node, ast.If))
    named = {
        alias.name: node.module
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(named) == set(smse.__all__) - {"__version__"} | {"errors"}
    for name, module in named.items():
        if name not in ("errors", "losses"):
            assert module == f"napari_smse.{smse._MODULE_OF[name]}"
