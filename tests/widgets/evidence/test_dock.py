import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from napari.layers import Shapes
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_smse.datasets.crops import crop_grid
from napari_smse.errors import BankError, DamagedSlideError
from napari_smse.progress import Progress
from napari_smse.scoring import ScoreStore
from napari_smse.scoring.map_raster import MapRaster
from napari_smse.similarity.bank_file import load_bank, save_bank
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, ExemplarBank
from napari_smse.similarity.exemplar_classifier import ExemplarClassifier, class_probability
from napari_smse.similarity.leave_one_out import similar_without_own, tiles_with_own
from napari_smse.similarity.ood.reference import OodReference, fitted_appearance
from napari_smse.tiles.appearance import MEASURES
from napari_smse.widgets.click_tool import take_clicks
from napari_smse.widgets.evidence import bank_controller
from napari_smse.widgets.evidence import dock as evidence_dock
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.finetune.dock import FineTuneDock
from napari_smse.widgets.layers.tile_marker import MARKER_NAME, marked
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
    layer_with,
    layers_of_kind,
)
from napari_smse.workflows import evidence, out_of_distribution
from napari_smse.workflows.out_of_distribution import OodScores
from support.annotated_slides import write_red_slide
from support.docks import contrast
from support.exemplar_banks import made_bank, unit

pytestmark = pytest.mark.gui
MEASURE_OOD = out_of_distribution.measure_ood
CLASS_HEAD, PROTOTYPES, NEAREST = range(3)
PINK_TILE, RED_TILE, GLASS = (40, 420), (600, 420), (1200, 420)


@pytest.fixture
def problems(monkeypatch):
    """What the dock complained of."""
    texts = []
    monkeypatch.setattr(evidence_dock, "show_error", texts.append)
    return texts


@pytest.fixture
def banks(monkeypatch):
    """The bank beside the model, by default none; tiles right of x = 512 are unlike anything."""
    held = {"own": None}

    def bank_of(_model):
        if isinstance(held["own"], BankError):
            raise held["own"]
        return held["own"]

    monkeypatch.setattr(evidence, "bank_of", bank_of)

    def measure_ood(_slide, _started, tiles, bank=None):
        held["known"] = bank
        yield Progress(1, 2)
        return OodScores(np.where(tiles.places[:, 0] >= 512, 1.5, 0.5).astype(np.float32))

    monkeypatch.setattr(out_of_distribution, "measure_ood", measure_ood)
    return held


@pytest.fixture
def dock(docks, banks, problems):
    made = EvidenceDock(docks.viewer)
    docks.viewer.window.add_dock_widget(made)
    yield made
    made.close()


def quiet(dock):
    return (
        not any(task.is_running for task in dock._tasks)
        and not dock.colour_by.colouring._adding.isActive()
    )


def scored(docks, dock, *mpps):
    scales = docks.score.form.scales
    for row in range(scales.count()):
        ticked = scales.item(row).data(Qt.ItemDataRole.UserRole) in (mpps or (0.5,))
        scales.item(row).setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
    docks.score.panel.run.click()
    docks.until(lambda: not docks.score.scoring.is_running)
    docks.until(lambda: not docks.score.live._adding.isActive())
    dock.refresh()
    docks.until(lambda: dock.read is not None and quiet(dock))


def click(docks, dock, place):
    x, y = place
    dock.pointer.picker.pick(((y - 0.5) * 0.5, (x - 0.5) * 0.5))
    docks.until(lambda: quiet(dock))


def add(docks, dock):
    docks.draw_both()
    dock.bank.add.click()
    docks.until(lambda: quiet(dock))


def choose(docks, dock, row):
    dock.colour_by.choice.setCurrentIndex(row)
    docks.until(lambda: quiet(dock))


def row_for(bank, name):
    return int(np.flatnonzero([bank.class_name(row) == name for row in range(len(bank))])[0])


def test_the_plugin_menu_opens_the_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Evidence")
    assert isinstance(dock, EvidenceDock)
    assert "First score a slide" in dock.state.text()
    assert not dock.bank.add.isEnabled()
    assert not dock.colour_by.isEnabled()
    dock.close()


