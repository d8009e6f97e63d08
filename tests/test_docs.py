"""The documentation against the code: links, paths, names and options that it speaks of exist."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from napari_smse.cli.app import app
from support import ROOT

DOCS = ROOT / "docs"
WRITTEN = ("*.md", "docs/**/*.md", "research/**/*.md", "benchmarks/*.md", "sample_data/*.md")
PAGES = sorted(path for pattern in WRITTEN for path in ROOT.glob(pattern))
FOR_DEVELOPERS = [ROOT / "CONTRIBUTING.md", *sorted((DOCS / "developers").glob("*.md"))]
FOR_USERS = [
    ROOT / "README.md",
    *(path for path in PAGES if path.is_relative_to(DOCS) and path not in FOR_DEVELOPERS),
]
FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(
    r"`((?:src|tests|docs|scripts|research|benchmarks|packaging|\.github)/[\w./*-]*)`"
)
NAME = re.compile(r"`(napari_smse(?:\.\w+)+)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def site_tool(name: str) -> ModuleType:
    path = DOCS / "site_tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"site_tools_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLI = site_tool("cli_reference")
OPTIONS = {name: set(CLI.options(command)) for name, command in CLI.commands().items()}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """What a heading is called in a link, as GitHub and MyST make it."""
    titles = re.findall(r"^#+ +(.+?)\s*$", prose(path), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_pages_are_found_and_links_seen() -> None:
    assert len(PAGES) > 30
    assert {"install", "a-first-slide-in-napari"} <= anchors(DOCS / "getting_started.md")
    assert LINK.findall("![x](a.png) [y](b.md#c)") == ["a.png", "b.md#c"]


@pytest.mark.parametrize("page", FOR_DEVELOPERS, ids=name_of)
def test_paths_named_for_developers_exist(page: Path) -> None:
    for path in PATH.findall(page.read_text(encoding="utf-8")):
        assert list(ROOT.glob(path)), path


def test_contributing_says_which_files_and_which_test_for_each_addition() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| an? ", line)]
    kinds = ("backend", "loss", "reader", "runtime", "encoder", "dock", "option")
    assert [kind for kind in kinds if not any(kind in row.split("|")[1] for row in rows)] == []
    for row in rows:
        _, _, files, test, *_ = row.split("|")
        assert "`src/napari_smse/" in files
        assert re.fullmatch(r" `tests/[\w/]+/test_\w+\.py` ", test)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_in_code_exist(page: Path) -> None:
    for name in NAME.findall(page.read_text(encoding="utf-8")):
        assert resolved(name) is not None, name


def resolved(name: str) -> object:
    """What a dotted name stands for; a function that a package hands out before its module."""
    root, *parts = name.split(".")
    found: object = importlib.import_module(root)
    for number, part in enumerate(parts, start=1):
        if not hasattr(found, part):
            place = ".".join([root, *parts[:number]])
            if not isinstance(found, ModuleType) or importlib.util.find_spec(place) is None:
                return None
            found = importlib.import_module(place)
        else:
            found = getattr(found, part)
    return found


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert resolved("napari_smse.slides.Slide") is not None
    assert resolved("napari_smse.slides.Carriage") is None
    assert resolved("napari_smse.carriages.Slide") is None


def test_architecture_names_every_floor() -> None:
    text = (DOCS / "developers" / "architecture.md").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    floors = next(one for one in contracts if one["id"] == "floors")["layers"]
    for floor in (name.strip() for layer in floors for name in layer.split("|")):
        assert f"`{floor}`" in text


@pytest.mark.parametrize("page", FOR_USERS, ids=name_of)
def test_options_that_pages_speak_of_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for command, option in called_with(text):
        assert option in OPTIONS[command], f"{command} {option}"
    known = set.union(*OPTIONS.values()) | {"--help"}
    spoken_of = {
        name for code in re.findall(r"`(--[^`]+)`", prose(page)) for name in OPTION.findall(code)
    }
    assert spoken_of <= known


def called_with(text: str) -> Iterator[tuple[str, str]]:
    for command, rest in re.findall(r"napari-smse (\w+) ([^`\n#|]*)", text):
        if command in OPTIONS:
            yield from ((command, option) for option in OPTION.findall(rest) if option != "--help")


def test_calls_are_seen() -> None:
    text = "```sh\nnapari-smse score a --out b  # --no\n```\nor `napari-smse search I --x 1` --no"
    assert list(called_with(text)) == [("score", "--out"), ("search", "--x")]


@pytest.mark.parametrize("command", OPTIONS)
def test_reference_has_what_help_says(command: str) -> None:
    page = CLI.filled("reference/cli", (DOCS / "reference" / "cli.md").read_text(encoding="utf-8"))
    section = re.split(r"^## ", page, flags=re.MULTILINE)
    told = next(part for part in section if part.startswith(f"{command}\n"))
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "300"}).output
    listed = {
        name for line in shown.splitlines() for name in OPTION.findall(line.partition("<")[0])
    }
    assert listed - {"--help"} == {name for name in OPTIONS[command] if name.startswith("--")}
    assert [name for name in OPTIONS[command] if f"`{name}`" not in told] == []
    assert CLI.MARK not in page


def test_reference_has_every_public_name_once() -> None:
    api = site_tool("api_reference")
    pages = "\n".join(
        api.filled(f"reference/{name}", (DOCS / "reference" / f"{name}.md").read_text("utf-8"))
        for name in ("api", "packages")
    )
    listed = re.findall(r"^\.\. auto(?:class|function):: ([\w.]+)$", pages, re.MULTILINE)
    objects = [resolved(name) for name in listed]
    assert len(set(map(id, objects))) == len(objects)
    for package in (
        "napari_smse",
        "napari_smse.slides",
        "napari_smse.scoring",
        "napari_smse.losses",
    ):
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert value in objects, name
    assert api.MARK not in pages


def test_notebooks_become_pages() -> None:
    outputs = [
        {"output_type": "stream", "text": ["\x1b[31mred\x1b[0m\n"]},
        {"output_type": "display_data", "data": {"image/png": "AAAA\n", "text/plain": "<Figure>"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": outputs},
        {"cell_type": "code", "source": "", "outputs": []},
    ]
    assert site_tool("notebooks").as_markdown(json.dumps({"cells": cells})) == (
        "# Title\ntext\n\n```python\n1 + 1\n```\n\n```text\nred\n```\n\n"
        "![What the cell shows](data:image/png;base64,AAAA)"
    )
