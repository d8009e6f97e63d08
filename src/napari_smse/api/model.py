"""A loaded model: its card, and what it says of tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import RequestError
from napari_smse.models.card import ModelCard
from napari_smse.progress import OnProgress, run_task
from napari_smse.scoring import choose_device, require_tiles, select_runtime
from napari_smse.scoring.device import Quantisation, usable_cores
from napari_smse.scoring.tile_classifier import TileClassifier
from napari_smse.slides import Slide
from napari_smse.workflows.models.quantise import quantise_model

if TYPE_CHECKING:
    from torch import nn

    from napari_smse.models import Model as LoadedModel


class Model:
    """A network with its card, as `load_model` gives it.

    Parameters
    ----------
    loaded
        The network, the card, and where they lie.
    keeps
        What is to live as long as the model does, such as the folder of its files.
    """

    def __init__(self, loaded: LoadedModel, keeps: object = None) -> None:
        self.loaded = loaded
        self._keeps = keeps
        self._classifiers: dict[str, TileClassifier] = {}

    def __repr__(self) -> str:
        """Name the model and its classes."""
        return f"<Model {self.card.name} {self.card.version}: {', '.join(self.card.classes)}>"

    @property
    def card(self) -> ModelCard:
        """What the model is, what it was trained on, and at which um/px."""
        return self.loaded.card

    @property
    def path(self) -> Path:
        """Where its weights lie."""
        return self.loaded.path

    @property
    def network(self) -> nn.Module:
        """The torch module: RGB 0..255 ``(n, 3, h, w)`` to embeddings and logits."""
        return self.loaded.network

    def embed(self, tiles: NDArray[np.uint8], device: str = "auto") -> NDArray[np.float32]:
        """Return where tiles lie in the embedding space.

        Parameters
        ----------
        tiles
            RGB uint8, ``(n, tile_px, tile_px, 3)``, at a scale that the model was trained at:
            `card.tile_px` and `card.mpp_range`.
        device
            ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

        Returns
        -------
        numpy.ndarray
            ``(n, embedding_dim)`` float32, each of length 1.

        Raises
        ------
        RequestError
            The tiles have another shape or type.
        ModelError
            The model takes whole images, not tiles.
        DeviceError
            This machine has no such device.

        Examples
        --------
        >>> import numpy as np
        >>> import napari_smse as smse
        >>> model = smse.load_model("bundled")
        >>> model.embed(np.zeros((2, 224, 224, 3), np.uint8), device="cpu").shape
        (2, 128)
        """
        return self._answer(tiles, device)[1]

    def predict(self, tiles: NDArray[np.uint8], device: str = "auto") -> NDArray[np.float32]:
        """Return the probability of each class for tiles.

        Parameters
        ----------
        tiles, device
            As for `embed`.

        Returns
        -------
        numpy.ndarray
            ``(n, classes)`` float32 in the order of `card.classes`; rows add up to 1.

        Raises
        ------
        RequestError, ModelError, DeviceError
            As `embed` does.

        Examples
        --------
        >>> import napari_smse as smse
        >>> slide = smse.open_slide("sample_data/sample_slide.tif")
        >>> whole = slide.read(slide.bounds, mpp=0.5)  # (2304, 3072, 3)
        >>> tile = whole[600:824, 1800:2024]
        >>> smse.load_model("bundled").predict(tile[None], device="cpu").shape
        (1, 2)
        """
        return self._answer(tiles, device)[0]

    def quantise(
        self,
        slides: Slide | Iterable[Slide],
        mpp: float | Iterable[float] = (0.5,),
        *,
        progress: OnProgress | None = None,
    ) -> Quantisation:
        """Bring the model into int8, so that `score` takes it with ``precision="int8"``.

        Ranges are found on tiles of the slides; it is kept on this machine.

        Parameters
        ----------
        slides
            One or several of the kind that is to be scored.
        mpp
            Scales to be scored at, um/px.
        progress
            Called with a `Progress`; what it raises stops the work.

        Returns
        -------
        How far its outputs lie from float32's, on other tiles of the slides:
        ``largest_difference`` and ``mean_difference`` of a probability, ``mean_cosine`` and
        ``smallest_cosine`` of embeddings.

        Raises
        ------
        SlideError, ScaleError, NoTissueError
            A slide cannot be read, or there is nothing to score.
        DeviceError
            The extra ``int8`` is not installed.
        ModelError
            There are too few tiles, or it is no convolutional network.
        OutputError
            It cannot be kept.
        """
        several = [slides] if isinstance(slides, Slide) else list(slides)
        mpps = tuple(mpp) if isinstance(mpp, Iterable) else (mpp,)
        return run_task(quantise_model(self.loaded, several, mpps), progress)

    def _answer(
        self, tiles: NDArray[np.uint8], device: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        require_tiles(self.card)
        tiles = np.asarray(tiles)
        px = self.card.tile_px
        if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[1:] != (px, px, 3):
            raise RequestError(
                f"Model {self.card.name} takes tiles as uint8 of the shape (n, {px}, {px}, 3), not "
                f"{tiles.dtype} of {tiles.shape}: read them so with slide.read."
            )
        if not len(tiles):
            card = self.card
            none = ((0, len(card.classes)), (0, card.embedding_dim))
            return np.empty(none[0], np.float32), np.empty(none[1], np.float32)
        probability, embedding = self._classifier(device)(tiles)
        return np.asarray(probability, np.float32), np.asarray(embedding, np.float32)

    def _classifier(self, device: str) -> TileClassifier:
        """Return the network on a device, run as a scoring runs it there."""
        if device not in self._classifiers:
            chosen = select_runtime(choose_device(device), self.loaded)
            self._classifiers[device] = TileClassifier(self.loaded, chosen, usable_cores())
        return self._classifiers[device]


def load_model(
    model: str | Path = "bundled", *, encoder_weights: str | Path | None = None
) -> Model:
    """Load a model and check that it answers as its card promises.

    Parameters
    ----------
    model
        ``"bundled"``, a bundled model's name, or a path: the weights, the card, or their common
        stem.
    encoder_weights
        Of a model of heads on an encoder: file or folder of the encoder's weights, if it is not
        where they were before or the hub's cache.

    Raises
    ------
    ModelNotFoundError
        There is no such model; the message lists those that there are.
    DamagedModelError
        Weights or card are missing, unreadable, or do not belong together.
    EncoderWeightsError
        The weights of its encoder are not here, or are not those it was made with.
    SelfTestError
        The network does not give the outputs that its card promises.

    Examples
    --------
    >>> import napari_smse as smse
    >>> model = smse.load_model("bundled")
    >>> model.card.classes, model.card.tile_px, model.card.mpp_range
    (('benign', 'malignant'), 224, (0.22, 0.62))
    """
    from napari_smse import models

    return Model(models.load_model(model, encoder_weights=encoder_weights))


def require_same_model(model: Model, cards: Sequence[ModelCard]) -> None:
    """Refuse scores of another model.

    Raises
    ------
    RequestError
        A card is of another model; the message names both.
    """
    for card in cards:
        if card.weights_sha256 != model.card.weights_sha256:
            raise RequestError(
                f"The slide was scored by {card.name} ({card.weights_sha256[:8]}), not by "
                f"{model.card.name} ({model.card.weights_sha256[:8]}), and embeddings of two "
                "models do not compare: score it with this model."
            )
