"""Tiles as DICOM annotations, and heat maps as DICOM parametric maps, by highdicom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.atomic_write import atomic_path, require_free
from napari_smse.results.exchange.dicom_source import (
    DicomSource,
    class_code,
    dicom_library,
    dicom_text,
    rectangles,
)
from napari_smse.results.exchange.map_stack import MapStack, map_stacks, tile_calls
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.run_record import ModelRecord
from napari_smse.scoring import ScaleScores
from napari_smse.scoring.calls import CallRule
from napari_smse.scoring.score_maps import name_scales

NOT_SCORED: Final = -1.0
"""Where a parametric map has nothing."""
_TILE: Final = 256
"""Of a map that is no smaller."""
_NOTICE: Final = "Research use only"


def export(results: ResultFolder, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the tiles of each scale as annotations, and its maps, and their mean's, as another.

    They refer to the slide if that is DICOM and is where it was scored, and lie in its coordinates.
    For a slide of another format, study and frame of reference are made from its content.

    Parameters
    ----------
    results
        Of a slide.
    out
        Folder to write into.
    overwrite
        What lies there of this slide may be replaced.

    Returns
    -------
    list of Path
        ``NAME_SCALE_annotations.dcm``, Microscopy Bulk Simple Annotations, of scales that have
        tiles; ``NAME_SCALE_map.dcm``, Parametric Maps, a channel a class.

    Raises
    ------
    OutputError
        One lies there already, or cannot be written; or highdicom is not installed.
    """
    dicom_library()
    stacks = map_stacks(results)
    maps = [out / f"{results.stem}_{stack.file_name}_map.dcm" for stack in stacks]
    tiles = {
        out / f"{results.stem}_{stack.file_name}_annotations.dcm": number
        for number, stack in enumerate(stacks[: len(results.scales)])
        if len(results.scales[number].tiles)
    }
    require_free([*tiles, *maps], overwrite=overwrite)
    source = DicomSource.of_results(results)
    objects = [*_annotations(results, source, list(tiles.values())), *_maps(stacks, source)]
    for path, made in zip([*tiles, *maps], objects, strict=True):
        with atomic_path(path) as part:
            made.save_as(part)
    return [*tiles, *maps]


# -- annotations ---------------------------------------------------------------------


def _annotations(results: ResultFolder, source: DicomSource, numbers: list[int]) -> Iterator[Any]:
    """Yield the annotations of each scale: a group for each class that was called."""
    import highdicom

    series, scales = highdicom.UID(), results.scales
    names = name_scales([scores.mpp for scores in scales])
    for instance, number in enumerate(numbers, start=1):
        groups = [
            _group(place, call, names[number], tiles, probability, results)
            for place, (call, tiles, probability) in enumerate(
                _called(results, number, scales[number]), start=1
            )
        ]
        yield highdicom.ann.MicroscopyBulkSimpleAnnotations(
            source_images=[source.image],
            annotation_coordinate_type=highdicom.ann.AnnotationCoordinateTypeValues.SCOORD,
            annotation_groups=groups,
            series_instance_uid=series,
            series_number=1,
            sop_instance_uid=highdicom.UID(),
            instance_number=instance,
            content_label="TILES",
            content_description=f"Tiles at {names[number]}. {_NOTICE}"[:64],
            **source.equipment,
        )


def _called(
    results: ResultFolder, number: int, scores: ScaleScores
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
    """Yield number, boxes ``(n, 4)`` and probabilities ``(n, classes)`` of each call there is."""
    calls = tile_calls(results)[number]
    places = np.column_stack(
        [scores.tiles.x, scores.tiles.y, scores.tiles.width, scores.tiles.height]
    )
    for call in np.unique(calls[calls >= 0]).tolist():
        mine = calls == call
        yield call, places[mine].astype(np.int64), scores.probability[mine]


def _group(
    place: int,
    call: int,
    scale: str,
    tiles: NDArray[np.int64],
    probability: NDArray[np.float32],
    results: ResultFolder,
) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    classes = results.store.classes
    name, colour = list(CallRule(classes).colours().items())[call]
    return highdicom.ann.AnnotationGroup(
        number=place,
        uid=highdicom.UID(),
        label=dicom_text(f"{name}, {scale}"),
        annotated_property_category=codes.SCT.Tissue,
        annotated_property_type=class_code("CLASS", call, name),
        graphic_type=highdicom.ann.GraphicTypeValues.RECTANGLE,
        graphic_data=rectangles(tiles),
        algorithm_type=highdicom.ann.AnnotationGroupGenerationTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(results.record.model),
        measurements=[
            highdicom.ann.Measurements(
                name=_probability_of(number, class_name),
                values=probability[:, number].astype(np.float32),
                unit=codes.UCUM.NoUnits,
            )
            for number, class_name in enumerate(classes)
        ],
        display_color=highdicom.color.CIELabColor.from_rgb(*colour),
    )


def _probability_of(number: int, class_name: str) -> Any:
    return class_code("P", number, f"Probability of {class_name}")


def _algorithm(model: ModelRecord) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    return highdicom.AlgorithmIdentificationSequence(
        name=dicom_text(model.name),
        family=codes.DCM.ArtificialIntelligence,
        version=dicom_text(model.version),
    )


# -- maps ----------------------------------------------------------------------------


def _maps(stacks: list[MapStack], source: DicomSource) -> Iterator[Any]:
    """Yield the maps of each scale, as wide in the slide's coordinates as they are."""
    import highdicom
    from pydicom.sr.codedict import codes

    series = highdicom.UID()
    for instance, stack in enumerate(stacks, start=1):
        down, across = (side * stack.cell for side in source.spacing)
        values = np.nan_to_num(stack.values, nan=NOT_SCORED).transpose(1, 2, 0)[None]
        made = highdicom.pm.ParametricMap(
            source_images=[source.image],
            pixel_array=np.ascontiguousarray(values, dtype=np.float32),
            series_instance_uid=series,
            series_number=2,
            sop_instance_uid=highdicom.UID(),
            instance_number=instance,
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[
                [
                    highdicom.pm.RealWorldValueMapping(
                        lut_label=f"P{number + 1}",
                        lut_explanation=dicom_text(f"Probability of {name}"),
                        unit=codes.UCUM.NoUnits,
                        value_range=(0.0, 1.0),
                        slope=1.0,
                        intercept=0.0,
                        quantity_definition=_probability_of(number, name),
                    )
                ]
                for number, name in enumerate(stack.classes)
            ],
            voi_lut_transformations=[
                highdicom.VOILUTTransformation(window_center=0.5, window_width=1.0)
            ],
            pixel_measures=highdicom.PixelMeasuresSequence(
                pixel_spacing=(down, across), slice_thickness=0.001
            ),
            plane_positions=[
                highdicom.PlanePositionSequence(
                    highdicom.CoordinateSystemNames.SLIDE,
                    image_position=source.corner(stack),
                    pixel_matrix_position=(1, 1),
                )
            ],
            tile_pixel_array=True,
            tile_size=tuple(min(_TILE, side) for side in values.shape[1:3]),
            content_label="MAP",
            content_description=f"Heat map at {stack.name}. {_NOTICE}"[:64],
            **source.equipment,
        )
        made.FloatPixelPaddingValue = NOT_SCORED
        yield made
