"""What docstrings list exists: parameters of functions, attributes of classes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from support import ROOT

SOURCES = sorted((ROOT / "src" / "napari_smse").rglob("*.py"))
SECTION = re.compile(
    r"^(Parameters|Other Parameters|Attributes)\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)",
    re.MULTILINE | re.DOTALL,
)
LISTED = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : .+)?$", re.MULTILINE)


def listed(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Names that the docstring of `node` explains."""
    bodies = (match[1] for match in SECTION.findall(f"{ast.get_docstring(node) or ''}\n"))
    return {
        name.lstrip("*")
        for body in bodies
        for names in LISTED.findall(body)
        for name in names.split(", ")
    }


def parameters(function: ast.FunctionDef) -> set[str]:
    arguments = function.args
    variadic = [name for name in (arguments.vararg, arguments.kwarg) if name is not None]
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {argument.arg for argument in [*named, *variadic]}


def members(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[str]:
    """Names of fields, methods and attributes, and what its ``__init__`` takes."""
    for part in ast.walk(node):
        match part:
            case ast.FunctionDef():
                yield part.name
                if part.name == "__init__":
                    yield from parameters(part)
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                yield name
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            yield from members(classes[base.id], classes)


def modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in SOURCES
    }


CLASSES = {
    node.name: node
    for tree in modules().values()
    for node in ast.walk(tree)
    if isinstance(node, ast.ClassDef)
}


def test_what_is_explained_exists() -> None:
    unknown = []
    for name, tree in modules().items():
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef():
                    extra = listed(node) - parameters(node)
                case ast.ClassDef():
                    extra = listed(node) - set(members(node, CLASSES))
                case _:
                    continue
            unknown += [f"{name}:{node.lineno} {word}" for word in extra]
    assert not unknown


def test_lists_are_read() -> None:
    source = '''
def resize(image, *, width):
    """Resize.

    Parameters
    ----------
    image : ndarray
        What.
    width, height
        How.

    Returns
    -------
    ndarray
        It.
    """
'''
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert listed(function) == {"image", "width", "height"}
    assert parameters(function) == {"image", "width"}
