"""Which classes are trained on given annotations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from napari_smse.errors import DataError
from napari_smse.finetuning.annotated_tiles import AnnotatedTiles


def classes_to_learn(model_classes: Sequence[str], drawn: Sequence[str]) -> tuple[str, ...]:
    """Return the model's classes, if no others are drawn; else those that are drawn.

    Parameters
    ----------
    model_classes
        The model's.
    drawn
        Classes with regions, each once.

    Raises
    ------
    DataError
        One class only is drawn, and the model does not know it.
    """
    if set(drawn) <= set(model_classes):
        return tuple(model_classes)
    if len(drawn) < 2:
        raise DataError(
            f"Only {drawn[0]} is drawn, so there is nothing to tell it apart from: draw regions "
            "of another class too."
        )
    return tuple(drawn)


def learnable_tiles(
    model_classes: Sequence[str],
    drawn: Sequence[str],
    collect: Callable[[Sequence[str]], AnnotatedTiles],
) -> AnnotatedTiles:
    """Collect tiles of the classes that can be learnt; those that no tile takes are left out.

    Parameters
    ----------
    model_classes
        Classes of the model; each of these needs tiles, if no others are drawn.
    drawn
        Classes with regions, each once.
    collect
        Returns the tiles of classes.

    Raises
    ------
    DataError
        As `classes_to_learn`, and what `collect` raises.
    """
    classes = classes_to_learn(model_classes, drawn)
    tiles = collect(classes)
    empty = tiles.labelled_set.empty_classes
    rest = [name for name in drawn if name not in empty]
    if not empty or set(classes) <= set(model_classes) or len(rest) < 2:
        return tiles
    return replace(collect(classes_to_learn(model_classes, rest)), untrained_classes=empty)
