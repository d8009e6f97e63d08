import gc

from napari_smse.widgets.compute_lock import ComputeLock


def test_one_turn_is_held_at_a_time():
    scoring, training = (
        ComputeLock("A slide is being scored"),
        ComputeLock("A model is being trained"),
    )
    assert scoring.take() == ""
    assert scoring.take() == ""
    assert training.take().startswith("A slide is being scored: wait")
    scoring.give_back()
    scoring.give_back()
    assert training.take() == ""
    training.give_back()


def test_who_dies_blocks_nobody():
    gone = ComputeLock("gone")
    gone.take()
    del gone
    gc.collect()
    other = ComputeLock("other")
    assert other.take() == ""
    other.give_back()
