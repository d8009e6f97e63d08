"""Whole-slide histopathology at several physical scales, from one embedding space.

``import napari_smse as smse`` gives what a script or a notebook needs, each name when it is first
asked for: importing this package imports neither torch nor napari.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_smse import errors as errors
    from napari_smse import losses
    from napari_smse.api.annotations import read_annotations
    from napari_smse.api.exchange import (
        export_results,
        open_features,
        read_tile_features,
        read_tile_values,
    )
    from napari_smse.api.exemplars import ExemplarBank, explain, out_of_distribution
    from napari_smse.api.fine_tuning import fine_tune
    from napari_smse.api.model import load_model
    from napari_smse.api.reports import summarise, write_cohort, write_cohort_tiles, write_report
    from napari_smse.api.scoring import score
    from napari_smse.api.searching import SlideIndex, find_similar
    from napari_smse.api.slide_sets import (
        batch_effect,
        embedding_map,
        find_label_issues,
        suggest_tiles,
    )
    from napari_smse.api.stored_scores import read_scores
    from napari_smse.api.training import (
        compare_encoders,
        cross_validate,
        evaluate,
        read_dataset,
        train,
    )
    from napari_smse.slides import open_slide

__version__ = "0.2.0"

__all__ = [
    "ExemplarBank",
    "SlideIndex",
    "__version__",
    "batch_effect",
    "compare_encoders",
    "cross_validate",
    "embedding_map",
    "evaluate",
    "explain",
    "export_results",
    "find_label_issues",
    "find_similar",
    "fine_tune",
    "load_model",
    "losses",
    "open_features",
    "open_slide",
    "out_of_distribution",
    "read_annotations",
    "read_dataset",
    "read_scores",
    "read_tile_features",
    "read_tile_values",
    "score",
    "suggest_tiles",
    "summarise",
    "train",
    "write_cohort",
    "write_cohort_tiles",
    "write_report",
]

_NAMES = {
    "api.annotations": ("read_annotations",),
    "api.exchange": (
        "export_results",
        "open_features",
        "read_tile_features",
        "read_tile_values",
    ),
    "api.exemplars": ("ExemplarBank", "explain", "out_of_distribution"),
    "api.fine_tuning": ("fine_tune",),
    "api.model": ("load_model",),
    "api.reports": ("summarise", "write_cohort", "write_cohort_tiles", "write_report"),
    "api.scoring": ("score",),
    "api.searching": ("SlideIndex", "find_similar"),
    "api.slide_sets": ("batch_effect", "embedding_map", "find_label_issues", "suggest_tiles"),
    "api.stored_scores": ("read_scores",),
    "api.training": ("compare_encoders", "cross_validate", "evaluate", "read_dataset", "train"),
    "slides": ("open_slide",),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = ("errors", "losses")


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
