import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_smse.errors import QueryError, RequestError
from napari_smse.progress import run_task
from napari_smse.similarity.projection import fit_pca, umap_layout
from support.tasks import run_and_record

CLOUDS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(2, 30), st.integers(2, 8)),
    elements=st.floats(-1, 1, width=32),
)


def on_sphere(rng, number, width=16):
    made = rng.normal(size=(number, width)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@given(CLOUDS)
def test_no_two_directions_explain_more(cloud):
    pca = fit_pca(cloud)
    centred = cloud.astype(np.float64) - cloud.mean(axis=0, dtype=np.float64)
    singular = np.linalg.svd(centred, compute_uv=False)
    kept = np.linalg.norm(pca(cloud), axis=0) ** 2
    np.testing.assert_allclose(kept, singular[:2] ** 2, atol=1e-4)
    if singular.any():
        np.testing.assert_allclose(
            pca.explained, singular[:2] ** 2 / (singular**2).sum(), atol=1e-5
        )


@given(CLOUDS)
def test_it_only_turns_and_moves(cloud):
    # In the plane, points come no further apart, and their mean lies in the middle.
    points = fit_pca(cloud)(cloud)
    before = np.linalg.norm(cloud[:, None] - cloud[None], axis=2)
    after = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert (after <= before + 1e-4).all()
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-4)


def test_no_run_mirrors_another():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(200, 5)).astype(np.float32) * np.float32([5, 3, 1, 1, 1])
    pca = fit_pca(cloud)
    assert (np.take_along_axis(pca.axes, np.abs(pca.axes).argmax(axis=0)[None], axis=0) > 0).all()
    np.testing.assert_allclose(fit_pca(cloud[::-1]).axes, pca.axes, atol=1e-6)


def test_a_sample_says_nearly_what_all_say():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(4000, 6)).astype(np.float32) * np.float32([9, 5, 1, 1, 1, 1])
    some, all_of_them = fit_pca(cloud, sample=500), fit_pca(cloud)
    assert not np.array_equal(some.axes, all_of_them.axes)
    np.testing.assert_allclose(np.abs(np.sum(some.axes * all_of_them.axes, axis=0)), 1, atol=0.01)


@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (5, 4)])
def test_too_little_to_lay_out_lies_in_one_place(shape):
    pca = fit_pca(np.ones(shape, np.float32))
    np.testing.assert_array_equal(pca(np.ones(shape, np.float32)), np.zeros((shape[0], 2)))
    assert pca.explained == (0, 0)


def test_no_tiles_no_layout():
    with pytest.raises(QueryError, match="score a slide first"):
        fit_pca(np.empty((0, 4), np.float32))


class FakeUmap:
    """Takes the first two dimensions, and remembers what it was shown."""

    learnt = 0

    def __init__(self, **options):
        self.options = options

    def fit_transform(self, embeddings):
        type(self).learnt = len(embeddings)
        return embeddings[:, :2]

    def transform(self, embeddings):
        return embeddings[:, :2]


@pytest.fixture
def fake_umap(monkeypatch):
    module = ModuleType("umap")
    module.UMAP = FakeUmap
    monkeypatch.setitem(sys.modules, "umap", module)


@pytest.mark.usefixtures("fake_umap")
@pytest.mark.parametrize("number", [10, 99, 100, 12_345])
def test_umap_learns_from_some_and_places_all(number):
    cloud = on_sphere(np.random.default_rng(0), number)
    seen, layout = run_and_record(umap_layout(cloud, sample=100))
    assert FakeUmap.learnt == min(100, number)
    np.testing.assert_array_equal(layout.points, cloud[:, :2])
    np.testing.assert_array_equal(layout.project(cloud[:3]), cloud[:3, :2])
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, number)


@pytest.mark.usefixtures("fake_umap")
def test_umap_of_too_few_tiles_is_refused():
    with pytest.raises(QueryError, match="at least 10 tiles and there are 9"):
        run_task(umap_layout(on_sphere(np.random.default_rng(0), 9)))


def test_without_umap_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(RequestError, match=r'pip install "napari-smse\[umap\]"'):
        run_task(umap_layout(on_sphere(np.random.default_rng(0), 50)))


@pytest.mark.slow
def test_umap_itself_puts_groups_apart():
    rng = np.random.default_rng(0)
    centres = np.eye(16, dtype=np.float32)[:3].repeat(60, axis=0)
    cloud = centres + rng.normal(scale=0.02, size=centres.shape).astype(np.float32)
    layout = run_task(umap_layout(cloud / np.linalg.norm(cloud, axis=1, keepdims=True)))
    group = np.arange(3).repeat(60)
    off = np.linalg.norm(layout.points[:, None] - layout.points[None], axis=2)
    np.fill_diagonal(off, np.inf)
    assert (group[off.argmin(axis=1)] == group).all()


def test_it_imports_neither_torch_nor_umap_nor_sklearn():
    code = (
        "import sys, napari_smse.similarity.projection, napari_smse.similarity.clustering; "
        "assert not {'torch', 'umap', 'sklearn', 'numba'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