def test_what_to_do_is_said_also_when_another_dock_has_the_clicks(docks, dock):
    question = next(one for one in dock.findChildren(QLabel) if "malignant?" in one.text())
    assert "Click a tile" in question.text()
    take_clicks(docks.viewer, Other())
    assert not dock.clicks.isChecked()
    assert "Tick Click picks a tile, and click a tile" in question.text()
    dock.clicks.setChecked(True)
    assert "Click a tile" in question.text()


class Other:
    def let_go(self):
        """Do nothing."""


def test_a_click_shows_what_a_tile_is_like_and_why(docks, dock):
    scored(docks, dock)
    assert "brings no reference tiles" in dock.bank.message.text()
    add(docks, dock)
    assert "Added benign 40, malignant 40" in dock.bank.message.text()
    assert "changed: benign 40, malignant 40" in dock.bank.which.text()
    click(docks, dock, RED_TILE)
    card = dock.evidence.card
    assert card.isVisibleTo(dock)
    assert card.vote.text().startswith("All 5 most similar reference tiles are malignant")
    assert card.scales.rowCount() == 1
    assert "5 of 5 malignant" in card.scales.item(0, 2).text()
    assert card.picture.pixmap() is not None
    assert not card.picture.pixmap().isNull()
    # The model was made to call them wrong.
    assert "class head says otherwise (benign" in card.other.text()
    assert card.ood.text().startswith("Out of distribution: stain or sharpness are unlike")
    assert "Appearance: 1.50" in card.ood.toolTip()
    assert "Nearest reference tile: 0." in card.ood.toolTip()
    assert "of n = 5" in card.vote.toolTip()
    items = dock.evidence.known.list
    assert items.count() == 5
    assert all(items.item(row).text().startswith("malignant · 0.") for row in range(5))
    assert "20x · slide" in items.item(0).text()
    dock.evidence.options.choose(k=1)
    assert items.count() == 1
    assert card.vote.text().startswith("The most similar reference tile is malignant")
    click(docks, dock, PINK_TILE)
    assert "reference tile is benign" in card.vote.text()
    assert card.ood.text().startswith("Known by its looks")
    assert "Appearance: 0.50" in card.ood.toolTip()


def test_a_model_without_embeddings_is_told_in_the_dock_alone(docks, dock, model, problems):
    """Nobody pressed anything: a notification would come out of the blue."""
    model.card = model.card.model_copy(update={"has_embedding": False})
    docks.run_score()
    dock.refresh()
    docks.until(lambda: "no embeddings" in dock.state.text())
    assert not problems


def test_what_is_far_from_all_reference_tiles_is_not_called_known(docks, dock, banks):
    scored(docks, dock)
    banks["own"] = far_bank(dock.read)
    follow_anew(docks, dock)
    click(docks, dock, PINK_TILE)
    card = dock.evidence.card
    assert dock.read.near_limit < dock.evidence.found[0].evidence.distance
    assert card.ood.text().startswith("Unfamiliar: ")
    click(docks, dock, RED_TILE)
    assert card.ood.text().startswith("Out of distribution: ")
    assert "no reference tile is near" in card.ood.text()


def far_bank(read):
    """Exemplars of two cases, all alike, opposite to every tile of the slide."""
    towards = -read.tiles.embeddings.mean(axis=0)
    points = towards + np.random.default_rng(0).normal(scale=1e-3, size=(40, len(towards)))
    bank = made_bank(40, dim=len(towards), cases=2)
    return replace(
        bank, embeddings=unit(points), model=read.model, slides=("",) * 40, thumbnails=None
    )


def test_the_tile_that_is_explained_is_outlined(docks, dock):
    scored(docks, dock)
    zoom = docks.viewer.scene.camera.zoom
    for place in (RED_TILE, PINK_TILE):
        click(docks, dock, place)
        region = dock.read.tiles.region(dock.evidence.found[0].row)
        top_left, bottom_right = marked(docks.viewer)
        # Half a pixel, as a layer lies about the middle of its first one.
        assert top_left == pytest.approx(((region.y - 0.5) * 0.5, (region.x - 0.5) * 0.5))
        assert bottom_right - top_left == pytest.approx((region.height * 0.5, region.width * 0.5))
    assert len(layers_of_kind(docks.viewer, LayerKind.OUTLINE)) == 1
    # The view stays where it is, and so does the layer that is worked on.
    assert docks.viewer.scene.camera.zoom == zoom


