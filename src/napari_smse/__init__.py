"""Whole-slide histopathology at several physical scales, from one embedding space.

Importing this package imports neither torch nor napari: reach for what you need
in its floors, such as `napari_smse.slides` or `napari_smse.scoring`.
"""

__version__ = "0.1.0"
