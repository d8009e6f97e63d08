"""The paper's own network, for reproduction."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from napari_smse.models.card import WHOLE_IMAGE_TRUNK
from napari_smse.models.smse_network import NetworkOutput

_CHANNELS = (3, 4, 4, 8, 16, 32, 64)
_FLAT = 64 * 5 * 6


class SmseCnn(nn.Module):
    """The BreakHis network of Sun et al., trained from scratch on 460 x 700 images.

    Six blocks of convolution (3, 5), PReLU and max pooling (2, 3) with stride 2, two
    hidden layers of 256, and an embedding of classes + 10 that is not normalised.
    No batch normalisation; 602,035 parameters with two classes.

    Parameters
    ----------
    classes
        Number of classes.

    References
    ----------
    Sun, Huang, Wang, Zhou, Zhang: Magnification-independent Histopathological Image
    Classification with Similarity-based Multi-scale Embeddings, arXiv 2107.01063.
    """

    input_size: tuple[int, int] | None = (460, 700)
    trunk_name = WHOLE_IMAGE_TRUNK

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        pairs = itertools.pairwise(_CHANNELS)
        self.blocks = nn.Sequential(*(_block(inner, outer) for inner, outer in pairs))
        self.embedding_head = nn.Sequential(
            nn.Linear(_FLAT, 256),
            nn.PReLU(),
            nn.Linear(256, 256),
            nn.PReLU(),
            nn.Linear(256, classes + 10),
        )
        self.class_head = nn.Sequential(nn.PReLU(), nn.Linear(classes + 10, classes))

    def forward(self, images: Tensor) -> NetworkOutput:
        """Return `NetworkOutput` of images ``(n, 3, 460, 700)``, uint8 or float RGB 0..255.

        Raises
        ------
        ValueError
            The images have another size: the layers behind the pooling fit this one only.
        """
        if tuple(images.shape[1:]) != (3, *(self.input_size or ())):
            shape = tuple(images.shape)
            raise ValueError(f"SmseCnn takes images of (n, 3, 460, 700), not {shape}.")
        # Channels last, a step takes half as long on a CPU.
        pixels = images.to(torch.float32, memory_format=torch.channels_last) / 255
        maps = self.blocks(pixels)
        embedding = self.embedding_head(maps.flatten(1))
        return NetworkOutput(embedding.float(), self.class_head(embedding).float())


def _block(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, kernel_size=(3, 5)),
        nn.PReLU(),
        nn.MaxPool2d(kernel_size=(2, 3), stride=2),
    )
