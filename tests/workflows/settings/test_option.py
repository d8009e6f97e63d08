"""A setting is written once: the command line and Python have what the record says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import typer.main
from typer.testing import CliRunner

import napari_smse as smse
from napari_smse.cli.app import app
from napari_smse.workflows.settings.embeddings import (
    EmbeddingMapSettings,
    EvidenceSettings,
    SearchSettings,
    SuggestSettings,
)
from napari_smse.workflows.settings.fine_tune import FineTuneSettings
from napari_smse.workflows.settings.option import Option, settings_of
from napari_smse.workflows.settings.score import ScoreSettings

IN_COMMANDS = [
    (FineTuneSettings, "finetune", ()),
    (ScoreSettings, "score", ()),
    (ScoreSettings, "estimate", ("time_limit",)),
    (ScoreSettings, "index", ("time_limit", "precision")),
    (SearchSettings, "search", ()),
]
IN_FUNCTIONS = [
    (EmbeddingMapSettings, smse.embedding_map),
    (EvidenceSettings, smse.explain),
    (FineTuneSettings, smse.fine_tune),
    (ScoreSettings, smse.score),
    (SearchSettings, smse.SlideIndex.search),
    (SuggestSettings, smse.suggest_tiles),
]


def command(name: str) -> Any:
    return typer.main.get_command(app).commands[name]


def help_of(name: str) -> str:
    """Return the help of a command, wide enough that nothing in it is broken."""
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    return result.output


@dataclass(frozen=True)
class Few:
    flag: Annotated[bool, Option("Flag", "Up or down.")] = True
    size: Annotated[int | None, Option("Size", "How large.", minimum=2)] = None
    kind: Annotated[Literal["a", "b"], Option("Kind", "Which.")] = "b"
    other: str = "not asked for"


def test_what_a_record_says_of_its_fields() -> None:
    found = settings_of(Few)
    assert list(found) == ["flag", "size", "kind"]
    assert [one.kind for one in found.values()] == [bool, int, str]
    assert [one.optional for one in found.values()] == [False, True, False]
    assert [one.default for one in found.values()] == [True, None, "b"]
    assert [one.several for one in found.values()] == [False, False, False]
    assert found["kind"].values == ("a", "b")
    assert found["size"].option.minimum == 2


def flag_of(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"


@pytest.mark.parametrize(("record", "name", "without"), IN_COMMANDS)
def test_the_command_has_each_setting(record: type, name: str, without: Sequence[str]) -> None:
    options = {param.name: param for param in command(name).params}
    for setting in settings_of(record).values():
        if setting.name in without:
            continue
        option = options[setting.name]
        assert option.opts == [flag_of(setting.name)]
        default = tuple(option.default) if setting.several else option.default
        assert default == setting.default
        assert option.help.startswith(setting.option.help)
        if setting.values:
            assert f"<{'|'.join(setting.values)}>" in help_of(name)


@pytest.mark.parametrize(("record", "function"), IN_FUNCTIONS)
def test_the_function_has_each_setting(record: type, function: object) -> None:
    parameters = inspect.signature(function).parameters
    documented = inspect.getdoc(function)
    for setting in settings_of(record).values():
        assert parameters[setting.name].default == setting.default
        assert re.search(rf"^(?:\w+, )*{setting.name}(?:, \w+)*$", documented, re.MULTILINE)


@pytest.mark.parametrize("record", dict.fromkeys(record for record, _ in IN_FUNCTIONS))
def test_each_setting_says_what_it_is(record: type) -> None:
    for setting in settings_of(record).values():
        assert setting.option.label
        assert setting.option.help.endswith(".")
        assert set(setting.option.choices) in (set(), set(setting.values))
        if setting.kind in (int, float) and setting.default is not None and not setting.several:
            assert setting.option.minimum <= setting.default <= setting.option.maximum
