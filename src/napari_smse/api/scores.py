"""The scores of a slide: looked at, and saved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import (
    ModelNotFoundError,
    RequestError,
    SlideError,
)
from napari_smse.models.card import ModelCard
from napari_smse.models.model_files import bundled_models, read_card
from napari_smse.results import RunContext, save_results, tile_rows, tile_table
from napari_smse.results.save import require_same_run
from napari_smse.scoring import (
    HeatMap,
    ScoreStore,
    folder_lock,
    fused_scales,
    require_same_slide,
    store_lock,
)
from napari_smse.scoring.request import number_of_scale
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.slides import Region, Slide
from napari_smse.workflows.runs.stored_runs import NOT_RECORDED, run_of_store
from napari_smse.workflows.scored_slide import Run

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, repr=False, eq=False)
class Scores:
    """What a model said of the tiles of a slide, as `score` and `read_scores` give it.

    All tables and arrays have the tiles in the same order: scale by scale, fine to coarse.

    Attributes
    ----------
    store
        The scores on disk.
    given_slide, given_run
        The slide, and the run that scored it, as far as they are known.
    model_name
        ``bundled`` or the path of the model, where that was told.
    """

    store: ScoreStore
    given_slide: Slide | None = None
    given_run: Run | None = None
    model_name: str = ""

    @classmethod
    def from_run(cls, slide: Slide, run: Run) -> Scores:
        """Return the scores of a run that came to its end."""
        return cls(run.store, slide, run, run.model)

    def __repr__(self) -> str:
        """Name the slide, the model, the scales and the number of tiles."""
        facts = self.store.facts
        scales = ", ".join(f"{mpp:g}" for mpp in self.mpps)
        return (
            f"<Scores of {facts['slide']['name']} by {facts['model']['name']}: {len(self)} tiles "
            f"at {scales} µm/px>"
        )

    def __len__(self) -> int:
        """Number of scored tiles of all scales."""
        return len(self.tiles)

    @property
    def path(self) -> Path:
        """Folder of the scores (zarr)."""
        return self.store.path

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.store.classes

    @property
    def complete(self) -> bool:
        """Whether every tile was scored; a run that was stopped goes on if scored again."""
        return self.store.complete

    @cached_property
    def tiles(self) -> TileTable:
        """The scored tiles with their embeddings and probabilities, as arrays."""
        return self.store.tile_table()

    @property
    def mpps(self) -> tuple[float, ...]:
        """Scales of the tiles, um/px, fine to coarse."""
        return tuple(tiles.grid.spec.mpp for tiles in self.tiles.scales)

    @property
    def slide(self) -> Slide:
        """The slide that was scored.

        Raises
        ------
        SlideError
            It is not known: the scores were read back without it.
        """
        if self.given_slide is None:
            raise SlideError(
                f"{self.path} does not say where {self.store.facts['slide']['name']} lies: read "
                "the scores with it, as read_scores(path, slide)."
            )
        return self.given_slide

    def on_slide(self, slide: Slide) -> Scores:
        """Return them with their slide; raises `ChangedSlideError` if it is another."""
        require_same_slide(slide, self.store)
        return self if self.given_slide is not None else replace(self, given_slide=slide)

    @cached_property
    def card(self) -> ModelCard:
        """Card of the model that scored the slide.

        Raises
        ------
        ModelNotFoundError
            It is not known: read the scores back with the path of the model.
        """
        return read_card(self.model) if self.given_run is None else self.given_run.card

    @cached_property
    def model(self) -> str:
        """Path of the model that scored the slide; raises as `card` does."""
        if self.model_name:
            return self.model_name
        model = self.store.facts["model"]
        for name in bundled_models():
            if read_card(name).weights_sha256 == model["hash"]:
                return name
        raise ModelNotFoundError(
            f"{self.path} was scored by {model['name']} ({model['hash'][:8]}), which does not come "
            "with this program: read the scores with it, as read_scores(path, model=...)."
        )

    @cached_property
    def run(self) -> Run:
        """The run, with its plan made anew if the scores were read back.

        Raises
        ------
        SlideError, ModelNotFoundError
            The slide or the model is not known.
        ScaleError, OutputError
            As `napari_smse.scoring.stored_plan` does.
        """
        if self.given_run is not None:
            return self.given_run
        return run_of_store(self.slide, self.store, self.card, self.model)

    def table(self) -> pa.Table:
        """Return one row a tile.

        Returns
        -------
        pyarrow.Table
            ``x, y, width, height`` of the tile, level-0 px (int32, top-left corner); ``mpp``,
            um/px; ``tissue``, share of the tile that is tissue, 0..1; ``p_*``, probability of each
            class; ``focus``, sharpness, NaN where that is not known; ``ood``, above 1 out of
            distribution, NaN where that is not known; ``call``, a
            class, *indeterminate* or *out of distribution*, none without the model's card;
            ``model``, name and version. The same as ``tiles.parquet`` of a run to the end.

        Raises
        ------
        OutputError
            The scores cannot be read.

        Examples
        --------
        >>> import napari_smse as smse
        >>> slide = smse.open_slide("sample_data/sample_slide.tif")
        >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
        >>> scores.table().column_names[5:]
        ['tissue', 'p_benign', 'p_malignant', 'focus', 'ood', 'call', 'model']
        >>> scores.table().num_rows == len(scores) == len(scores.embeddings())
        True
        """
        try:
            context = self.context
        except ModelNotFoundError:
            context = None
        return tile_table(tile_rows(self.store, self.tiles, context), self.classes)

    def embeddings(self, mpp: float | None = None) -> NDArray[np.float32]:
        """Return the embeddings of tiles, in the order of `table`.

        Parameters
        ----------
        mpp
            Only those of one scale, um/px.

        Returns
        -------
        numpy.ndarray
            ``(n, d)`` float32, each of length 1.

        Raises
        ------
        ScaleError
            That scale was not scored.
        """
        if mpp is None:
            return self.tiles.embeddings
        return np.asarray(self.tiles.embeddings[self.tiles.rows_of(self.scale_number(mpp))])

    def probability(self, class_name: str) -> NDArray[np.float32]:
        """Return the probability of a class, ``(n,)``, in the order of `table`.

        Raises
        ------
        RequestError
            The model knows no such class.
        """
        return np.asarray(self.tiles.probability[:, self._class_number(class_name)])

    def region(self, row: int) -> Region:
        """Where a tile of `table` lies, level-0 px, to be read by ``slide.read(region, mpp)``."""
        return self.tiles.region(row)

    def heat_map(self, class_name: str, mpp: float | None = None) -> HeatMap:
        """Return the map of a class at one scale.

        Parameters
        ----------
        class_name
            One of `classes`.
        mpp
            The scale, um/px; may be left out if only one was scored.

        Returns
        -------
        HeatMap
            ``values`` (rows, columns) float32 probabilities, NaN where nothing was scored; ``x``,
            ``y``, level-0 px of the corner; ``cell``, level-0 px of a cell's edge.

        Raises
        ------
        RequestError
            The model knows no such class.
        ScaleError
            That scale was not scored, or several were and none is named.

        Examples
        --------
        >>> import napari_smse as smse
        >>> slide = smse.open_slide("sample_data/sample_slide.tif")
        >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
        >>> scores.heat_map("malignant").values.shape
        (6, 7)
        """
        values = self.probability(class_name)
        return self.tiles.heat_map(values, self.scale_number(mpp))

    def fused(self, class_name: str) -> HeatMap:
        """Return the map of a class over all scales that the model was trained at.

        Each scale that scored a place counts the same there; if the model was trained at none of
        them, all count.

        Raises
        ------
        RequestError
            The model knows no such class.
        ModelNotFoundError
            The model, and so what it was trained at, is not known.
        """
        number = self._class_number(class_name)
        return self.store.fused(number, fused_scales(self.mpps, self.card))

    def save(
        self,
        folder: str | Path,
        *,
        geojson: bool = False,
        report: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write the results as the command line does: tables, picture, record and scores.

        Parameters
        ----------
        folder
            Folder of this one slide; made if it is not there. Results of the same run are replaced.
        geojson
            Also write the tiles for QuPath (``tiles.geojson``).
        report
            Also write a report (``report.html``, ``report.pdf``).
        overwrite
            Replace results of another run, such as another model's, too.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            The folder cannot be written, or holds the results of another run, or this run did not
            come to its end.
        SlideError, ModelNotFoundError
            The slide or the model is not known.
        ChangedSlideError
            The slide is another file than was scored.
        """
        folder, run = Path(folder), self.run
        context = replace(self.context, device=run.device.label, warnings=run.warnings)
        wanted = {"geojson": geojson, "report": report}
        with folder_lock(folder), store_lock(self.path):
            if not overwrite:
                require_same_run(folder, self.store)
            save_results(folder, self.slide, self.store, context, **wanted)
        return folder

    @cached_property
    def context(self) -> RunContext:
        """What tiles are called by; raises as `card` does."""
        card = self.card
        reference = load_ood_reference(self.model, card.weights_sha256)
        return RunContext(card, NOT_RECORDED, reference=reference)

    def scale_number(self, mpp: float | None = None) -> int:
        """Number of a scale, fine to coarse; raises as `heat_map` does."""
        return number_of_scale(self.mpps, mpp)

    def _class_number(self, class_name: str) -> int:
        if class_name not in self.classes:
            raise RequestError(
                f"There is no class {class_name!r}: choose one of {', '.join(self.classes)}."
            )
        return self.classes.index(class_name)
