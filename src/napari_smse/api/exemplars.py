"""Reference tiles, what they say of a slide's, and which tiles are unlike all that is known."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_smse.annotations import AnnotationSet
from napari_smse.api.model import Model, require_same_model
from napari_smse.api.scores import Scores
from napari_smse.errors import BankError
from napari_smse.progress import OnProgress, run_task
from napari_smse.similarity import bank_file, exemplar_bank
from napari_smse.similarity.evidence import TileEvidence, evidence_at
from napari_smse.slides import Slide
from napari_smse.workflows import evidence
from napari_smse.workflows.evidence import NamedBank, ScoredTiles
from napari_smse.workflows.out_of_distribution import measure_ood


class ExemplarBank(exemplar_bank.ExemplarBank):
    """Labelled tiles by their embeddings, which tiles of a slide are compared with.

    Made by `of_model`, `load` or `with_annotated`. It holds ``embeddings`` ``(n, d)``, ``labels``
    ``(n,)`` into ``classes``, ``mpps`` (um/px), and of each tile its case, its source and, if it
    was added from a slide, where it lies there.

    Examples
    --------
    >>> import napari_smse as smse
    >>> bank = smse.ExemplarBank.of_model(smse.load_model("bundled"))
    >>> bank.embeddings.shape[1], bank.classes
    (128, ('benign', 'malignant'))
    """

    @classmethod
    def of_model(cls, model: Model) -> Self:
        """Return the exemplars that a model brings; none if it brings none.

        Raises
        ------
        BankError
            Its file of exemplars cannot be read, or is of another model.
        """
        card, found = model.card, None
        if model.path.exists():
            found = bank_file.bank_of(model.path)
        if found is None:
            return cls._from(exemplar_bank.empty_bank(card))
        found.require_model(card.weights_sha256, card.name)
        return cls._from(found)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bank that was saved.

        Raises
        ------
        BankError
            The file is missing, cut off, or holds something else.
        """
        return cls._from(bank_file.load_bank(Path(path)))

    def save(self, path: str | Path) -> None:
        """Write the bank as one file, whole or not at all.

        Raises
        ------
        BankError
            The file cannot be written.
        """
        bank_file.save_bank(self, Path(path))

    def with_annotated(
        self, scores: Scores, notes: AnnotationSet, *, thumbnails: bool = False
    ) -> Self:
        """Return the bank with the annotated tiles of a slide besides.

        Parameters
        ----------
        scores
            Of the slide, by the bank's model.
        notes
            What is drawn on it. Tiles that were there before take the class that they have now.
        thumbnails
            Also keep small pictures of the tiles: a bank then holds pixels of the slide.

        Raises
        ------
        QueryError
            Nothing is drawn, or no scored tile has half of its tissue in a region.
        BankError
            The slide was scored by another model.
        SlideError
            The slide is not known, or cannot be read.
        """
        run = scores.run
        self.require_model(run.card.weights_sha256, run.card.name)
        own = NamedBank(self, "", False, self)
        blocks = int(scores.store.blocks_done().sum())
        read = ScoredTiles(scores.slide, run, scores.tiles, blocks, own)
        bank, _ = evidence.with_annotated(
            self, read, notes.regions(), thumbnails, notes.corrections, notes.case
        )
        return self._from(bank)

    @classmethod
    def _from(cls, bank: exemplar_bank.ExemplarBank) -> Self:
        return cls(**{one.name: getattr(bank, one.name) for one in fields(bank)})


def explain(
    scores: Scores,
    x: float,
    y: float,
    bank: exemplar_bank.ExemplarBank,
    *,
    k: int = 5,
    similar_scale: bool = False,
) -> list[TileEvidence]:
    """Say why tiles are called what they are: the exemplars most like them, and how they vote.

    Parameters
    ----------
    scores
        Of the slide.
    x, y
        A point of it, level-0 px.
    bank
        Exemplars of the model that scored it.
    k
        How many exemplars a tile is compared with.
    similar_scale
        Compare a tile only with exemplars of about its own um/px.

    Returns
    -------
    list of TileEvidence
        For the tile of each scale at the point, fine to coarse, and none where nothing was scored:
        ``row`` (in `Scores.table`), ``mpp``, ``probability`` by class, and ``evidence`` with the
        ``nearest`` exemplars, their distances (0 to 2) and each class's ``shares`` of the vote.
        Exemplars that show the tile's own tissue are left out, and of tiles of two scales at one
        place the nearer one alone votes.

    Raises
    ------
    BankError
        The bank is of another model, or empty.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide, model = smse.open_slide("sample_data/sample_slide.tif"), smse.load_model("bundled")
    >>> scores = smse.score(slide, model, mpp=1.0, device="cpu")
    >>> (tile,) = smse.explain(scores, 4200, 1500, smse.ExemplarBank.of_model(model))
    >>> tile.mpp, len(tile.evidence.nearest), round(sum(tile.evidence.shares.values()), 6)
    (1.0, 5, 1.0)
    """
    facts = scores.store.facts["model"]
    bank.require_model(facts["hash"], facts["name"])
    if not len(bank):
        raise BankError(
            "The exemplar bank is empty: add tiles to it, as bank.with_annotated(scores, notes)."
        )
    slide = scores.store.facts["slide"]["quick_hash"]
    return evidence_at(scores.tiles, bank, x, y, k, similar_scale=similar_scale, slide=slide)


def out_of_distribution(
    scores: Scores,
    slide: Slide,
    model: Model,
    *,
    bank: exemplar_bank.ExemplarBank | None = None,
    progress: OnProgress | None = None,
) -> NDArray[np.float32]:
    """Measure how unlike the training data the tiles of a slide are.

    Parameters
    ----------
    scores, slide
        A slide and its scores.
    model
        That scored it.
    bank
        Exemplars that count as known, too, such as annotated tiles of this laboratory.
    progress
        Called with a `Progress`.

    Returns
    -------
    numpy.ndarray
        ``(n,)`` float32 in the order of `Scores.table`: above 1, unlike all that is known, and not
        to be believed; NaN where the model does not say what it knows.

    Raises
    ------
    RequestError
        Another model scored the slide.
    ChangedSlideError, DamagedSlideError
        The scores are of another slide, or it cannot be read.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide, model = smse.open_slide("sample_data/sample_slide.tif"), smse.load_model("bundled")
    >>> scores = smse.score(slide, model, mpp=1.0, device="cpu")
    >>> smse.out_of_distribution(scores, slide, model).shape
    (17,)
    """
    run = scores.on_slide(slide).run
    require_same_model(model, [run.card])
    task = measure_ood(slide, run, scores.tiles, bank)
    return run_task(task, progress).values
