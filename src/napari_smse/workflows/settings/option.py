"""What a setting is called, what it does and what it may be."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class Option:
    """How a field of a settings record is offered to a person.

    Parameters
    ----------
    label
        What a form calls it: the field's standard term.
    help
        What it does, in a sentence or two: tooltip of the form, help of the command line.
    minimum, maximum, step
        Limits of a number, and how far one click goes.
    unit
        Unit of a number, as a form shows it.
    per_unit
        How much of the field's own unit one of `unit` is, which a form shows in whole numbers: 60
        for minutes of a field in seconds.
    choices
        What a form calls each value of a `Literal`; the values themselves without.
    unset
        What a form calls None.
    advanced
        It is seldom changed, and lies under *More settings*.
    """

    label: str
    help: str
    minimum: float = 0.0
    maximum: float = 1.0
    step: float = 1.0
    unit: str = ""
    per_unit: float = 1.0
    choices: Mapping[str, str] = field(default_factory=dict)
    unset: str = "default"
    advanced: bool = False


@dataclass(frozen=True)
class Setting:
    """One field of a settings record.

    Attributes
    ----------
    name
        Of the field, and so of the argument; with hyphens, of the option.
    kind
        ``bool``, ``int``, ``float`` or ``str``; of a tuple, what is in it.
    optional
        None is a value, too: what is usual.
    several
        It is a tuple of values.
    values
        The values of a `Literal`; empty for all others.
    default
        Its default.
    option
        How it is offered.
    """

    name: str
    kind: type
    optional: bool
    several: bool
    values: tuple[str, ...]
    default: Any
    option: Option


def settings_of(record: type) -> dict[str, Setting]:
    """Return the fields of a settings record that are offered, by name and in their order.

    Parameters
    ----------
    record
        A dataclass; its fields annotated with an `Option` are settings.
    """
    hints = typing.get_type_hints(record, include_extras=True)
    return {
        part.name: _setting(part.name, hints[part.name], part.default)
        for part in fields(record)
        if typing.get_origin(hints[part.name]) is Annotated
    }


def _setting(name: str, hint: Any, default: Any) -> Setting:
    kind, *notes = typing.get_args(hint)
    option = next(note for note in notes if isinstance(note, Option))
    parts = [kind]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(kind) if part is not type(None)]
    values: tuple[str, ...] = ()
    (only,) = parts
    if typing.get_origin(only) is Literal:
        only, values = str, typing.get_args(only)
    several = typing.get_origin(only) is tuple
    if several:
        only = typing.get_args(only)[0]
    return Setting(name, only, parts != [kind], several, values, default, option)
