"""Make the pictures of the search over an index of slides: the real docks in a real viewer.

.venv/bin/python -m docs.screenshots.slide_index
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from docs.screenshots.viewer import SAMPLE, Stage, main

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
    import napari

    from napari_smse.widgets.session import session_of

    run = session_of(napari.current_viewer()).run_of(layer)

    tiles = run.store.tile_table()
    rows = tiles.at(*TUMOUR)[:1]
    return (
        tiles.embeddings[rows],
        float(tiles.mpps[rows[0]]),
        run.card.weights_sha256,
        run.card.name,
    )


def slide_index(images: Path) -> None:
    """Let the sample go into an index as it is scored, search it, and go to the best hit."""
    with tempfile.TemporaryDirectory() as folder:
        search_index(images, Path(folder))


def search_index(images: Path, folder: Path) -> None:
    """Make the pictures, with what is made for them in a folder."""
    from typer.testing import CliRunner

    from napari_smse.cli.app import app
    from napari_smse.similarity.index.hits import ExcludedRegion
    from napari_smse.slides import Region
    from napari_smse.widgets.similar.index_search_panel import IndexSearchPanel
    from napari_smse.widgets.slide_layers import slide_layers, slide_of

    index = folder / "archive 2024"
    done = CliRunner().invoke(app, ["index", *map(str, other_slides(folder)), "--out", str(index)])
    assert done.exit_code == 0, done.output
    with Stage(images) as stage:
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
        part.release()


if __name__ == "__main__":
    main(__doc__, slide_index)
