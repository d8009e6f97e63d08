import os

from napari_smse.workflows.score_slide import forget_old_runs, spare_threads


def test_only_the_newest_runs_are_kept(tmp_path):
    for number in range(5):
        run = tmp_path / f"run-{number}.zarr"
        run.mkdir()
        (run / "zarr.json").write_text("{}")
        os.utime(run / "zarr.json", (number, number))
    (tmp_path / "not a run").mkdir()
    forget_old_runs(tmp_path, keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {"run-3.zarr", "run-4.zarr", "not a run"}
    forget_old_runs(tmp_path / "missing", keep=2)


def test_one_core_is_left_to_the_viewer(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert spare_threads() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert spare_threads() == 1
