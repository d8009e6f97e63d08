"""Adapt a model to annotated slides."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smse import models
from napari_smse.annotations import AnnotationSet
from napari_smse.api.model import Model, require_same_model
from napari_smse.api.scores import Scores
from napari_smse.atomic_write import output_error
from napari_smse.errors import DataError
from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.finetuning.saving import differences, estimates, save_fine_tuned
from napari_smse.metrics.estimate import Estimate
from napari_smse.models import read_card
from napari_smse.models.model_files import new_model_paths
from napari_smse.progress import OnProgress, run_task
from napari_smse.scoring import choose_device
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.slides import Slide
from napari_smse.workflows.fine_tune import FineTuneJob, FineTuneOutcome
from napari_smse.workflows.runs.stored_runs import NOT_RECORDED
from napari_smse.workflows.scored_slide import ScoredSlide
from napari_smse.workflows.settings.fine_tune import (
    Classification,
    FineTuneSettings,
    Loss,
    Mining,
    TrainableLayers,
)

if TYPE_CHECKING:
    from napari_smse.finetuning.assessment import Assessment
    from napari_smse.finetuning.fine_tuner import FineTuner
    from napari_smse.finetuning.result import FineTuneResult


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model, and what that was worth on tiles held out.

    Attributes
    ----------
    model
        The model now.
    before, after
        Figures of the tiles held out, by name: ``auc``, ``accuracy``, ``balanced_accuracy``, each
        with a 95 % interval, and ``recall@1``, ``recall@5``. A value is None where the tiles do not
        give it; its `reason` says what is missing. Each has the number `n` of tiles, and of their
        `cases`; tiles of several scales at one place count once.
    difference
        After minus before, with paired intervals.
    scores
        Each slide by the model now.
    training_tiles, held_out_tiles
        How many tiles were learnt from, and held out.
    warnings
        What a reader of the figures must know, one line each.
    """

    model: Model
    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    difference: Mapping[str, Estimate]
    scores: tuple[Scores, ...]
    training_tiles: int
    held_out_tiles: int
    warnings: tuple[str, ...]
    _tuning: FineTuner
    _tuned: FineTuneResult

    def __repr__(self) -> str:
        """Say what the AUC was and is."""
        was, now = (_text(one["auc"]) for one in (self.before, self.after))
        return f"<FineTuned {self._tuning.model.card.name}: AUC {was}, now {now}>"

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model: weights, card, exemplars, and what its training tiles look like.

        Parameters
        ----------
        path
            The weights, the card, or their common stem.
        overwrite
            Replace a model that is there.

        Returns
        -------
        Path
            Of the weights, for `load_model`.

        Raises
        ------
        OutputError
            There is a model already, or the folder cannot be written.
        """
        path = Path(path)
        new_model_paths(path, overwrite=overwrite)
        try:
            return save_fine_tuned(self._tuning, self._tuned, path)
        except OSError as error:
            raise output_error(path, error) from error


def fine_tune(
    model: Model,
    slides: Iterable[tuple[Slide, Scores, AnnotationSet]],
    *,
    loss: Loss = "pair",
    trainable: TrainableLayers = "head",
    replay_weight: float = 1.0,
    steps: int | None = None,
    time_limit: float | None = None,
    classification: Classification = "cross-entropy",
    margin: float | None = None,
    mining: Mining = "semi-hard",
    learning_rate: float | None = None,
    crops: int | None = None,
    bank: ExemplarBank | None = None,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> FineTuned:
    """Adapt a model to annotated slides, and compare before and after on tiles held out.

    The model given is not changed. Whole cases are held out (``AnnotationSet.case``, else as the
    slides' names suggest), and where a class is drawn on slides of one case only, whole regions.

    Parameters
    ----------
    model
        To start from, as `load_model` gives it.
    slides
        Slides, their scores by this model, and what is drawn on them.
    loss
        Similarity loss: tiles of a class are to be alike.
    trainable
        ``"head"``: the heads, from stored embeddings, in seconds; ``"augmented head"``: the heads,
        from what the trunk sees of augmented tiles, in a minute; ``"stage"``: also the trunk's
        last stage; ``"all"``: everything.
    replay_weight
        How much it weighs that the model's exemplars are told apart as before; 0 forgets them.
    steps
        How many to train.
    time_limit
        Seconds to learn at most; the best so far is kept.
    classification
        Loss of the class head.
    margin
        Of the similarity loss: in squared distance for triplets, in distance for pairs.
    mining
        Which triplets or pairs of a batch count.
    learning_rate
        Of the heads.
    crops
        How many augmented crops of each tile the heads learn from; 0 for stored embeddings.
    bank
        Exemplars to learn from besides (heads only).
    device
        Where a trunk learns: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    progress
        Called with a `Progress`; what it raises stops the work and nothing is kept.

    Raises
    ------
    DataError
        There is nothing to learn from, or nothing of a class can be held out.
    RequestError
        Another model scored a slide.
    TrainingError
        A setting is impossible, or there is not enough memory.
    ChangedSlideError, DamagedSlideError, OutputError
        A slide or its scores cannot be read.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> notes = smse.read_annotations("examples/sample_regions.geojson", slide)
    >>> model = smse.load_model("bundled")
    >>> scores = smse.score(slide, model, mpp=0.5, device="cpu")
    >>> tuned = smse.fine_tune(model, [(slide, scores, notes)], steps=20)
    >>> tuned.model.card.classes, sorted(tuned.after)[0]
    (('benign', 'malignant'), 'accuracy')
    """
    settings = FineTuneSettings(
        loss=loss,
        trainable=trainable,
        replay_weight=replay_weight,
        steps=steps,
        time_limit=time_limit,
        classification=classification,
        margin=margin,
        mining=mining,
        learning_rate=learning_rate,
        crops=crops,
    )
    training = [_training_slide(*one) for one in slides]
    if not settings.uses_stored_embeddings:
        training = [_on_a_device(one, device) for one in training]
    if not training:
        raise DataError("There is no slide to learn from: give slides, scores and annotations.")
    require_same_model(model, [one.run.card for one in training])
    # The viewer's history is for what was tuned there; this lives as long as the model does.
    folder = tempfile.TemporaryDirectory(prefix="napari-smse-", ignore_cleanup_errors=True)
    history = FineTuneHistory(Path(folder.name))
    job = FineTuneJob(training, settings, device, history, bank, loaded=model.loaded)
    return _tuned(run_task(job.run(), progress), folder)


def _training_slide(slide: Slide, scores: Scores, notes: AnnotationSet) -> ScoredSlide:
    run = scores.on_slide(slide).run
    return ScoredSlide(slide, run, notes)


def _on_a_device(one: ScoredSlide, device: str) -> ScoredSlide:
    """Say where tiles are read again, for scores that were read back."""
    if one.run.device.label != NOT_RECORDED:
        return one
    return replace(one, run=replace(one.run, device=choose_device(device)))


def _tuned(outcome: FineTuneOutcome, folder: object) -> FineTuned:
    tuning, tuned = outcome.tuning, outcome.tuned
    if outcome.saved_path is None:
        raise DataError(" ".join(outcome.warnings))
    model = Model(
        models.Model(tuned.network, read_card(outcome.saved_path), outcome.saved_path), folder
    )
    return FineTuned(
        model,
        before=_figures(tuning, tuned.before),
        after=_figures(tuning, tuned.after),
        difference=differences(tuning, tuned),
        scores=tuple(_scores(outcome)),
        training_tiles=len(tuning.training),
        held_out_tiles=len(tuning.testing),
        warnings=tuple(outcome.warnings),
        _tuning=tuning,
        _tuned=tuned,
    )


def _figures(tuning: FineTuner, judged: Assessment) -> dict[str, Estimate]:
    recall = {f"recall@{k}": value for k, value in judged.recall.items()}
    return estimates(tuning, judged.held_out) | recall


def _scores(outcome: FineTuneOutcome) -> Sequence[Scores]:
    runs = [(one.scored.slide, one.run) for one in outcome.slides]
    return [Scores.from_run(slide, run) for slide, run in runs if run is not None]


def _text(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"unknown ({estimate.reason})" if estimate.reason else "unknown"
    return f"{estimate.value:.3f}"
