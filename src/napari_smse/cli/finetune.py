"""`napari-smse finetune`: a model adapted to labelled images of one's own."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from napari_smse import models
from napari_smse.cli.console import Speaker, check_folder
from napari_smse.cli.output_files import refuse_existing
from napari_smse.models.card import CARD_SUFFIX, model_stem
from napari_smse.scoring import choose_device, parse_scale

if TYPE_CHECKING:
    from napari_smse.finetuning.fine_tuner import FineTuneProgress, FineTuner, FineTuneResult


from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_smse.cli.console import read_data, report_data
from napari_smse.errors import DataError

if TYPE_CHECKING:
    from napari_smse.finetuning.annotated_tiles import AnnotatedTiles
    from napari_smse.models import Model
    from napari_smse.scoring import ComputeDevice


class Loss(StrEnum):
    """Similarity loss."""

    PAIR = "pair"
    TRIPLET = "triplet"
    NONE = "none"


class Learn(StrEnum):
    """What learns."""

    HEAD = "head"
    STAGE = "stage"
    ALL = "all"


def finetune(
    model: Annotated[str, typer.Argument(help="'bundled' or the path of a model.")],
    data: Annotated[
        Path,
        typer.Argument(
            help="Labelled images: a folder (of slides with GeoJSON beside them, too) or a list "
            "of sources.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Path of the model to write.", show_default=False)],
    loss: Annotated[Loss, typer.Option(help="Similarity loss.")] = Loss.TRIPLET,
    learn: Annotated[
        Learn,
        typer.Option(help="head: seconds; stage: also the trunk's last stage; all: everything."),
    ] = Learn.HEAD,
    margin: Annotated[float | None, typer.Option(help="Of the similarity loss.")] = None,
    classification: Annotated[
        str | None,
        typer.Option(help="Classification loss: cross-entropy, focal or 'reinforced focal'."),
    ] = None,
    mining: Annotated[
        str | None, typer.Option(help="Which pairs or triplets count: semi-hard, hard or none.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate of the heads.")] = None,
    crops: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Augmented crops of each image that the heads learn from, with all that the "
            "trunk sees; 0: from embeddings alone, as the viewer does in seconds. By default "
            "about a minute's worth, and 0 for annotated slides.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Learn that long at most, and keep the best so far.")
    ] = None,
    keep: Annotated[
        float, typer.Option(help="How much it weighs to keep what the model knew (head).")
    ] = 1.0,
    share: Annotated[float, typer.Option(help="Share of cases to hold out and judge by.")] = 0.25,
    mpp: Annotated[float | None, typer.Option(help="um/px of images that state none.")] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the tiles of annotated slides, as for scoring: um/px or power (0.5, 20x); "
            "may be repeated. 0.5 by default."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of held-out cases and training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another model.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Fine-tune a model on labelled images, and say what that was worth on cases held out.

    The model itself is not changed. About a hundred labelled images of a new laboratory are
    often enough.
    """
    from napari_smse.finetuning.fine_tuner import FineTuner, fine_tune_recipe, usual_crops

    speaker = Speaker(quiet=quiet, as_json=as_json)
    check_folder(out, "the model")
    refuse_existing(out, overwrite)
    chosen = choose_device(device)
    loaded = models.load_model(model)
    changes: dict[str, Any] = {
        "margin": margin,
        "classification": classification,
        "mining": mining,
        "rate": rate,
        "steps": steps,
        "seed": seed,
    }
    recipe = fine_tune_recipe(loss.value, learn.value, **changes)
    mpps = [parse_scale(one) for one in scale or ()]
    tiles = read_tiles(data, mpp, mpps, loaded, chosen, speaker)
    if crops is None:
        crops = 0 if tiles.known else usual_crops(len(tiles.labelled_set.images))
    tuning = FineTuner(
        loaded,
        tiles.labelled_set,
        recipe,
        share=share,
        keep=keep,
        device=chosen.torch_name,
        known=tiles.known,
        seconds=seconds,
        links=tiles.links,
        exemplars=tiles.exemplars,
        crops=crops,
        looks=tiles.looks,
    )
    for warning in tuning.warnings:
        speaker.warn(warning)
    speaker.say(
        f"Fine-tuning {loaded.card.name} on {len(tuning.training)} images, {len(tuning.testing)} "
        f"held out, on {chosen.label}. Research use only."
    )
    try:
        tuned = _run(tuning, speaker)
    except KeyboardInterrupt as stop:
        speaker.errors.print("Stopped. The model is as it was, and nothing was written.")
        raise typer.Exit(130) from stop
    _tell(tuning, tuned, out, speaker)


