"""Scores of any program dropped on a slide are maps and points, and features are its run."""

import numpy as np
import pytest
import shapely

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.widgets import tile_files
from napari_smse.widgets.embedding_map.dock import EmbeddingMapDock
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.finetune.dock import FineTuneDock
from napari_smse.widgets.hit_annotations import add_annotations
from napari_smse.widgets.layers.example_layer import Side
from napari_smse.widgets.saved_session.session_files import session_files
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.session import session_of
from napari_smse.widgets.similar.dock import SimilarDock
from napari_smse.widgets.slide_layers import LayerKind, LayerMark, layers_of_kind, slide_of
from napari_smse.widgets.suggest.dock import SuggestDock
from napari_smse.widgets.tile_files import feature_files, get_reader
from napari_smse.workflows import score_slide
from support.feature_files import mean_colours, write_features
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui

ROWS = [(0, 0, 0.25, 7), (200, 0, 0.5, 8), (200, 200, 1.0, 9)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "attention.csv"
    lines = ["x,y,tile_size,attention,rank", *(f"{x},{y},200,{a},{r}" for x, y, a, r in ROWS)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_column_is_a_map_over_the_tissue(viewer, slide_path, table):
    (slide_layer,) = viewer.open(str(slide_path), plugin="napari-smse")
    maps = viewer.open(str(table), plugin="napari-smse")
    attention, rank, points = maps
    mpp = slide_of(slide_layer).mpp
    for x, y, value, number in ROWS:
        # The middle of the tile, as the viewer has it; pixel 0 is centred on 0.
        world = (np.array([y, x]) + 100 - 0.5) * mpp
        cell = tuple(np.rint(attention.world_to_data(world)).astype(int))
        assert (attention.data[cell], rank.data[cell]) == (pytest.approx(value), number)
    assert tuple(attention.contrast_limits) == (0, 1)
    assert tuple(rank.contrast_limits) == (7, 9)
    assert [layer.visible for layer in maps] == [False, True, False]
    np.testing.assert_allclose(points.data[0], (99.5, 99.5))
    np.testing.assert_allclose(points.features["attention"], [row[2] for row in ROWS])


def test_they_are_seen_with_their_own_slide_alone(viewer, slide_path, table, tmp_path):
    other = tmp_path / "other.tif"
    write_pyramid_tiff(other, np.full((900, 900, 3), 220, np.uint8), mpp=0.25)
    (first,) = viewer.open(str(slide_path), plugin="napari-smse")
    shown = viewer.open(str(table), plugin="napari-smse")[1]
    (second,) = viewer.open(str(other), plugin="napari-smse")
    session = session_of(viewer)
    session.choose(second)
    assert not shown.visible
    session.choose(first)
    assert shown.visible


@pytest.mark.parametrize(
    "kind", [LayerKind.HEAT_MAP, LayerKind.CONTOURS, LayerKind.EXPORTED_MAP, LayerKind.SIMILARITY]
)
def test_other_maps_of_the_slide_make_room(viewer, slide_path, table, kind):
    (slide_layer,) = viewer.open(str(slide_path), plugin="napari-smse")
    slide = slide_of(slide_layer).quick_hash
    own, elsewhere = (
        viewer.add_image(np.ones((4, 4)), metadata=LayerMark(kind, of).metadata)
        for of in (slide, "of another slide")
    )
    viewer.open(str(table), plugin="napari-smse")
    session = session_of(viewer)
    assert not session.is_shown(own)
    assert session.is_shown(elsewhere)


def test_a_table_of_something_else_is_told_and_nothing_is_shown(viewer, slide_path, tmp_path):
    viewer.open(str(slide_path), plugin="napari-smse")
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(Exception, match="no columns x and y"):
        viewer.open(str(path), plugin="napari-smse")
    assert len(viewer.layers) == 1


def test_without_a_slide_it_is_left_to_others(viewer, table):
    assert get_reader(str(table)) is None


def test_regions_that_somebody_drew_are_left_to_the_annotate_dock(viewer, slide_path, tmp_path):
    viewer.open(str(slide_path), plugin="napari-smse")
    ring = "[[0,0],[9,0],[9,9],[0,0]]"
    path = tmp_path / "drawn.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": '
        f'{{"type": "Polygon", "coordinates": [{ring}]}}, "properties": '
        '{"objectType": "annotation", "classification": {"name": "a"}}}]}'
    )
    assert get_reader(str(path)) is None


EDGE = 64
RED = shapely.box(512, 256, 640, 384)


class Dropped:
    """A slide, on which a file of features is dropped."""

    def __init__(self, viewer, slide_path, tmp_path, until):
        self.viewer, self.until, self.messages = viewer, until, []
        (self.layer,) = viewer.open(str(slide_path), plugin="napari-smse")
        self.session, self.slide = session_of(viewer), slide_of(self.layer)
        self.corners, self.features = mean_colours(self.slide, EDGE)
        self.path = tmp_path / "features_colour" / "slide.h5"

    def write(self, **others):
        return write_features(self.path, self.corners, self.features, EDGE, **others)

    def drop(self, path):
        made = self.viewer.open(str(path), plugin="napari-smse")
        runs = feature_files(self.viewer).runs
        self.until(lambda: not runs.task.is_running and not runs.is_adding)
        return made

    @property
    def run(self):
        return self.session.run_of(self.layer)


@pytest.fixture
def dropped(viewer, slide_path, tmp_path, until, monkeypatch):
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    made = Dropped(viewer, slide_path, tmp_path, until)
    for kind in ("show_error", "show_info"):
        monkeypatch.setattr(tile_files, kind, made.messages.append)
    return made


@pytest.fixture
def opened(dropped):
    """Opens docks beside the slide, and closes them."""
    made = []

    def opening(kind):
        made.append(kind(dropped.viewer))
        dropped.viewer.window.add_dock_widget(made[-1], name=kind.__name__)
        return made[-1]

    yield opening
    for dock in made:
        dock.close()


def test_features_become_the_run_of_the_slide(dropped):
    assert dropped.drop(dropped.write()) == []
    assert dropped.run.card.label == "colour features"
    assert dropped.messages[-1] == (
        "340 tiles of slide with 3 features by colour: use Find similar, Embedding map, Annotate "
        "next or Fine-tune."
    )
    assert not layers_of_kind(dropped.viewer, LayerKind.HEAT_MAP)


def test_similar_tiles_are_found_by_features(dropped, opened):
    dropped.drop(dropped.write())
    dock = opened(SimilarDock)
    dock.panel.buttons[Side.LIKE].draw.click()
    corners = np.array([(256, 512), (256, 576), (320, 576), (320, 512)]) - 0.5
    dock.examples.layers[Side.LIKE].layer.add(corners, shape_type="polygon")
    dropped.until(lambda: not dock._soon.isActive() and not dock.searching.is_running)
    found = dock.searched.found
    # The first tile of the red square; the three others, and none else, are the same as it.
    same = np.flatnonzero(found.hits(1e-3))
    corners = zip(found.tiles.x[same].tolist(), found.tiles.y[same].tolist(), strict=True)
    assert set(corners) == {(512, 256), (576, 256), (512, 320), (576, 320)}
    assert "compared by colour" in dock.panel.hits.text()


def test_groups_of_tiles_are_laid_out_by_features(dropped, opened):
    dropped.drop(dropped.write())
    dock = opened(EmbeddingMapDock)
    dropped.until(lambda: dock.space is not None and not dock.mapping.is_running)
    assert len(dock.space) == len(dropped.corners)


def test_tiles_are_asked_for_by_features(dropped, opened):
    dropped.drop(dropped.write())
    dock = opened(SuggestDock)
    dock.queue.count.value = 4
    dock.queue.find.click()
    dropped.until(lambda: not dock.finding.is_running)
    assert len(dock.queue.tiles) == 4


def test_docks_without_an_answer_say_why(dropped, opened, tmp_path):
    score = opened(ScoreDock)
    evidence = opened(EvidenceDock)
    finetune = opened(FineTuneDock)
    dropped.drop(dropped.write())
    drawn = [Annotation("red", RED), Annotation("pink", shapely.box(0, 0, 200, 200))]
    add_annotations(dropped.viewer, dropped.layer, dropped.slide, AnnotationSet(tuple(drawn)))
    assert score.shown_run is dropped.run
    assert not score.controls.isVisibleTo(score)
    finetune.panel.run.click()
    dropped.until(lambda: finetune.panel.problem.text() != "")
    assert "colour is known here by its features alone" in finetune.panel.problem.text()
    dropped.until(lambda: not any(task.is_running for task in evidence._tasks))


def test_features_of_another_slide_are_refused_and_the_run_stays(dropped, tmp_path):
    dropped.drop(dropped.write())
    before = dropped.run
    far = write_features(tmp_path / "far.h5", [(90_000, 0)], [(1.0, 2.0)], EDGE)
    dropped.drop(far)
    assert dropped.run is before
    assert "far.h5 has tiles that do not lie on slide" in dropped.messages[-1]


def test_the_run_of_a_slide_that_is_being_scored_is_not_taken_away(dropped):
    dropped.session.set_scoring(dropped.layer)
    with pytest.raises(Exception, match="slide is being scored: wait for its end"):
        dropped.drop(dropped.write())
    assert dropped.run is None


def test_a_slide_that_began_to_be_scored_meanwhile_keeps_its_run(dropped):
    dropped.viewer.open(str(dropped.write()), plugin="napari-smse")
    dropped.session.set_scoring(dropped.layer)
    runs = feature_files(dropped.viewer).runs
    dropped.until(lambda: not runs.task.is_running)
    dropped.until(lambda: "slide is being scored by now" in dropped.messages[-1])
    assert dropped.run is None


def test_scores_beside_features_are_maps(dropped):
    attention = np.linspace(0, 1, len(dropped.corners))
    made = dropped.drop(dropped.write(attention=attention))
    assert [layer.name for layer in made] == ["attention · slide (64 px)", "tiles · slide (64 px)"]
    assert dropped.run is not None


def test_a_session_brings_features_back(dropped, make_napari_viewer, tmp_path):
    dropped.drop(dropped.write())
    path = tmp_path / "case.smse-session.json"
    session_files(dropped.viewer).save(path)
    tiles, store = dropped.run.plan.tile_count, dropped.run.store.path
    dropped.session.set_run(dropped.layer, None)
    files = session_files(dropped.viewer)
    files.open(path)
    dropped.until(lambda: not files.is_opening and not files._runs.is_adding)
    assert dropped.run is not None
    assert (dropped.run.plan.tile_count, dropped.run.store.path) == (tiles, store)
