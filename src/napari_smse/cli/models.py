"""`napari-smse models`: which models and encoders there are, and whether they can be used."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_smse.cli.console import Console
from napari_smse.cli.options import (
    DEFAULT_SCALES,
    AsJson,
    EncoderWeights,
    ModelArgument,
    ModelName,
    Scales,
    Slides,
    SourceMpp,
    chosen_scales,
)
from napari_smse.cli.progress import TaskProgress
from napari_smse.errors import EncoderWeightsError, ModelNotFoundError
from napari_smse.metrics.estimate import counted
from napari_smse.models import read_card
from napari_smse.models.encoders import Encoder, find_encoder
from napari_smse.models.encoders.check import check_encoder, last_check
from napari_smse.models.model_files import model_paths
from napari_smse.models.wsinfer import is_wsinfer_model
from napari_smse.models.wsinfer.zoo import ACCOUNT, ZOO, download
from napari_smse.progress import run_task
from napari_smse.slides import open_slide
from napari_smse.workflows.batch.discovery import find_slides
from napari_smse.workflows.models.model_list import (
    ListedModel,
    ModelKind,
    ModelState,
    listed_models,
)

models_app = typer.Typer(
    help="List, show, get, check and quantise models and the field's encoders.",
    no_args_is_help=True,
)
_HERE = {ModelState.READY: "ready", ModelState.NOT_HERE: "no", ModelState.GATED: "ask"}
Name = Annotated[str, typer.Argument(help="Of an encoder, in any tool's spelling.")]


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List all models and encoders there are, those that can be used first."""
    console = Console(as_json=as_json)
    found = listed_models()
    if as_json:
        console.print_json([_listed_facts(model) for model in found])
        return
    encoders = [model for model in found if model.kind is ModelKind.ENCODER]
    for model in found:
        if model not in encoders and model.state is ModelState.READY:
            console.report(f"{model.name} ({model.kind}): --model {model.model}")
    console.report(f"WSInfer's zoo (models get NAME): {', '.join(ZOO)}")
    console.print_table(_encoder_table(encoders))
    console.report(
        "Ask: terms are to be accepted on the model's page first. `napari-smse models show NAME` "
        "tells more, `models get NAME` downloads. Any pretrained network of timm is an encoder, "
        "too: timm/NAME."
    )


def _encoder_table(encoders: list[ListedModel]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("encoder", "size", "licence", "use", "here"):
        table.add_column(head, no_wrap=True, justify="right" if head == "size" else "left")
    for model in encoders:
        size = "" if model.size_mb is None else f"{model.size_mb:,.0f} MB"
        use = "any" if model.commercial else "research"
        table.add_row(model.name, size, model.licence, use, _HERE[model.state])
    return table


@models_app.command("show")
def show_model(name: Name, as_json: AsJson = False) -> None:
    """Show what an encoder is: its size, scale, licence, and how its weights are got."""
    console = Console(as_json=as_json)
    facts = _facts(find_encoder(name))
    if as_json:
        console.print_json(facts)
        return
    for key, value in facts.items():
        written = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        console.report(f"{key.replace('_', ' '):18}{written}")


@models_app.command("get")
def get_model(
    name: Name,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask: the licence is agreed to.")
    ] = False,
) -> None:
    """Download the weights of an encoder, after its licence was shown and agreed to."""
    from napari_smse.models.encoders.weight_files import download_weights, how_to_get

    console = Console()
    if name in ZOO:
        console.report(f"{name} ({ZOO[name]}): a model of WSInfer's zoo, at {ACCOUNT}/{name}.")
        _add(download(name), console, yes=yes)
        return
    encoder = find_encoder(name)
    console.report(how_to_get(encoder))
    if not yes and not typer.confirm(f"Do you agree to the licence ({encoder.licence})?"):
        raise typer.Exit(1)
    console.report(f"{encoder.name}: {download_weights(encoder)}")


@models_app.command("check")
def check_model(
    name: Name, encoder_weights: EncoderWeights = None, as_json: AsJson = False
) -> None:
    """Try an encoder on this machine: its weights, generated tiles, speed."""
    console = Console(as_json=as_json)
    found = check_encoder(find_encoder(name), encoder_weights)
    if as_json:
        console.print_json(vars(found))
        return
    console.report(f"{found.name} works: {found.path}")
    console.report(f"  sha256 {found.sha256}")
    console.report(f"  {found.tiles_per_second:g} tiles a second on this CPU, in float32")


@models_app.command("add")
def add_model(
    path: Annotated[Path, typer.Argument(help="Folder of a WSInfer model, with its config.json.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: it may be run.")] = False,
) -> None:
    """Agree to run a WSInfer model, after it was shown what it is; its folder then scores."""
    if not is_wsinfer_model(path):
        raise ModelNotFoundError(
            f"{path} is no WSInfer model: give the folder with its config.json."
        )
    _add(path, Console(), yes=yes)


