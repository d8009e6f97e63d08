"""How the documentation is built: `make site` makes it in site/, with warnings as errors.

The pages are plain Markdown, so that they read as well in the repository. What cannot be written
by hand is put in when the site is built: the navigation, from `NAVIGATION` below; the options of
the command line, from the program; the Python reference, from the docstrings; the notebooks.
Nothing is fetched while the site is built or read: no fonts, scripts or pictures from elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "site_tools")]

import api_reference  # noqa: E402
import cli_reference  # noqa: E402
import encoder_reference  # noqa: E402
import notebooks  # noqa: E402

import napari_smse  # noqa: E402

project = "napari-smse"
author = copyright = "napari-smse contributors"
version = release = napari_smse.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# What lies in docs/ and is no page.
exclude_patterns = ["screenshots", "site_tools", "experiments.md"]
source_suffix = {".md": "markdown", ".ipynb": "markdown"}  # notebooks are made Markdown when read

smartquotes = False  # two hyphens begin an option
myst_heading_anchors = 3
default_role = "py:obj"  # one pair of backticks in a docstring: a name of ours, if it is one
# A class of the API and one of a package may share a name, and docstrings give no paths.
suppress_warnings = ["ref.python"]
autodoc_default_options = {"exclude-members": "model_config"}  # pydantic's
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # one entry may name several

html_theme = "furo"
html_title = "napari-smse"
html_static_path = ["site_tools/static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

NAVIGATION: dict[str, tuple[str, ...]] = {
    "": ("getting_started",),
    "User guide": (
        "user/index",
        "user/slides",
        "user/score_a_slide",
        "user/tissue_masks",
        "user/annotate",
        "user/fine_tune",
        "user/evidence",
        "user/find_similar",
        "user/embedding_map",
        "user/annotate_next",
        "user/slide_index",
        "user/reports",
        "user/many_slides",
        "user/exports",
        "user/remote_slides",
        "user/sessions",
        "user/models",
        "user/command_line",
    ),
    "Tutorials": ("tutorials/index", *notebooks.pages()),
    "Concepts": (
        "concepts/scale",
        "concepts/tiles",
        "concepts/embedding",
        "concepts/exemplars",
        "concepts/out_of_distribution",
        "concepts/hold_outs",
    ),
    "Reference": (
        "reference/api",
        "reference/packages",
        "reference/cli",
        "reference/encoders",
        "reference/formats",
        "glossary",
    ),
    "Developers": (
        "developers/architecture",
        "developers/adding_a_backend",
        "developers/adding_a_loss",
        "developers/adding_a_runtime",
        "developers/adding_a_dock",
        "developers/release",
    ),
}


def _navigation() -> str:
    """Return the table of contents of the sidebar, in MyST's Markdown."""
    return "\n\n".join(
        "\n".join(["```{toctree}", ":hidden:", *_caption(caption), "", *pages, "```"])
        for caption, pages in NAVIGATION.items()
    )


def _caption(text: str) -> list[str]:
    return [f":caption: {text}"] if text else []


def _fill_in(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put into a page what is not written by hand."""
    if page == "index":
        source[0] += "\n\n" + _navigation()
    for part in (api_reference, cli_reference, encoder_reference, notebooks):
        source[0] = part.filled(page, source[0])


def _without_math(*given: Any) -> None:
    """Show formulas as they are written: what would draw them is fetched from elsewhere."""
    lines: list[str] = given[-1]
    text = "\n".join(lines).replace(".. math::", ".. code-block:: text\n\n  ")
    lines[:] = text.replace(":math:`", "``").splitlines()


def setup(app: Sphinx) -> None:
    """Connect the above; Sphinx calls it."""
    app.connect("source-read", _fill_in)
    app.connect("autodoc-process-docstring", _without_math)
