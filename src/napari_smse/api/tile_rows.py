"""The rows of the table of tiles that `Scores` hands out."""

from __future__ import annotations

import numpy as np

from napari_smse.results import RunContext, TileRows
from napari_smse.scoring import ScoreStore
from napari_smse.scoring.tile_table import TileTable


def tile_rows(store: ScoreStore, tiles: TileTable, context: RunContext | None) -> list[TileRows]:
    """Return the scored tiles of each scale as rows of a table.

    Parameters
    ----------
    store
        What they are of.
    tiles
        Its scored tiles.
    context
        What tiles are called by; None if the model's card is not known, and so what it calls.

    Raises
    ------
    OutputError
        The store cannot be read.
    """
    stored = tuple(store.scale(number).tiles for number in range(store.scale_count))
    rows = []
    for number, (part, index) in enumerate(zip(tiles.scales, tiles.index_in(stored), strict=True)):
        probability = tiles.probability[tiles.rows_of(number)]
        if context is not None:
            rows.append(context.rows(part, probability, store.appearance(number)[index]))
            continue
        places = np.column_stack([part.x, part.y, part.width, part.height])
        name = store.facts["model"]["name"]
        rows.append(TileRows(part.grid.spec.mpp, places, part.tissue, probability, model=name))
    return rows
