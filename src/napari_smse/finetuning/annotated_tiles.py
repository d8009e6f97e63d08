"""The tiles of annotated slides as labelled images, with the embeddings a run stored of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_smse.annotations.tile_notes import PairConstraint
from napari_smse.datasets.alike_slides import slide_cases
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.errors import DataError
from napari_smse.finetuning.annotated_slide import AnnotatedSlide, duplicates_of, merged_by_content
from napari_smse.finetuning.exemplar_tiles import ExemplarTile
from napari_smse.finetuning.pair_constraints import PairConstraints
from napari_smse.finetuning.tile_collector import SOURCE, TileCollector
from napari_smse.metrics.estimate import counted
from napari_smse.training.prediction import TileOutputs


@dataclass(frozen=True)
class AnnotatedTiles:
    """What the annotations of slides give to learn from.

    Attributes
    ----------
    labelled_set
        One image a tile, at the scale it was scored at.
    outputs
        Outputs of the model for each tile.
    conflicts
        How many tiles two classes claim; they are left out.
    exemplars
        Tiles that must not be forgotten.
    constraints
        Tiles that must be alike or differ; none if there are no links.
    unmatched
        Links and corrections on tiles that were not scored or of no class that is learnt, and
        exemplars that have no class; they are left out.
    untrained_classes
        Classes that no tile takes, and that the model does not know; they are not learnt.
    duplicates
        Files that show the same slide as another one; all of a slide are one case.
    alike
        Further files that show the same tissue as another one, and so are of its case.
    appearances
        What some of the images look like, ``(k,)``: those of which that was known before.
    """

    labelled_set: LabelledSet
    outputs: dict[LabelledImage, TileOutputs]
    conflicts: int
    exemplars: tuple[LabelledImage, ...] = ()
    constraints: PairConstraints | None = None
    unmatched: int = 0
    untrained_classes: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    appearances: Mapping[LabelledImage, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def messages(self) -> list[str]:
        """What the user must know of the tiles."""
        messages = []
        if self.untrained_classes:
            messages.append(
                f"No tile takes the class {' or '.join(self.untrained_classes)}, which was left "
                "out: its regions are small, or hold hardly any tissue."
            )
        if self.duplicates:
            messages.append(
                f"{' and '.join(self.duplicates)} show a slide that is open under another name, "
                "too: they are one case, and their tiles were taken once."
            )
        if self.alike:
            messages.append(
                f"{' and '.join(self.alike)} show the same tissue as another slide, saved anew: "
                "they are one case. Annotate one of them only, as the same place counts twice."
            )
        if self.conflicts:
            messages.append(
                f"{counted(self.conflicts, 'tiles')} in regions of two classes: not learnt from."
            )
        if self.unmatched:
            messages.append(
                f"{self.unmatched} links or corrections are of tiles that this run did not score, "
                "or of other classes: they were left out."
            )
        return messages


def annotated_tiles(
    slides: Sequence[AnnotatedSlide],
    classes: Sequence[str],
    links: Sequence[PairConstraint] = (),
    added: Sequence[ExemplarTile] = (),
) -> AnnotatedTiles:
    """Label the stored tiles of slides by the regions they lie in, and by corrections.

    Slides of the same content are one: what is drawn and said of any of them holds for all, they
    are one case, and each tile is taken once. Slides that show the same tissue in other pixels are
    one case, too.

    Parameters
    ----------
    slides
        Scored by one model.
    classes
        In the order of the labels; tiles of others are left out.
    links
        Between tiles of these slides; one given twice counts once.
    added
        Tiles with a class of their own. Whatever is drawn or said of a tile now goes before that.

    Raises
    ------
    DataError
        No tile is of any of these classes.
    OutputError
        A store cannot be read.
    """
    links = tuple(dict.fromkeys(links))
    collected = TileCollector(tuple(classes), links)
    duplicates = tuple(slide.slide.path.name for slide in duplicates_of(slides))
    joined, numbers = slide_cases([one.slide for one in slides], [one.case for one in slides])
    alike = tuple(dict.fromkeys(slides[number].slide.path.name for number in numbers))
    slides = [replace(one, case=joined[one.case]) for one in merged_by_content(slides)]
    for slide in slides:
        for number in range(slide.store.scale_count):
            collected.take(slide, slide.store.scale(number))
    for tile in added:
        collected.add(replace(tile, case=joined.get(tile.case, tile.case)))
    if not collected.outputs:
        raise DataError(
            "No scored tile lies in a region: draw regions on tissue that was scored, each at "
            "least as large as a tile."
        )
    labelled = LabelledSet(tuple(classes), tuple(collected.outputs), {SOURCE: Source(SOURCE)})
    constraints = collected.constraints()
    corrected = len({correction for slide in slides for correction in slide.corrections}) + len(
        links
    )
    return AnnotatedTiles(
        labelled,
        collected.outputs,
        collected.conflicts,
        tuple(collected.exemplars),
        constraints,
        corrected - len(collected.applied) - (0 if constraints is None else len(constraints)),
        duplicates=duplicates,
        alike=alike,
        appearances=collected.appearances,
    )