@models_app.command("quantise")
def quantise_model(
    context: typer.Context,
    slides: Slides,
    model: ModelName = "bundled",
    mpp: Scales = DEFAULT_SCALES,
    source_mpp: SourceMpp = None,
    as_json: AsJson = False,
) -> None:
    """Bring a model into int8, calibrated on tiles of your slides, to score with it so.

    Tells how far its outputs lie from those in float32, on other tiles of the same slides.
    """
    from napari_smse.models import load_model
    from napari_smse.workflows.models import quantise

    console = Console(as_json=as_json)
    scales, paths = chosen_scales(context, mpp, model), find_slides(slides)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_slide(path, mpp=source_mpp)) for path in paths]
        with TaskProgress(console, "slides") as bar:
            found = run_task(quantise.quantise_model(load_model(model), opened, scales), bar.show)
    if as_json:
        console.print_json(asdict(found))
        return
    console.report(f"{model} in int8, from {counted(found.calibration_tiles, 'tiles')}:")
    console.report(f"  {found.deviation}")


@models_app.command("push")
def push_model(
    model: ModelArgument,
    repository: Annotated[str, typer.Argument(help="ACCOUNT/NAME on the Hugging Face hub.")],
    public: Annotated[
        bool, typer.Option("--public", help="A new repository is seen by everybody.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Upload a model, or the folder that `export` wrote, to the Hugging Face hub."""
    from napari_smse.models.hub import files_to_push, push

    console = Console()
    files = files_to_push(model)
    size = sum(path.stat().st_size for path in files) / 1e6
    console.report(f"{', '.join(path.name for path in files)} and a README: {size:.1f} MB")
    seen = "everybody" if public else "its owner alone"
    if not yes and not typer.confirm(f"Upload them to {repository}, seen by {seen} if it is new?"):
        raise typer.Exit(1)
    console.report(f"Uploaded: {push(model, repository, private=not public)}")


def _add(path: Path, console: Console, *, yes: bool) -> None:
    from napari_smse.models.wsinfer.loading import agree_to

    card = read_card(path)
    archive, _ = model_paths(path)
    console.report(f"{card.name}: {', '.join(card.classes)}")
    console.report(f"  tiles of {card.tile_px} px at {card.mpp_range[0]:.4g} µm/px")
    console.report(f"  {card.intended_use}")
    console.report(
        f"  {archive}, {archive.stat().st_size / 1e6:.1f} MB, sha256 {card.weights_sha256}"
    )
    if not yes and not typer.confirm(
        "It is a program (TorchScript). Run it, now and whenever it is chosen?"
    ):
        raise typer.Exit(1)
    added = agree_to(path, card.weights_sha256)
    what = "with" if added.has_embedding else "without"
    console.report(f"Added, {what} embeddings: score by --model {path}")


def _listed_facts(model: ListedModel) -> dict[str, object]:
    return {
        "model": model.model,
        "name": model.name,
        "kind": model.kind,
        "state": model.state,
        "organs": model.organs,
        "classes": list(model.classes),
        "mpp": model.scales,
        "licence": model.licence,
        "commercial_use": model.commercial,
        "size_mb": None if model.size_mb is None else round(model.size_mb, 1),
    }


def _facts(encoder: Encoder) -> dict[str, object]:
    low, high = encoder.mpp_range
    return {
        "name": encoder.name,
        "also_called": list(encoder.aliases),
        "repository": encoder.repository,
        "network": f"{encoder.architecture.name} ({encoder.architecture.library})",
        "features": encoder.features,
        "pooling": str(encoder.pooling),
        "million_weights": encoder.parameters,
        "input_px": encoder.input_px,
        "mpp": f"{low:g}" if low == high else f"{low:g} to {high:g}",
        "licence": encoder.licence,
        "commercial_use": "yes" if encoder.commercial else "no",
        "access": str(encoder.gate),
        "citation": encoder.citation,
        "verified": "number of weights and of features against those published; nothing against "
        "real weights",
        **({"assumed": encoder.assumed} if encoder.assumed else {}),
        "state": _state(encoder),
        **({"note": encoder.note} if encoder.note else {}),
    }


def _is_here(encoder: Encoder) -> bool:
    """Tell whether the weights of an encoder are in the hub's cache."""
    from napari_smse.models.encoders.weight_files import weights_path

    try:
        weights_path(encoder)
    except EncoderWeightsError:
        return False
    return True


def _state(encoder: Encoder) -> str:
    """Say whether an encoder can be used here."""
    if not _is_here(encoder):
        return "to be downloaded"
    checked = last_check(encoder)
    return "ready" if checked is None else f"ready, {checked.tiles_per_second:g} tiles/s here"
