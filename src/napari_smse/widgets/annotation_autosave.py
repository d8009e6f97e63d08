"""Annotations that survive a crash: written to a file of our own after every change."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import platformdirs

from napari_smse.errors import SmseError
from napari_smse.exchange import Annotation, AnnotationSet, read_annotations, write_annotations
from napari_smse.exchange.colours import Colour
from napari_smse.slides import Slide

logger = logging.getLogger(__name__)


def autosave_folder() -> Path:
    """Where annotations lie that were not saved elsewhere."""
    return platformdirs.user_data_path("napari-smse") / "annotations"


class Autosave:
    """The unsaved annotations of one slide on disk.

    What an earlier session left is only offered, and stays on disk until the user has decided;
    what is drawn meanwhile goes to a second file.

    Parameters
    ----------
    slide
        Known by its quick hash, wherever it lies.
    """

    def __init__(self, slide: Slide) -> None:
        folder = autosave_folder()
        stem = f"{slide.name[:60]}-{slide.quick_hash[:16]}"
        self._own, self._meanwhile = (
            folder / f"{stem}{ending}" for ending in (".geojson", ".new.geojson")
        )
        self.left_behind = self._read()

    @property
    def when(self) -> datetime | None:
        """When what was left behind was last changed."""
        times = [path.stat().st_mtime for path in self._files() if path.exists()]
        return datetime.fromtimestamp(max(times)) if times else None

    def save(self, annotations: AnnotationSet) -> None:
        """Write what is drawn now; an empty set is written too, since undoing is a change.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        path = self._own if self.left_behind is None else self._meanwhile
        path.parent.mkdir(parents=True, exist_ok=True)
        write_annotations(path, annotations)

    def forget(self) -> None:
        """Remove the files: everything was saved elsewhere, or is not wanted."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def decided(self, annotations: AnnotationSet) -> None:
        """Say that the user took back what was left behind, or does not want it.

        Parameters
        ----------
        annotations
            What is drawn after that.
        """
        self.left_behind = None
        self.save(annotations)
        self._meanwhile.unlink(missing_ok=True)

    def _files(self) -> tuple[Path, Path]:
        return self._own, self._meanwhile

    def _read(self) -> AnnotationSet | None:
        found: dict[str, Annotation] = {}
        colours: dict[str, Colour] = {}
        for path in self._files():
            if not path.exists():
                continue
            try:
                one = read_annotations(path)
            except SmseError:
                logger.warning("%s cannot be read and is left where it is", path, exc_info=True)
                path.rename(path.with_suffix(".damaged"))
                continue
            found |= {annotation.id: annotation for annotation in one.annotations}
            colours |= one.colours
        return AnnotationSet(tuple(found.values()), colours) if found else None
