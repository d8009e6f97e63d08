"""Fills the pages of the Python reference from the public names and their docstrings.

A name is public if it is in `napari_smse.__all__`, or in `__all__` of one of its packages.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Final

PACKAGE: Final = "napari_smse"
API_PAGE: Final = "reference/api"
PACKAGES_PAGE: Final = "reference/packages"
MARK: Final = "<!-- public names -->"
_NO_API: Final = (
    f"This version hands out no names of its own at `{PACKAGE}`: take those of its "
    "[packages](packages.md)."
)
_OTHERS: Final = frozenset({"api", "cli", "reader", "samples", "widgets"})
"""Packages that are not for use from Python, or are what the first page shows."""

Documented = type | FunctionType
Names = dict[str, Documented]
"""Functions and classes by the names under which they are handed out, from the package's root."""


def filled(page: str, markdown: str) -> str:
    """Put the names where the page asks for them."""
    if page == API_PAGE:
        return markdown.replace(MARK, api() or _NO_API)
    return markdown.replace(MARK, packages()) if page == PACKAGES_PAGE else markdown


def api() -> str:
    """Return what `import napari_smse` hands out, in MyST's Markdown; empty if that is nothing."""
    public = _public(import_module(PACKAGE))
    parts = {
        "Functions": {name: it for name, it in public.items() if not inspect.isclass(it)},
        "Classes": {name: it for name, it in public.items() if inspect.isclass(it)},
        **{name: _public(module) for name, module in _public_modules().items()},
        "What they return": _returned(public),
    }
    told = [f"## {title}\n\n{_directives(names)}" for title, names in parts.items() if names]
    return "\n\n".join(told)


def packages() -> str:
    """Return what each package hands out, in MyST's Markdown."""
    shown = import_module(PACKAGE)
    known = [*_public(shown).values(), *_returned({}).values()]
    known += [it for module in _public_modules().values() for it in _public(module).values()]
    parts = []
    for module in _packages():
        names = {name: it for name, it in _public(module).items() if it not in known}
        if names:
            told = (inspect.getdoc(module) or "").split("\n\n")[0]
            parts.append(f"## {module.__name__}\n\n{told}\n\n{_directives(names)}")
    return "\n\n".join(parts)


def _public(module: ModuleType) -> Names:
    values = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return {
        f"{module.__name__}.{name}": it
        for name, it in values.items()
        if inspect.isclass(it) or inspect.isfunction(it)
    }


def _public_modules() -> dict[str, ModuleType]:
    """Return the modules among the public names, such as `losses`."""
    root = import_module(PACKAGE)
    values = {name: getattr(root, name) for name in getattr(root, "__all__", ())}
    return {name: it for name, it in values.items() if isinstance(it, ModuleType)}


def _returned(public: Names) -> Names:
    """Return the classes that public functions return, though nobody makes them himself."""
    found: Names = {}
    for module in _api_modules():
        for name, it in vars(module).items():
            own = inspect.isclass(it) and it.__module__ == module.__name__
            if own and not name.startswith("_") and it not in public.values():
                found[f"{module.__name__}.{name}"] = it
    return found


def _api_modules() -> list[ModuleType]:
    if find_spec(f"{PACKAGE}.api") is None:
        return []
    folder = import_module(f"{PACKAGE}.api")
    found = pkgutil.iter_modules(getattr(folder, "__path__", ()), f"{folder.__name__}.")
    return [import_module(module.name) for module in found]


def _packages() -> Iterator[ModuleType]:
    root = import_module(PACKAGE)
    for found in pkgutil.walk_packages(root.__path__, f"{PACKAGE}."):
        if found.ispkg and found.name.split(".")[1] not in _OTHERS:
            yield import_module(found.name)


def _directives(names: Names) -> str:
    """Return what Sphinx makes their documentation of."""
    lines = []
    for name, it in names.items():
        is_class = inspect.isclass(it)
        lines += [f".. auto{'class' if is_class else 'function'}:: {name}"]
        lines += ["   :members:"] * is_class + [""]
    return "\n".join(["```{eval-rst}", *lines, "```"])
