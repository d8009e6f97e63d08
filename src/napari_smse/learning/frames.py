"""Whole images at the one size that some networks take."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def whole_frame(picture: Image.Image, size: tuple[int, int]) -> Tensor:
    """Return a whole RGB image ``(3, h, w)``, uint8, at `size` (height, width)."""
    height, width = size
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
