"""Fills the page of the command line with what the program itself says of its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args

PAGE: Final = "reference/cli"
MARK: Final = "<!-- every command with its options -->"
_DEFAULT_IN_HELP: Final = re.compile(r"(.*) \[([^\]]+)\]", re.DOTALL)
_WORDS: Final[dict[type, str]] = {
    bool: "",
    int: "number",
    float: "number",
    str: "text",
    Path: "path",
}


def filled(page: str, markdown: str) -> str:
    """Put the commands where the page asks for them."""
    return markdown.replace(MARK, reference()) if page == PAGE else markdown


def reference() -> str:
    """Return a section for each command, in Markdown."""
    return "\n\n".join(_section(name, command) for name, command in commands().items())


def commands() -> dict[str, Any]:
    """Return the commands of the program by name, as typer hands them to click.

    Those of a group have its name before theirs.
    """
    from typer.main import get_command

    from napari_smse.cli.app import app

    found: dict[str, Any] = {}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        of_group = getattr(command, "commands", None)
        if of_group is None:
            found[name] = command
        else:
            found |= {f"{name} {own}": one for own, one in of_group.items()}
    return found


def options(command: Any) -> Iterator[str]:
    """Return the options of a command, the long and the short ones."""
    for parameter in command.params:
        if _is_option(parameter):
            yield from (*parameter.opts, *parameter.secondary_opts)


def _section(name: str, command: Any) -> str:
    given = [parameter for parameter in command.params if not _is_option(parameter)]
    usage = " ".join(["napari-smse", name, *map(_argument, given), "[OPTIONS]"])
    rows = [_row(parameter) for parameter in command.params]
    table = "\n".join(["| | value | meaning | default |", "|---|---|---|---|", *rows])
    # Paragraphs are kept; lines within one are not.
    told = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    parts = [f"## {name}", told, f"```sh\n{usage}\n```", table if rows else ""]
    return "\n\n".join(part for part in parts if part)


def _is_option(parameter: Any) -> bool:
    return bool(parameter.opts[0].startswith("-"))


def _argument(parameter: Any) -> str:
    name = parameter.name.upper() + ("..." if parameter.nargs != 1 else "")
    return name if parameter.required else f"[{name}]"


def _row(parameter: Any) -> str:
    names = _names(parameter)
    told = _DEFAULT_IN_HELP.fullmatch(parameter.help or "")
    meaning, default = (told[1], told[2]) if told else (parameter.help or "", "")
    default = "required" if parameter.required else default or _default(parameter.default)
    cells = (names, _value(parameter), meaning, default)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _names(parameter: Any) -> str:
    if not _is_option(parameter):
        return f"`{_argument(parameter).strip('[]')}`"
    named = ", ".join(f"`{name}`" for name in parameter.opts)
    off = ", ".join(f"`{name}`" for name in parameter.secondary_opts)
    return f"{named} / {off}" if off else named


def _value(parameter: Any) -> str:
    """Say what may be written behind an option."""
    if getattr(parameter, "is_flag", False):
        return ""
    described = getattr(parameter, "type_descriptor", None)
    if described is None:  # older typer
        return str(parameter.type.name)
    kind = described.annotation
    several = parameter.multiple or parameter.nargs != 1
    if isinstance(kind, type) and issubclass(kind, Enum):
        word = ", ".join(f"`{choice.value}`" for choice in kind)
    else:
        kind = get_args(kind)[0] if get_args(kind) else kind
        word = _WORDS.get(kind, getattr(kind, "__name__", ""))
    return f"{word}; may be repeated" if several else word


def _default(value: Any) -> str:
    if value is None or value is False or value == [] or value == ():
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"
