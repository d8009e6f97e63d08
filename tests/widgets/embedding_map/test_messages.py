"""Which runs share a map, and what is said of one that is out of date."""

from types import SimpleNamespace

import pytest

from napari_smse.widgets.embedding_map.messages import (
    describe_changes,
    describe_left_out,
    of_one_model,
)
from napari_smse.widgets.session import ScoredLayer
from napari_smse.workflows.embedding_map import MappedSlide


def run(name, model="a", finished=True):
    started = SimpleNamespace(
        card=SimpleNamespace(weights_sha256=model, name=f"model {model}"),
        store=SimpleNamespace(finished=finished),
    )
    return ScoredLayer(None, SimpleNamespace(name=name, quick_hash=name), started)


def mapped(of, finished=True):
    return MappedSlide(of.slide, of.run, range(1234), finished)


ONE, OTHER = run("one"), run("other")


@pytest.mark.parametrize(
    ("shown", "wanted", "said"),
    [
        ([mapped(ONE)], [ONE], ""),
        ([mapped(ONE)], [ONE, OTHER], "other is not in the map yet"),
        ([mapped(ONE)], [run("one")], "one was scored again"),
        ([mapped(ONE, finished=False)], [ONE], "one is scored to the end now"),
        ([mapped(ONE), mapped(OTHER)], [ONE], "A slide of the map was closed"),
    ],
)
def test_what_is_out_of_date_is_told(shown, wanted, said):
    news = describe_changes(shown, wanted, [])
    assert news.startswith(said)
    assert bool(news) == bool(said)


def test_a_slide_of_the_map_that_another_model_scored_meanwhile_is_not_called_closed():
    again = run("other", "b")
    news = describe_changes([mapped(ONE), mapped(OTHER)], [ONE], [again])
    assert news.startswith("other was scored by another model: the map shows what it was before.")
    assert not describe_changes([mapped(ONE)], [ONE], [again])


def test_a_run_that_goes_on_is_told_with_what_is_shown_of_it():
    going = run("one", finished=False)
    news = describe_changes([mapped(going, finished=False)], [going], [])
    assert "not scored to the end" in news
    assert "1,234 tiles" in news


def test_the_first_ones_model_is_taken_and_the_others_named():
    runs = [run("one", "a"), run("two", "b"), run("three", "a")]
    same, others = of_one_model(runs)
    assert [one.slide.name for one in same] == ["one", "three"]
    assert describe_left_out(others).startswith(
        "Left out, as scored by another model: two (model b)."
    )
    assert describe_left_out([]) == ""
