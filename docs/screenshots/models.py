"""Make the picture of the list of models.

.venv/bin/python -m docs.screenshots.models
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from docs.screenshots.viewer import Stage, main, save


def models(images: Path) -> None:
    """All models and encoders there are, and the card of the one that is chosen."""
    from PIL import Image

    from napari_smse.widgets.controls.model_dialog import ModelDialog

    with Stage(images) as stage:
        dialog = ModelDialog(stage.dock)
        dialog.show()
        stage.until(lambda: dialog.table.rowCount() > 0)
        dialog.table.setCurrentCell(0, 0)
        stage.live(1)
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            dialog.grab().save(file.name)
            with Image.open(file.name) as picture:
                save(picture, images / "models.png")
        dialog.close()


if __name__ == "__main__":
    main(__doc__, models)
