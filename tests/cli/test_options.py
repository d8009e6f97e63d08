"""Options: one word has one meaning in all commands, and what they amount to."""

from __future__ import annotations

import click
import pytest
import typer.main

from napari_smse.cli.app import app
from napari_smse.cli.options import parse_time_limit
from napari_smse.errors import RequestError

COMMANDS = typer.main.get_command(app).commands
EARLIER = {
    "--slide-mpp",
    "--exact",
    "--scale",
    "--share",
    "--validation-share",
    "--learn",
    "--keep",
    "--rate",
    "--config",
    "--folds-count",
    "--runs",
    "--minutes",
    "--seconds",
    "--controls",
}


def options(command: str) -> dict[str, click.Parameter]:
    """The options of a command by name, without those that click adds."""
    return {
        name: parameter
        for parameter in COMMANDS[command].params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }


def with_option(name: str) -> set[str]:
    return {command for command in COMMANDS if name in options(command)}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_whole_phrase_as_its_help(command: str) -> None:
    for name, option in options(command).items():
        assert option.help, name
        assert option.help.endswith("."), name
        assert len(option.help.split()) > 1, name
    assert not EARLIER & options(command).keys()


def test_mpp_is_the_scale_of_tiles_and_source_mpp_that_of_what_is_read() -> None:
    slides = {"score", "estimate", "index", "search", "finetune"}
    images = {"train", "evaluate", "crossval", "compare-encoders"}
    assert with_option("--mpp") == slides | {"export"}
    assert with_option("--source-mpp") == slides | images
    helps = {options(command)["--source-mpp"].help for command in with_option("--source-mpp")}
    assert len(helps) == 1


def test_float32_and_approximate_are_two_things() -> None:
    assert with_option("--float32") == {"score", "estimate", "index"}
    assert with_option("--no-approximate") == {"search"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), (".5s", 0.5), ("2 M", 120), (None, None)],
)
def test_a_time_limit_is_a_number_with_its_unit(text: str | None, seconds: float | None) -> None:
    assert parse_time_limit(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["10", "0s", "-5m", "nan", "m", "", "10 minutes", "1e3s", "1m30s", "9" * 400 + "s", "٣s"],
)
def test_another_time_limit_is_refused_with_what_is_possible(text: str) -> None:
    with pytest.raises(RequestError, match="--time-limit a number above 0 with s, m or h"):
        parse_time_limit(text)
