"""Networks that neither timm nor transformers has, with the names of their checkpoints' tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import torch
from torch import Tensor, nn


class ConvolutionStem(nn.Module):
    """The first layer of CTransPath: three convolutions where a Swin transformer has one.

    Parameters
    ----------
    img_size
        Side, or height and width, of the images, px.
    embed_dim
        Width of the tokens, a multiple of 8.
    norm_layer
        Makes what normalises the tokens; none by default.
    """

    patch_px: Final = 4

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int],
        embed_dim: int,
        norm_layer: Callable[[int], nn.Module] | None = None,
        **_: Any,  # of timm's own first layer
    ) -> None:
        super().__init__()
        narrow, wide = embed_dim // 8, embed_dim // 4
        self.proj = nn.Sequential(
            *_halving(3, narrow), *_halving(narrow, wide), nn.Conv2d(wide, embed_dim, kernel_size=1)
        )
        self.norm = nn.Identity() if norm_layer is None else norm_layer(embed_dim)
        sides = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid_size = tuple(side // self.patch_px for side in sides)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens ``(n, h / 4, w / 4, width)`` of images ``(n, 3, h, w)``."""
        tokens: Tensor = self.norm(self.proj(images).movedim(1, -1))
        return tokens


def _halving(inner: int, outer: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inner, outer, kernel_size=3, stride=2, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outer), nn.ReLU(inplace=True)


class AttentionPooling(nn.Module):
    """One learnt query that attends to the tokens of a transformer.

    Parameters
    ----------
    width
        Of the tokens.
    features
        That come out.
    heads
        Of the attention.
    """

    def __init__(self, width: int, features: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, features))
        self.attn = nn.MultiheadAttention(features, heads, kdim=width, vdim=width, batch_first=True)
        self.ln_q = nn.LayerNorm(features)
        self.ln_k = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``(n, features)`` of tokens ``(n, tokens, width)``."""
        keys = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(len(tokens), 1, -1)
        pooled: Tensor = self.attn(query, keys, keys, need_weights=False)[0]
        return pooled[:, 0]


class ConchVision(nn.Module):
    """The image half of CONCH: a vision transformer, whose tokens are pooled by attention.

    What it gives is what its authors' ``encode_image(proj_contrast=False, normalize=False)`` does.

    Parameters
    ----------
    img_size
        Side of the images, px.
    features, heads
        Of the pooling.
    transformer
        Further arguments of timm's ViT-B/16.

    References
    ----------
    Lu et al., A visual-language foundation model for computational pathology, Nature Medicine 2024.
    """

    def __init__(
        self, *, img_size: int = 448, features: int = 512, heads: int = 8, **transformer: Any
    ) -> None:
        import timm

        super().__init__()
        trunk: Any = timm.create_model(
            "vit_base_patch16_224", img_size=img_size, num_classes=0, **transformer
        )
        self.trunk = trunk
        self.attn_pool_contrast = AttentionPooling(trunk.num_features, features, heads)
        self.ln_contrast = nn.LayerNorm(features)

    def forward(self, images: Tensor) -> Tensor:
        """Return features ``(n, 512)`` of normalised images ``(n, 3, 448, 448)``."""
        tokens = cast("Any", self.trunk).forward_features(images)
        features: Tensor = self.ln_contrast(self.attn_pool_contrast(tokens))
        return features


def ctranspath(**arguments: Any) -> nn.Module:
    """Return CTransPath: timm's Swin-T, with three convolutions as its first layer.

    Its features ``(n, 768)`` are the mean of the last tokens.

    References
    ----------
    Wang et al., Transformer-based unsupervised contrastive learning for histopathological image
    classification, Medical Image Analysis 2022.
    """
    import timm

    network: nn.Module = timm.create_model(
        "swin_tiny_patch4_window7_224", embed_layer=ConvolutionStem, num_classes=0, **arguments
    )
    return network


REBUILT: Final[Mapping[str, Callable[..., nn.Module]]] = {
    "ConchVision": ConchVision,
    "CTransPath": ctranspath,
}
"""By the names that records of encoders use."""