def test_a_reference_tile_is_no_evidence_for_itself(docks, dock):
    scored(docks, dock)
    add(docks, dock)
    click(docks, dock, (600, 100))
    card, found = dock.evidence.card, dock.evidence.found[0].evidence
    assert found.own == ("malignant",)
    assert "Its own tissue is a reference tile (malignant)" in card.own.text()
    region = dock.read.tiles.region(dock.evidence.found[0].row)
    bank = dock.known.bank
    rows = [neighbour.row for neighbour in found.nearest]
    assert region not in [bank.region(row) for row in rows]
    assert region in [bank.region(row) for row in range(len(bank))]
    # Beside what was drawn, nothing is left out.
    click(docks, dock, RED_TILE)
    assert card.own.isHidden()


@pytest.fixture
def public(tmp_path):
    """A folder with images named as BreakHis' are, each unlike the others."""
    folder = tmp_path / "public"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("SOB_B_A-14-101-100-001", "SOB_M_DC-14-202-100-001"):
        coarse = rng.integers(40, 255, (12, 18, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((700, 460), Image.Resampling.NEAREST)
        picture.save(folder / f"{name}.png")
    return folder


def learnt_from(folder, model):
    """The tiles of these images, as a model embeds them."""
    paths = sorted(folder.iterdir())
    tiles = [
        np.stack(crop_grid(Image.open(path).convert("RGB"), 0.197, 0.5, model.card.tile_px))
        for path in paths
    ]
    with torch.inference_mode():
        embeddings = [
            model.network(torch.from_numpy(some).permute(0, 3, 1, 2)).embedding.numpy()
            for some in tiles
        ]
    numbers = [len(some) for some in tiles]
    cases = np.repeat(["breakhis 101", "breakhis 202"], numbers).tolist()
    return ExemplarBank(
        np.concatenate(embeddings),
        np.repeat([0, 1], numbers).astype(np.int64),
        np.full(sum(numbers), 0.5, np.float32),
        ("benign", "malignant"),
        tuple(cases),
        ("breakhis",) * sum(numbers),
        model.card.weights_sha256,
    )


def follow_anew(docks, dock):
    dock.read = None
    dock.refresh()
    docks.until(lambda: dock.read is not None and quiet(dock))
    # What slides of the model share by now is the bank that it brought before.
    dock.desk.take_own()


def test_pictures_are_found_shown_and_there_at_the_next_start(
    docks, dock, banks, public, monkeypatch, model
):
    scored(docks, dock)
    assert not dock.bank.pictures.isEnabled()
    banks["own"] = bank = learnt_from(public, model)
    follow_anew(docks, dock)
    click(docks, dock, PINK_TILE)
    items = dock.evidence.known.list

    def is_pictured(row):
        return items.item(row).icon().availableSizes()[0].width() > 20

    assert not any(is_pictured(row) for row in range(items.count()))
    monkeypatch.setattr(bank_controller.QFileDialog, "getExistingDirectory", lambda *_: str(public))
    dock.bank.pictures.click()
    assert dock.bank.pictures.text().startswith("Stop (")
    assert not dock.bank.add.isEnabled()
    docks.until(lambda: quiet(dock))
    assert dock.bank.message.text() == f"Found {len(bank)} of {len(bank)} pictures."
    assert dock.bank.pictures.text() == "Find pictures …"
    assert not dock.bank.pictures.isEnabled()
    assert dock.bank.add.isEnabled()
    assert all(is_pictured(row) for row in range(items.count()))
    assert dock.known.own
    # The model's own bank has none; the cache has.
    follow_anew(docks, dock)
    assert banks["own"].thumbnails is None
    assert dock.known.bank.thumbnail(0) is not None


def test_why_there_is_no_picture_is_told(docks, dock, banks, public, problems, tmp_path, model):
    scored(docks, dock)
    banks["own"] = bank = learnt_from(public, model)
    follow_anew(docks, dock)
    dock.desk.find_pictures_in(tmp_path / "public" / "no such folder")
    docks.until(lambda: quiet(dock))
    assert "holds no image of the cases" in problems[-1]
    assert dock.bank.pictures.text() == "Find pictures …"
    next(iter(public.glob("SOB_B*"))).unlink()
    dock.desk.find_pictures_in(public)
    docks.until(lambda: quiet(dock))
    benign = bank.cases.count("breakhis 101")
    assert dock.bank.message.text() == (
        f"Found {len(bank) - benign} of {len(bank)} pictures. The others: {benign}: no image of "
        "their case is in the folder."
    )
    assert dock.bank.pictures.isEnabled()


def test_known_tiles_are_flown_to_if_their_slide_is_open(docks, dock):
    scored(docks, dock)
    add(docks, dock)
    click(docks, dock, RED_TILE)
    items = dock.evidence.known.list
    items.setCurrentRow(0)
    items.itemClicked.emit(items.item(0))
    region = dock.known.bank.region(dock.evidence.known.chosen)
    centre = (region.y + region.height / 2 - 0.5) * 0.5, (region.x + region.width / 2 - 0.5) * 0.5
    assert docks.viewer.scene.camera.center[-2:] == pytest.approx(centre)
    assert MARKER_NAME in docks.viewer.layers
    docks.viewer.layers.remove(MARKER_NAME)
    object.__setattr__(dock.known.bank, "slides", ("gone",) * len(dock.known.bank))
    items.itemClicked.emit(items.item(0))
    assert "which is not open" in dock.state.text()
    object.__setattr__(dock.known.bank, "slides", ("",) * len(dock.known.bank))
    items.itemClicked.emit(items.item(0))
    assert "there is no slide to show it on" in dock.state.text()
    assert MARKER_NAME not in docks.viewer.layers


def test_maps_follow_the_bank_and_the_class_head_comes_back(docks, dock):
    scored(docks, dock)
    own = docks.map_of("malignant")
    add(docks, dock)
    np.testing.assert_array_equal(docks.map_of("malignant"), own)
    for row, way in ((PROTOTYPES, "prototypes"), (NEAREST, "nearest")):
        choose(docks, dock, row)
        read, known = dock.read, dock.known
        _, scoring = read._scorings[way]
        wanted = ExemplarClassifier(
            read.tiles.embeddings, known.bank, way, scoring.temperature
        ).probability()
        # Reference tiles of this slide are scored without themselves.
        own_tiles = tiles_with_own(known.bank, read.slide.quick_hash, read.tiles.places)
        assert len(own_tiles) >= 80
        similar = similar_without_own(read.tiles.embeddings, known.bank, own_tiles, way)
        wanted[list(own_tiles)] = class_probability(similar, scoring.temperature)
        number = known.bank.classes.index("malignant")
        heat_map = read.tiles.heat_map(wanted[:, number], 0)
        drawn = MapRaster(heat_map, read.run.plan.mask).draw(heat_map)
        np.testing.assert_allclose(docks.map_of("malignant"), drawn, rtol=1e-3)
    shown = [one for one in layers_of_kind(docks.viewer, LayerKind.HEAT_MAP) if one.visible]
    assert [one.name for one in shown] == [
        "P(malignant) 20x by nearest reference tile of mini 1 · slide"
    ]
    assert "malignant" in docks.score.controls.which.currentText()
    told = docks.score.live.cursor.describe((16.0, 16.0))
    assert f"P(malignant) {docks.map_of('malignant')[1, 1]:.2f}" in told
    # In the probabilities, as what is surely malignant has the same colour before and after.
    before = docks.score.live.layers.maps.scores()[0].probability.copy()
    click(docks, dock, RED_TILE)
    dock.evidence.known.list.setCurrentRow(0)
    dock.bank.remove.click()
    docks.until(lambda: quiet(dock))
    assert "malignant 39" in dock.bank.which.text()
    after = docks.score.live.layers.maps.scores()[0].probability
    assert not np.array_equal(after, before, equal_nan=True)
    choose(docks, dock, CLASS_HEAD)
    np.testing.assert_allclose(docks.map_of("malignant"), own, atol=1e-6)
    assert not any("reference tile" in one.name for one in docks.viewer.layers)


def test_a_bank_is_saved_loaded_and_reset(docks, dock, tmp_path, problems):
    scored(docks, dock)
    assert not dock.bank.save.isEnabled()
    dock.bank.keep_pictures.setChecked(True)
    add(docks, dock)
    path = tmp_path / "mine.safetensors"
    dock.desk.save_to(path)
    docks.until(lambda: quiet(dock))
    assert f"Saved 80 reference tiles to {path}" in dock.bank.message.text()
    saved = load_bank(path)
    assert saved.thumbnails.shape == (80, THUMBNAIL_PX, THUMBNAIL_PX, 3)
    red = saved.thumbnail(row_for(saved, "malignant")).mean(axis=(0, 1))
    np.testing.assert_allclose(red, (200, 60, 120), atol=4)
    dock.bank.reset.click()
    docks.until(lambda: quiet(dock))
    assert "no reference tile" in dock.bank.which.text()
    assert not dock.bank.reset.isEnabled()
    files = session_of(docks.viewer).bank_files
    assert not files
    dock.desk.load_from(path)
    docks.until(lambda: quiet(dock))
    assert dock.bank.which.text() == "mine: benign 40, malignant 40"
    # A dock that is opened later, as with a session, takes the same file.
    assert [*files.values()] == [path]
    later = EvidenceDock(docks.viewer)
    docks.until(lambda: later.read is not None and quiet(later))
    assert later.bank.which.text() == "mine: benign 40, malignant 40"
    later.close()
    click(docks, dock, RED_TILE)
    assert "malignant" in dock.evidence.card.vote.text()
    dock.desk.save_to(tmp_path / "missing" / "mine.safetensors")
    docks.until(lambda: quiet(dock))
    assert "cannot be written" in problems[-1]


def test_what_known_tiles_say_becomes_a_model(docks, dock):
    scored(docks, dock)
    assert not dock.bank.learn.isEnabled()
    add(docks, dock)
    own = docks.map_of("malignant")
    choose(docks, dock, NEAREST)
    names = {one.name for one in docks.viewer.layers if is_of_kind(one, LayerKind.HEAT_MAP)}
    assert all("by nearest reference tile" in one for one in names)
    dock.bank.learn.click()
    tune = docks.tune
    assert tune.form.known.isVisibleTo(tune)
    assert tune.form.known.text() == "Also learn from reference tiles: benign 40, malignant 40"
    # What was drawn may go; its tiles are known.
    layer = next(one for one in docks.viewer.layers if isinstance(one, Shapes))
    docks.viewer.layers.remove(layer)
    tune.show_slides()
    assert "1 slide, nothing drawn; 80 reference tiles" in tune.panel.count.text()
    tune.form.known.setChecked(False)
    assert "First score a slide" in tune.panel.count.text()
    tune.form.known.setChecked(True)
    tune.form.choose(steps=400)
    docks.finetune()
    assert tune.result is not None, tune.panel.problem.text()
    assert len(tune.result.tuning.labelled_set.images) == 80
    assert contrast(own) < 0
    assert contrast(docks.map_of("malignant")) > 0.1
    # They are no longer by reference tiles, and say so.
    names = {one.name for one in docks.viewer.layers if is_of_kind(one, LayerKind.HEAT_MAP)}
    assert len(names) == 1
    assert "reference tile" not in names.pop()
    tune.outcome.roll_back()
    np.testing.assert_array_equal(docks.map_of("malignant"), own)


def test_slides_of_another_model_do_not_hinder_learning_from_known_tiles(docks, dock):
    scored(docks, dock)
    add(docks, dock)
    dock.bank.learn.click()
    other = replace(docks.tune.form.bank, model="b" * 64)
    session_of(docks.viewer).exemplars_offered.emit(other)
    # What is drawn is of the model that scored the slide; the job says that they differ.
    assert [one.slide.name for one in docks.tune._slides()] == ["slide"]
    layer = next(one for one in docks.viewer.layers if isinstance(one, Shapes))
    docks.viewer.layers.remove(layer)
    assert docks.tune._slides() == []


def test_the_fine_tune_dock_is_opened_if_need_be(docks, dock):
    scored(docks, dock)
    add(docks, dock)
    docks.viewer.window.remove_dock_widget(docks.tune)
    docks.until(lambda: dock.window().findChild(FineTuneDock) is None)
    dock.bank.learn.click()
    tune = dock.window().findChild(FineTuneDock)
    assert tune.form.bank is not None
    assert len(tune.form.bank) == 80
    tune.close()


def test_a_bank_of_another_model_is_refused_naming_both(docks, dock, tmp_path, model, problems):
    scored(docks, dock)
    add(docks, dock)
    save_bank(made_bank(5), tmp_path / "other.safetensors")
    dock.desk.load_from(tmp_path / "other.safetensors")
    docks.until(lambda: quiet(dock))
    assert "aaaaaaaaaaaa" in problems[-1]
    assert f"{model.card.name} ({model.card.weights_sha256[:12]})" in dock.state.text()
    assert "benign 40, malignant 40" in dock.bank.which.text()
    (tmp_path / "nothing.safetensors").write_bytes(b"nothing")
    dock.desk.load_from(tmp_path / "nothing.safetensors")
    docks.until(lambda: quiet(dock))
    assert "holds no exemplars" in problems[-1]


def test_a_damaged_bank_beside_the_model_is_told_and_the_dock_goes_on(docks, dock, banks):
    banks["own"] = BankError("mini.exemplars.safetensors is damaged: save the bank again.")
    scored(docks, dock)
    assert "is damaged" in dock.bank.message.text()
    add(docks, dock)
    click(docks, dock, RED_TILE)
    assert "malignant" in dock.evidence.card.vote.text()


def test_without_known_tiles_nothing_is_coloured_and_it_is_said(docks, dock, problems):
    scored(docks, dock)
    own = docks.map_of("malignant")
    click(docks, dock, RED_TILE)
    assert "no reference tile" in dock.evidence.card.vote.text()
    choose(docks, dock, PROTOTYPES)
    assert "holds no reference tile" in problems[-1]
    assert dock.colour_by.choice.currentIndex() == CLASS_HEAD
    np.testing.assert_array_equal(docks.map_of("malignant"), own)
    dock.bank.add.click()
    docks.until(lambda: quiet(dock))
    assert "draw regions" in problems[-1]
    add(docks, dock)
    choose(docks, dock, NEAREST)
    assert not np.allclose(docks.map_of("malignant"), own, equal_nan=True)
    dock.bank.reset.click()
    docks.until(lambda: quiet(dock))
    assert dock.colour_by.choice.currentIndex() == CLASS_HEAD
    np.testing.assert_allclose(docks.map_of("malignant"), own, atol=1e-6)


def test_what_is_unlike_anything_known_is_told_and_hatched(docks, dock):
    assert dock.overlays.banner.isHidden()
    scored(docks, dock)
    assert dock.overlays.banner.isVisibleTo(dock)
    told = dock.overlays.banner.text()
    assert told.startswith("50 % of the tissue is unlike anything this model was trained on (95 %")
    assert told.endswith(f"n = {len(dock.read.tiles)} tiles at 20x).")
    controls = docks.score.controls
    assert "50 % (95 % interval" in controls.banner.text()
    (layer,) = (
        one for one in docks.viewer.layers if is_of_kind(one, LayerKind.OUT_OF_DISTRIBUTION)
    )
    assert docks.viewer.layers[-1] is layer
    grey, malignant = layer.data > 0, docks.map_of("malignant")
    assert grey.shape == malignant.shape
    assert not grey[:, : grey.shape[1] // 3 - 8].any()
    right = np.isfinite(malignant) & (np.arange(grey.shape[1]) > 0.55 * grey.shape[1])
    assert grey[right].all()
    controls.out_of_distribution.setChecked(False)
    assert not any(is_of_kind(one, LayerKind.OUT_OF_DISTRIBUTION) for one in docks.viewer.layers)


def test_tiles_that_are_added_are_no_longer_unlike_anything(docks, dock, monkeypatch, tmp_path):
    elsewhere = np.random.default_rng(0).normal(50, 0.1, (200, len(MEASURES)))
    known = OodReference(model="m", looks=(fitted_appearance("elsewhere", 0.5, elsewhere, 6.0),))
    monkeypatch.setattr(out_of_distribution, "load_ood_reference", lambda _model, _sha: known)
    monkeypatch.setattr(out_of_distribution, "measure_ood", MEASURE_OOD)
    scored(docks, dock)
    assert dock.overlays.banner.text().startswith("100 % of the tissue is unlike")
    click(docks, dock, RED_TILE)
    assert dock.evidence.card.ood.text().startswith("Out of distribution")
    add(docks, dock)
    share = float(dock.overlays.banner.text().split(" %")[0])
    assert share < 25
    assert "was trained on, or that was added (95 % interval" in dock.overlays.banner.text()
    assert dock.evidence.card.ood.text().startswith("Known by its looks")
    # They go with the bank to whoever gets it, and are forgotten with it.
    dock.desk.save_to(tmp_path / "mine.safetensors")
    docks.until(lambda: quiet(dock))
    dock.bank.reset.click()
    docks.until(lambda: quiet(dock))
    assert dock.overlays.banner.text().startswith("100 % of the tissue is unlike")
    dock.desk.load_from(tmp_path / "mine.safetensors")
    docks.until(lambda: quiet(dock))
    assert dock.overlays.banner.text().startswith(f"{share:.0f} %")


def test_a_slide_that_cannot_be_read_any_more_can_still_be_learnt_from(docks, dock, monkeypatch):
    scored(docks, dock)

    def gone(*_):
        raise DamagedSlideError("gone")

    monkeypatch.setattr(evidence, "appearance_of_tiles", gone)
    add(docks, dock)
    assert "Added benign 40, malignant 40" in dock.bank.message.text()
    assert np.isnan(dock.known.bank.appearances).all()


def test_a_model_that_does_not_say_what_it_knows_is_told(docks, dock, monkeypatch):
    def measure_ood(_slide, _started, tiles, bank=None):
        yield Progress(1, 1)
        return OodScores(np.full(len(tiles), np.nan, np.float32), known=False)

    monkeypatch.setattr(out_of_distribution, "measure_ood", measure_ood)
    scored(docks, dock)
    assert "does not say what its training tiles look like" in dock.overlays.banner.text()
    assert not any(is_of_kind(one, LayerKind.OUT_OF_DISTRIBUTION) for one in docks.viewer.layers)


def test_scales_and_where_they_agree(docks, dock):
    scored(docks, dock)
    assert not dock.overlays.agreement.isEnabled()
    scored(docks, dock, 0.5, 1.0)
    assert dock.overlays.agreement.isEnabled()
    add(docks, dock)
    click(docks, dock, RED_TILE)
    card = dock.evidence.card
    assert card.scales.rowCount() == 2
    first = dock.evidence.found[0].evidence.nearest
    card.scales.selectRow(1)
    docks.until(lambda: quiet(dock))
    assert dock.evidence.found[1].evidence.nearest != first
    dock.evidence.options.choose(similar_scale=True)
    assert {one.mpp for one in dock.evidence.found[1].evidence.nearest} == {1.0}
    assert card.scales.currentRow() == 1
    dock.overlays.agreement.setChecked(True)
    docks.until(lambda: quiet(dock))
    found = layers_of_kind(docks.viewer, LayerKind.AGREEMENT)
    assert [one.visible for one in found] == [False, True]
    assert set(np.unique(found[1].data[np.isfinite(found[1].data)])) <= {0.0, 1.0}
    assert "The scales call the same class at" in dock.overlays.legend.text()
    dock.overlays.agreement.setChecked(False)
    assert not any(is_of_kind(one, LayerKind.AGREEMENT) for one in docks.viewer.layers)


def test_the_mouse_is_followed_on_request(docks, dock):
    scored(docks, dock)
    add(docks, dock)
    number = len(docks.viewer.mouse_move_callbacks)
    dock.hovers.setChecked(True)
    (hover,) = docks.viewer.mouse_move_callbacks[number:]

    def move(place):
        x, y = place
        event = types.SimpleNamespace(position=((y - 0.5) * 0.5, (x - 0.5) * 0.5))
        hover(docks.viewer, event)

    move(RED_TILE)
    docks.until(lambda: dock.evidence.card.isVisibleTo(dock))
    assert "malignant" in dock.evidence.card.vote.text()
    move(GLASS)
    docks.until(lambda: not dock.pointer._timer.isActive())
    assert "malignant" in dock.evidence.card.vote.text()
    move(PINK_TILE)
    docks.until(lambda: "benign" in dock.evidence.card.vote.text())
    dock.hovers.setChecked(False)
    assert len(docks.viewer.mouse_move_callbacks) == number


def test_a_click_beside_the_tissue_says_what_to_do(docks, dock):
    click(docks, dock, RED_TILE)
    assert "score the slide first" in dock.state.text()
    scored(docks, dock)
    click(docks, dock, GLASS)
    assert dock.state.text()
    assert dock.evidence.card.isHidden()
    drags = len(docks.viewer.mouse_drag_callbacks)
    dock.clicks.setChecked(False)
    assert len(docks.viewer.mouse_drag_callbacks) == drags - 1


def test_two_slides_of_a_model_share_its_bank(docks, dock, tmp_path):
    scored(docks, dock)
    add(docks, dock)
    choose(docks, dock, PROTOTYPES)
    docks.viewer.open(write_red_slide(tmp_path, "second", 1), plugin="napari-smse")
    docks.score.form.slide.setCurrentIndex(docks.score.form.slide.findText("second"))
    docks.until(lambda: "to score:" in docks.score.panel.count.text())
    scored(docks, dock)
    assert dock.slides.count() == 2
    docks.until(lambda: quiet(dock) and dock.read.slide.name == "second")
    assert "malignant 40" in dock.bank.which.text()
    assert dock.colour_by.choice.currentIndex() == CLASS_HEAD
    # By the eye in napari's list of layers, too.
    docks.viewer.layers["slide"].visible = True
    docks.until(lambda: quiet(dock) and dock.read is not None)
    click(docks, dock, RED_TILE)
    assert dock.slides.currentText() == "slide"
    assert "malignant" in dock.evidence.card.vote.text()
    assert dock.colour_by.choice.currentIndex() == PROTOTYPES
    docks.viewer.layers.remove("slide")
    docks.until(lambda: quiet(dock) and dock.read is not None)
    assert dock.slides.currentText() == "second"
    docks.viewer.layers.remove("second")
    assert dock.read is None
    assert not dock.bank.add.isEnabled()
    assert "First score a slide" in dock.state.text()


@pytest.mark.parametrize("by_click", [True, False])
def test_a_run_that_did_not_end_is_followed_when_it_is_stopped_or_asked(
    docks, dock, monkeypatch, by_click
):
    scored(docks, dock)
    session, layer = session_of(docks.viewer), dock.slides.layer
    run = session.run_of(layer)
    monkeypatch.setattr(ScoreStore, "finished", property(lambda _store: False))
    session.set_scoring(layer)
    other = run.card.model_copy(update={"name": "other"})
    session.set_run(layer, replace(run, card=other))
    docks.until(lambda: quiet(dock))
    assert dock.model.text() == "Model: mini 1"  # nothing competes with the run
    if by_click:
        click(docks, dock, PINK_TILE)
    else:
        session.set_scoring(None)
        session.run_changed.emit(layer)
        docks.until(lambda: quiet(dock))
    assert dock.model.text() == "Model: other 1"
    session.set_scoring(None)


def test_a_new_run_takes_the_maps_over(docks, dock, problems):
    scored(docks, dock)
    own = docks.map_of("malignant")
    add(docks, dock)
    choose(docks, dock, PROTOTYPES)
    docks.score.form.again.setChecked(True)
    scored(docks, dock)
    assert dock.colour_by.choice.currentIndex() == CLASS_HEAD
    np.testing.assert_allclose(docks.map_of("malignant"), own, atol=1e-5)
    docks.score.panel.run.click()
    assert docks.score.scoring.is_running
    dock.colour_by.choice.setCurrentIndex(PROTOTYPES)
    assert "is being scored" in problems[-1]
    assert dock.colour_by.choice.currentIndex() == CLASS_HEAD
    docks.until(lambda: not docks.score.scoring.is_running)


def test_closing_while_it_works_leaves_nothing_behind(docks, banks, problems):
    dock = EvidenceDock(docks.viewer)
    docks.viewer.window.add_dock_widget(dock)
    scored(docks, dock)
    add(docks, dock)
    before = len(docks.viewer.mouse_drag_callbacks)
    dock.hovers.setChecked(True)
    dock.colour_by.choice.setCurrentIndex(NEAREST)
    dock.close()
    assert not any(task.is_running for task in dock._tasks)
    assert len(docks.viewer.mouse_drag_callbacks) == before - 1
    slide = layer_with(docks.viewer, dock.read.slide.quick_hash)
    docks.viewer.layers.remove(slide)
    assert problems == []
