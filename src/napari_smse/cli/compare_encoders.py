"""`napari-smse compare-encoders`: whose features are worth most with few labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from napari_smse.atomic_write import require_folder
from napari_smse.cli.console import Console
from napari_smse.cli.files import read_images
from napari_smse.cli.options import AsJson, Device, Images, Quiet, Seed, SourceMpp
from napari_smse.cli.progress import TaskProgress
from napari_smse.progress import run_task
from napari_smse.scoring import choose_device

DEFAULT_LABELS: Final = [25, 50, 100]


def compare_encoders(
    data: Images,
    model: Annotated[
        list[str],
        typer.Option(
            help="A model or an encoder, such as bundled, uni2-h or timm/resnet50.a1_in1k; "
            "NAME=FILE names an encoder's weights. Give several; the first is compared with."
        ),
    ],
    labels: Annotated[
        list[int], typer.Option(help="Numbers of images to learn from.")
    ] = DEFAULT_LABELS,
    source_mpp: SourceMpp = None,
    report: Annotated[
        Path | None, typer.Option(help="Path of an HTML report to write, too.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare what encoders are worth on your images, with 25, 50 or 100 labels.

    Logistic regression on each encoder's features of labelled images, judged on other cases.
    """
    from napari_smse.evaluation import few_shot
    from napari_smse.evaluation.report import few_shot as pages

    console = Console(quiet=quiet, as_json=as_json)
    if report is not None:
        require_folder(report, "the report")
    chosen = choose_device(device)
    images = read_images(data, source_mpp, console)
    names, weights = _split(model)
    task = few_shot.compare_encoders(
        names, images, labels, weights=weights, seed=seed, device=chosen.torch_name
    )
    with TaskProgress(console, "images") as bar:
        found = run_task(task, bar.show)
    if as_json:
        console.print_json(pages.comparison_json(found))
    else:
        for note in pages.comparison_notes(found):
            console.report(note)
        console.print_table(_table(pages.HEAD, list(pages.comparison_rows(found))))
        console.report(pages.METHOD)
    if report is not None:
        pages.write_comparison(report, f"Encoders on {data.name}", found)
        console.report(f"report: {report}")


def _split(given: list[str]) -> tuple[list[str], dict[str, str | Path]]:
    """Return the names, and the files of weights by name."""
    pairs = [text.partition("=") for text in given]
    return [name for name, _, _ in pairs], {name: Path(file) for name, _, file in pairs if file}


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    return table
