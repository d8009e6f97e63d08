"""Slides on their way from their scores into an index, as each of them is finished."""

from __future__ import annotations

from pathlib import Path

from napari_smse.errors import RequestError
from napari_smse.models.card import ModelCard
from napari_smse.results import STORE_NAME, is_url
from napari_smse.scoring import ScoreStore
from napari_smse.similarity.index.folder import Added
from napari_smse.similarity.index.shard import shard_of
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Slide

_TOLD = {Added.ADDED: "added to", Added.REPLACED: "replaced in", Added.SAME: "in"}


class IntoIndex:
    """Adds scored slides to an index, which is started if there is none.

    Parameters
    ----------
    folder
        The index.
    card
        Of the model that scores.
    replace
        Replace slides that are there with other settings.

    Raises
    ------
    IndexFilesError
        The index is of another model, or cannot be written.
    """

    def __init__(self, folder: Path, card: ModelCard, *, replace: bool) -> None:
        self._index = SlideIndex.make(folder, card.weights_sha256, card.name)
        self._replace = replace

    def add(self, slide: Slide, store: ScoreStore) -> str:
        """Add a slide, and return what became of it; raises what `SlideIndex.add` raises."""
        added = self._index.add(shard_of(slide, store), replace=self._replace)
        return f"{_TOLD[added]} the index {self._index.folder}"

    def add_from(self, folder: Path, slide: Slide) -> str:
        """Add a slide that was scored before, from its results folder; raises as `add` does."""
        return self.add(slide, ScoreStore.open(folder / STORE_NAME))


def into_index(
    folder: Path | None, out: str, card: ModelCard, *, overwrite: bool
) -> IntoIndex | None:
    """Open the index that slides go into, if they do.

    Raises
    ------
    RequestError
        Results go to a URL, from where those of earlier runs cannot be read back.
    IndexFilesError
        As `IntoIndex` does.
    """
    if folder is None:
        return None
    if is_url(out):
        raise RequestError(
            "Scores at a URL cannot be read back for an index: leave out --index, or give --out a "
            "folder of this machine."
        )
    return IntoIndex(folder, card, replace=overwrite)