def _run(tuning: FineTuner, speaker: Speaker) -> FineTuneResult:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with ProgressBar(
        *columns, console=speaker.console, disable=speaker.quiet, transient=True
    ) as bar:
        task = bar.add_task("reading", total=None, facts="")

        def show(progress: FineTuneProgress) -> None:
            facts = "" if progress.loss is None else f"loss {progress.loss:.3f}"
            bar.update(
                task,
                description=progress.doing,
                completed=progress.done,
                total=progress.total,
                facts=facts,
            )

        return _to_the_end(tuning.run(), show)


def _to_the_end(
    running: Generator[FineTuneProgress, None, FineTuneResult], show: Any
) -> FineTuneResult:
    while True:
        try:
            show(next(running))
        except StopIteration as end:
            found: FineTuneResult = end.value
            return found


def _tell(tuning: FineTuner, tuned: FineTuneResult, out: Path, speaker: Speaker) -> None:
    from napari_smse.finetuning.saving import save_fine_tuned

    path = save_fine_tuned(tuning, tuned, out)
    if speaker.as_json:
        speaker.print_json(_values(tuning, tuned, path))
        return
    speaker.show(_table(tuning, tuned))
    if tuned.old_right is not None:
        before, after = tuned.old_right
        speaker.say(f"what the model knew: {before:.1%} of its exemplars right, now {after:.1%}")
    speaker.say(f"model: {path}")


def _table(tuning: FineTuner, tuned: FineTuneResult) -> Table:
    from napari_smse.evaluation.report.tables import shown
    from napari_smse.finetuning.saving import differences, estimates

    table = Table(box=None, pad_edge=False)
    for head in ("held out", "before", "after", "difference"):
        table.add_column(head)
    before, after = (estimates(tuning, one.held_out) for one in (tuned.before, tuned.after))
    for name, change in differences(tuning, tuned).items():
        table.add_row(
            name.replace("_", " "),
            shown(before[name]),
            shown(after[name]),
            shown(change, form="+.3f"),
        )
    for k, now in tuned.after.recall.items():
        then = tuned.before.recall[k]
        table.add_row(f"recall@{k}", f"{then:.3f}", f"{now:.3f}", f"{now - then:+.3f}")
    return table


def _values(tuning: FineTuner, tuned: FineTuneResult, path: Path) -> dict[str, Any]:
    from napari_smse.finetuning.saving import differences, estimates

    def judged(one: Any) -> dict[str, Any]:
        figures = {name: asdict(found) for name, found in estimates(tuning, one.held_out).items()}
        return figures | {f"recall@{k}": value for k, value in one.recall.items()}

    before, after = judged(tuned.before), judged(tuned.after)
    return {
        "model": str(path),
        "card": str(model_stem(path)) + CARD_SUFFIX,
        "from": tuning.model.card.name,
        "classes": list(tuning.labelled_set.classes),
        "training_images": len(tuning.training),
        "held_out_images": len(tuning.testing),
        "steps": tuned.steps,
        "crops": tuning.crops,
        "links_held": tuned.links_held,
        "auc_before": before["auc"]["value"],
        "auc": after["auc"]["value"],
        "before": before,
        "after": after,
        "difference": {k: asdict(v) for k, v in differences(tuning, tuned).items()},
        "exemplars_right": tuned.old_right,
        "warnings": tuning.warnings,
        "skipped": [{"path": str(s.path), "reason": s.reason} for s in tuning.labelled_set.skipped],
        "research_use_only": True,
    }


def read_tiles(
    path: Path,
    mpp: float | None,
    mpps: Sequence[float],
    model: Model,
    device: ComputeDevice,
    speaker: Speaker,
) -> AnnotatedTiles:
    """Read what is at a path: of annotated slides the tiles that the viewer would learn from.

    Raises
    ------
    DataError
        There is nothing to learn from.
    """
    from napari_smse.datasets.readers.annotated_slides import holds_annotated_slides
    from napari_smse.finetuning.annotated_tiles import AnnotatedTiles

    if not path.is_dir() or not holds_annotated_slides(path):
        if mpps:
            raise DataError(
                "--scale is for annotated slides: labelled images are cut at all scales that "
                "the model knows; leave it out."
            )
        return AnnotatedTiles(read_data(path, mpp, speaker), {}, 0)
    return _slide_tiles(path, mpp, mpps, model, device, speaker)


def _slide_tiles(
    path: Path,
    mpp: float | None,
    mpps: Sequence[float],
    model: Model,
    device: ComputeDevice,
    speaker: Speaker,
) -> AnnotatedTiles:
    from napari_smse.finetuning.annotated_folder import USUAL_MPPS, scored_annotations

    running = scored_annotations(path, model, device, mpps=mpps or USUAL_MPPS, mpp=mpp)
    while True:
        try:
            done, total = next(running)
        except StopIteration as end:
            tiles: AnnotatedTiles = end.value
            break
        if done < total:
            speaker.say(f"scoring what is annotated: slide {done + 1} of {total}")
    report_data(tiles.labelled_set, speaker)
    for warning in tiles.told:
        speaker.warn(warning)
    return tiles
