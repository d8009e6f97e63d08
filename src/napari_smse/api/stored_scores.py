"""Scores that were written before, read back."""

from __future__ import annotations

from pathlib import Path

from napari_smse.api.scores import Scores
from napari_smse.errors import ModelError
from napari_smse.models.model_files import model_paths, read_card
from napari_smse.results import STORE_NAME
from napari_smse.scoring import ScoreStore, require_same_slide
from napari_smse.slides import Slide


def read_scores(
    path: str | Path, slide: Slide | None = None, *, model: str | Path | None = None
) -> Scores:
    """Read scores back.

    Parameters
    ----------
    path
        What `score` wrote (``out``), or a results folder.
    slide
        The slide that was scored; what looks at the slide itself needs it, such as
        `out_of_distribution`, `fine_tune` or `Scores.save`.
    model
        Path of the model that scored it, unless that comes with this program; fused maps, exemplars
        and saving need it.

    Raises
    ------
    OutputError
        There are no scores, or they cannot be read.
    ChangedSlideError
        Another slide was scored.
    ModelError
        Another model scored it.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> smse.read_scores(scores.path).table() == scores.table()
    True
    """
    path = Path(path)
    store = ScoreStore.open(path / STORE_NAME if (path / STORE_NAME).exists() else path)
    facts = store.facts
    if slide is not None:
        require_same_slide(slide, store)
    if model is not None and read_card(model).weights_sha256 != facts["model"]["hash"]:
        raise ModelError(
            f"{path} was scored by {facts['model']['name']} ({facts['model']['hash'][:8]}), not by "
            f"{read_card(model).name}: give the model that scored it."
        )
    return Scores(store, slide, model_name="" if model is None else str(model_paths(model)[0]))
