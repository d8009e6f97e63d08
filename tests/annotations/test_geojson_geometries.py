"""Walking through GeoJSON in all its forms, and what of it has no area."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, MultiPoint, MultiPolygon, Point, box
from shapely.geometry import mapping

from napari_smse.annotations.geojson_geometries import (
    count_without_area,
    geometries,
    load_geojson,
    parse_area,
)
from napari_smse.errors import RegionError

AREAS = (box(0, 0, 10, 10), MultiPolygon([box(20, 0, 30, 10), box(40, 0, 50, 10)]))
OTHERS = (Point(1, 2), MultiPoint([(1, 2), (3, 4)]), LineString([(0, 0), (9, 9)]))


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """GeoJSON around GeoJSON, as programs write it."""
    several = st.lists(inner, max_size=4)
    return st.one_of(several, several.map(_as_features))


def _as_features(parts: list[Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": parts}


def _as_feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"name": "x"}, "geometry": geometry}


def _as_collection(geometry: Any) -> dict[str, Any]:
    return {"type": "GeometryCollection", "geometries": [geometry]}


bare = st.sampled_from([*AREAS, *OTHERS]).map(mapping)
features = st.one_of(bare, bare.map(_as_feature), bare.map(_as_collection).map(_as_feature))
documents = st.recursive(features, _nested, max_leaves=12)


def _kinds(node: Any) -> list[str]:
    """The types of all geometries, found without knowing how they are nested."""
    if isinstance(node, dict) and "coordinates" in node:
        return [node["type"]]
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [kind for part in inner for kind in _kinds(part)]


@given(documents)
def test_every_geometry_is_found_or_counted_as_without_area(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    path = tmp_path_factory.mktemp("geojson") / "drawn.geojson"
    path.write_text(json.dumps(document))
    kinds = _kinds(json.loads(path.read_text()))
    areas = [kind for kind in kinds if kind.endswith("Polygon")]
    found = [geometry["type"] for _, geometry in geometries(load_geojson(path), path)]
    assert found == areas
    assert count_without_area(path) == len(kinds) - len(areas)


def test_a_geometry_comes_with_its_feature() -> None:
    feature = _as_feature(_as_collection(mapping(AREAS[0])))
    ((owner, geometry),) = geometries([feature], Path("drawn.geojson"))
    assert owner is feature
    assert parse_area(geometry, Path("drawn.geojson")).equals(AREAS[0])
    ((owner, _),) = geometries(mapping(AREAS[0]), Path("drawn.geojson"))
    assert owner == {}


@pytest.mark.parametrize("node", [None, 3, {}, {"type": "Topology"}, {"type": "FeatureCollection"}])
def test_what_is_no_geojson_is_named(node: Any) -> None:
    with pytest.raises(RegionError, match=r"drawn\.geojson is not GeoJSON"):
        list(geometries(node, Path("drawn.geojson")))
