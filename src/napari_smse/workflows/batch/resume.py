"""Whether a slide was scored already, by its run record and without the network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from napari_smse.models.card import ModelCard
from napari_smse.results import (
    RECORD_NAME,
    REPORT_NAME,
    REPORT_PDF_NAME,
    STORE_NAME,
    ModelRecord,
    RunRecord,
    SlideRecord,
)
from napari_smse.scoring import UNSIGNED, ScoreRequest
from napari_smse.scoring.device import PrecisionChoice
from napari_smse.scoring.runtimes.quantised_network import find_quantisation
from napari_smse.slides import Slide
from napari_smse.workflows.batch.destination import Destination

_ALWAYS = ("tiles.parquet", "tiles.csv", "heatmap.png")
_STORE_FACTS = f"{STORE_NAME}/zarr.json"


@dataclass(frozen=True)
class ExistingResults:
    """Results that lie where new ones would go.

    Parameters
    ----------
    record
        Their run record: they are whole, as it is written last.
    target, name
        Where they lie.
    """

    record: RunRecord
    target: Destination
    name: str

    @classmethod
    def find(cls, target: Destination, name: str) -> ExistingResults | None:
        """Return whole results, or None where there are none that can be read."""
        content = target.read(name, RECORD_NAME)
        if content is None:
            return None
        try:
            return cls(RunRecord.model_validate_json(content), target, name)
        except ValidationError:
            return None

    def differences(
        self, slide: Slide, card: ModelCard, request: ScoreRequest, *, precision: PrecisionChoice
    ) -> list[str]:
        """Name what these results were made with that differs from what is asked for now.

        How a network is run counts only if it was asked for, as the fastest way may be another on
        every machine; scores in int8 count for whoever asks for these alone, by the same network.
        """
        found = [
            *_changed("slide", self.record.slide, _slide_facts(slide)),
            *_changed("model", self.record.model, _model_facts(card)),
        ]
        # Back and forth, as JSON has lists only.
        settings = json.loads(json.dumps(request.facts()))
        # Of the region's outline and the tissue mask the settings have the hash.
        for key in sorted((settings.keys() | self.record.settings.keys()) - UNSIGNED):
            if settings.get(key) != self.record.settings.get(key):
                found.append(f"request {key}")
        if not self._has_precision(precision):
            found.append("precision")
        return found

    def has_all(self, *, geojson: bool, report: bool = False, seconds: float | None = None) -> bool:
        """Whether every tile or all in the time was scored, and every file asked for is there.

        Parameters
        ----------
        geojson
            Tiles for QuPath are asked for.
        report
            A report is asked for.
        seconds
            Time that may be spent; None for as long as it takes.

        Raises
        ------
        OutputError
            If the scores are damaged.
        """
        wanted = [*_ALWAYS, *(["tiles.geojson"] if geojson else []), _STORE_FACTS]
        wanted += [REPORT_NAME, REPORT_PDF_NAME] if report else []
        scored = all(scale.scored in (None, scale.tiles) for scale in self.record.scales)
        scored = scored or (seconds is not None and self.record.seconds >= seconds)
        if not scored or not all(self.target.exists(self.name, file) for file in wanted):
            return False
        self.target.check_scores(self.name)
        return True

    def _has_precision(self, wanted: PrecisionChoice) -> bool:
        by = self.record.quantisation
        if wanted == "int8":
            return by is not None and by == find_quantisation(self.record.model.weights_sha256)
        return by is None and (wanted == "auto" or self._is_float32())

    def _is_float32(self) -> bool:
        facts = self.target.read(self.name, _STORE_FACTS) or b"{}"
        try:
            runtime = json.loads(facts)["attributes"]["runtime"]
        except (ValueError, KeyError, TypeError):
            return False
        return (self.record.precision, runtime) == ("float32", "torch")


def _slide_facts(slide: Slide) -> dict[str, object]:
    return {
        "quick_hash": slide.quick_hash,
        "width": slide.width,
        "height": slide.height,
        "mpp": slide.mpp,
        "mpp_source": str(slide.scale.source),
    }


def _model_facts(card: ModelCard) -> dict[str, object]:
    return {
        "name": card.name,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
        "classes": card.classes,
    }


def _changed(what: str, record: SlideRecord | ModelRecord, now: dict[str, object]) -> Iterator[str]:
    for name, value in now.items():
        if getattr(record, name) != value:
            yield f"{what} {name}"
