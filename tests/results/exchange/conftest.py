"""Results of the sample slide at two scales, by a model of known answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import napari_smse as smse
from napari_smse.api.model import Model
from napari_smse.results.exchange import ResultFolder
from napari_smse.scoring.runtimes import selection
from napari_smse.slides import Slide
from support.models import redness_model

MPPS = (1.0, 2.0)


@pytest.fixture(scope="session")
def slide(sample_slide: Path) -> Iterator[Slide]:
    with smse.open_slide(sample_slide) as opened:
        yield opened


@pytest.fixture(scope="session")
def saved(slide: Slide, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the results; not to be changed."""
    out = tmp_path_factory.mktemp("saved")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            selection,
            "selected_speed",
            lambda device, *_: selection.Speed("torch", device.precision, 1.0, 0.0),
        )
        patch.setattr("napari_smse.results.save.draw_maps", lambda *_args, **_more: b"")
        model = Model(redness_model())
        scores = smse.score(slide, model, MPPS, out=out / "a.zarr", device="cpu")
        return scores.save(out / "results")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """Its copy."""
    return Path(shutil.copytree(saved, tmp_path / "results"))


@pytest.fixture(scope="session")
def results(saved: Path) -> ResultFolder:
    return ResultFolder.open(saved)


@pytest.fixture
def half_scored(folder: Path) -> ResultFolder:
    """Results for which time was up after half the tiles of the finer scale."""
    results = ResultFolder.open(folder)
    scores = results.scales[0]
    scores.probability[::2] = np.nan
    results.store.write_rows(0, 0, scores.probability, scores.embedding, scores.appearance)
    results.store.finish(complete=False)
    return ResultFolder.open(folder)


@pytest.fixture
def without_tissue(results: ResultFolder, monkeypatch: pytest.MonkeyPatch) -> ResultFolder:
    """Results of a slide on which no tile was found."""
    none = np.empty(0, dtype=np.intp)
    scales = tuple(
        type(one)(one.tiles.take(none), one.probability[none], one.embedding[none])
        for one in results.scales
    )
    table = results.table.slice(0, 0)
    empty = ResultFolder(results.folder, results.record, results.store)
    monkeypatch.setattr(ResultFolder, "scales", property(lambda _self: scales))
    monkeypatch.setattr(ResultFolder, "table", property(lambda _self: table))
    return empty
