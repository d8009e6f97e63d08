"""What a user prefers, as napari's Preferences have it: how slides are scored unless changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from napari.settings import get_plugin_settings

from napari_smse.workflows.batch.score_queue import ScoreChoice
from napari_smse.workflows.settings.score import ScoreSettings

PLUGIN: Final = "napari-smse"
_PERCENT: Final = 100


def preferred_scoring() -> ScoreChoice:
    """Return model and settings that slides are scored with at first.

    What napari cannot tell, as where the plugin is used without being installed, is as usual.
    """
    try:
        # Named category by category in the manifest, and so unknown to mypy.
        preferred: Any = get_plugin_settings(PLUGIN)
        score = preferred.score
    except (KeyError, AttributeError):
        return ScoreChoice()
    settings = ScoreSettings(
        overlap=score.tile_overlap / _PERCENT,
        min_tissue=score.min_tissue / _PERCENT,
        device=score.device,
        precision=score.precision,
    )
    model = score.model.strip()
    if model in ("", ScoreChoice().model):
        return ScoreChoice(settings=settings)
    return ScoreChoice(model, Path(model).name, settings)
