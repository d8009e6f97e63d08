"""Make the pictures of the folder search: the real docks in a real viewer.

`.venv/bin/python docs/folder_search_screenshots.py`, where there is no screen under `xvfb-run -a`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from screenshots import SAMPLE, Stage

TUMOUR = (4200, 1100)
"""A place on the sample slide, level-0 px."""


def other_slides(folder: Path) -> list[Path]:
    """Write two slides of the sample's tissue: mirrored, and darker."""
    import numpy as np
    import tifffile

    from napari_smse.slides import Region, open_slide

    with open_slide(SAMPLE) as slide:
        pixels = slide.read(Region(0, 0, slide.width, slide.height), slide.mpp)
        mpp = slide.mpp
    made = {
        "patient_2_mirrored": pixels[:, ::-1],
        "patient_3_paler": (255 - (255 - pixels.astype(np.float32)) * 0.85).astype(np.uint8),
    }
    paths = []
    for name, rgb in made.items():
        path = folder / f"{name}.tif"
        resolution = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(
            path,
            np.ascontiguousarray(rgb),
            photometric="rgb",
            tile=(256, 256),
            compression="jpeg",
            **resolution,
        )
        paths.append(path)
    return paths


def query_of(layer: Any) -> Any:
    """Return the tiles at a place, as the dock would ask for them."""
    from napari_smse.workflows.score_slide import RUN_KEY

    run = layer.metadata[RUN_KEY]

    tiles = run.store.tile_table()
    rows = tiles.at(*TUMOUR)[:1]
    return (
        tiles.embeddings[rows],
        float(tiles.mpps[rows[0]]),
        run.card.weights_sha256,
        run.card.name,
    )


def main() -> None:
    """Let the sample go into an index as it is scored, search it, and go to the best hit."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_DATA_HOME"] = name
        shoot(Path(name))


def shoot(folder: Path) -> None:
    """Make the pictures."""
    from typer.testing import CliRunner

    from napari_smse.cli.app import app
    from napari_smse.similarity.index.search import ExcludedRegion
    from napari_smse.slides import Region
    from napari_smse.widgets.layers.slide_layers import slide_layers, slide_of
    from napari_smse.widgets.similar.index_search_panel import IndexSearchPanel

    index = folder / "archive 2024"
    done = CliRunner().invoke(app, ["index", *map(str, other_slides(folder)), "--out", str(index)])
    assert done.exit_code == 0, done.output
    with Stage() as stage:
        (layer,) = slide_layers(stage.viewer)
        slide = slide_of(layer)
        left_out = ExcludedRegion(
            slide.quick_hash, Region(TUMOUR[0] - 300, TUMOUR[1] - 300, 600, 600)
        )
        part = IndexSearchPanel(stage.viewer, lambda: query_of(layer), left_out=lambda: left_out)
        beside = stage.viewer.window.add_dock_widget(part, name="Folder search", tabify=True)
        part.set_folder(index)
        part.index.every.click()
        stage.dock.parent().raise_()
        stage.tick(0.5)
        stage.run()
        stage.until(lambda: "now: 3 slides" in stage.dock.index.text.text())
        stage.shoot("scored_into_index")
        beside.raise_()
        stage.until(lambda: not part.index.looking.is_running)
        part.run()
        stage.until(lambda: part.answer is not None and not part.picturing.is_running)
        stage.live(1)
        found = next(one for one in part.answer.slides if one.slide.name != slide.name)
        part.go_to(found, found.hits[0])
        stage.live(2)
        stage.shoot("folder_search")
        part.leave()


if __name__ == "__main__":
    main()
