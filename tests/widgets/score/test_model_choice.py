"""The score dock with models of other classes, scales and tiles, and with files that are none."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt

from napari_smse.models import (
    ModelCard,
    SmseCnn,
    SmseNetwork,
    load_model,
    save_model,
)
from napari_smse.widgets.layers.heat_map_layers import shown_map
from napari_smse.widgets.score import dock as score_dock
from napari_smse.widgets.slide_layers import (
    LayerKind,
    layers_of_kind,
)
from support.edited_json import edit_json
from support.slides import write_pyramid_tiff
from support.training import TRUNK

pytestmark = pytest.mark.gui

TISSUES = ("stroma", "tumour", "necrosis")
COLOURS = {"stroma": (20, 160, 30), "tumour": (250, 10, 60), "necrosis": (90, 80, 200)}


def save(path, classes=("benign", "malignant"), *, seed=0, trunk=TRUNK, **facts):
    """Save a tiny network with random weights as a model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SmseNetwork(trunk, 4, len(classes)).eval()
        # Random weights hardly tell classes apart.
        network.class_head.weight.data *= 20
    usual = {"tile_px": 64, "mpp_range": (0.2, 0.6)}
    card = ModelCard(
        name=path.name, version="1", classes=classes, trunk=trunk, embedding_dim=4, **usual | facts
    )
    return save_model(network, card, path)


@pytest.fixture
def two(tmp_path):
    return save(tmp_path / "two")


@pytest.fixture
def three(tmp_path):
    return save(tmp_path / "three", TISSUES, tile_px=96, class_colours=COLOURS)


@pytest.fixture
def run(dock, until):
    def running():
        dock.panel.run.click()
        until(lambda: not dock.scoring.is_running)
        until(lambda: not dock.live._adding.isActive())

    return running


def maps(dock):
    return layers_of_kind(dock.viewer, LayerKind.HEAT_MAP)


def mapped(dock):
    return sorted((shown_map(m).class_name, shown_map(m).scale) for m in maps(dock))


def seen(dock):
    """The maps that are seen, without the model's name."""
    return [re.sub(" by [^·]+ ·", " ·", layer.name) for layer in maps(dock) if layer.visible]


def listed(dock):
    models = dock.form.models.list
    return [models.itemText(row) for row in range(models.count())]


def scales(dock):
    return [dock.form.scales.item(row).text() for row in range(dock.form.scales.count())]


def tick(dock, *mpps):
    for row in range(dock.form.scales.count()):
        item = dock.form.scales.item(row)
        ticked = item.data(Qt.ItemDataRole.UserRole) in mpps
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)


# -- other classes -----------------------------------------------------------------------


def test_everything_shown_follows_a_model_of_other_classes(dock, pick, run, two, three):
    tick(dock, 0.25, 0.5)
    pick(two)
    assert dock.form.model_name == str(two)
    assert dock.panel.state.text() == "two is chosen: benign, malignant."
    run()
    assert seen(dock) == ["P(malignant) multi-scale mean · slide"]
    assert dock.table.tiles.headers[4:-1] == ["benign", "malignant"]
    done = dock.panel.state.text()
    assert " tiles by two " in done
    pick(three)
    # Until it is run, all that is shown is the other model's, and the dock says so.
    assert re.match(r"three is chosen: .*\. What is shown: Scored by two ", dock.panel.state.text())
    run()
    assert not dock.panel.problem.text()
    assert mapped(dock) == sorted(
        (c, s) for c in TISSUES for s in ("20x", "40x", "multi-scale mean")
    )
    assert seen(dock) == ["P(necrosis) multi-scale mean · slide"]
    # The maps are those of the new tiles, everywhere.
    for layer in maps(dock):
        name = shown_map(layer)
        shown = dock.live.layers
        drawn = shown.raster(name).draw(shown.maps.heat_map(name))
        np.testing.assert_array_equal(layer.data, drawn)
        assert layer.colormap.colors[-1, :3] == pytest.approx(
            np.array(COLOURS[name.class_name]) / 255, abs=1e-6
        )


def test_table_controls_and_status_bar_follow(dock, pick, run, two, three):
    pick(two)
    run()
    pick(three)
    run()
    assert dock.table.tiles.headers == ["Scale", "x", "y", "Tissue", *TISSUES, "Call"]
    assert dock.table.tiles.rowCount() == dock.shown_run.plan.tile_count
    column = [float(dock.table.tiles.data(dock.table.tiles.index(row, 6))) for row in range(9)]
    assert column == sorted(column, reverse=True)
    assert dock.table.tiles.tile(0).region.width == 96 * 2
    which = dock.controls.which
    names = [which.itemText(row) for row in range(which.count())]
    assert names == [f"P({name}) 20x" for name in TISSUES]
    assert which.currentText() == "P(necrosis) 20x"
    colour_icon = which.itemIcon(1).pixmap(8, 8).toImage().pixelColor(3, 3)
    assert (colour_icon.red(), colour_icon.green(), colour_icon.blue()) == COLOURS["tumour"]
    which.setCurrentIndex(1)
    assert seen(dock) == ["P(tumour) 20x · slide"]
    text = dock.live.cursor.describe((60.0, 60.0))
    assert all(f"P({name}) " in text for name in TISSUES)
    assert "benign" not in text
    dock.table.selectRow(0)
    # And back, to fewer classes: what was sorted by is no column any more.
    pick(two)
    run()
    assert dock.table.tiles.headers[4:-1] == ["benign", "malignant"]
    assert dock.table.horizontalHeader().sortIndicatorSection() == 5
    assert mapped(dock) == [("malignant", "20x")]
    assert seen(dock) == ["P(malignant) 20x · slide"]


def test_saved_files_follow(dock, pick, run, until, two, three, tmp_path):
    for model in (two, three):
        pick(model)
        run()
        dock.save_to(tmp_path / "out")
        until(lambda: "Saved" in dock.panel.state.text())
        dock.panel.state.setText("")
    folder = tmp_path / "out" / "slide"
    with (folder / "tiles.csv").open() as file:
        columns = [name for name in next(csv.reader(file)) if name.startswith("p_")]
        assert columns == [f"p_{name}" for name in TISSUES]
    record = json.loads((folder / "run.json").read_text())
    assert record["model"]["name"] == "three"
    assert record["model"]["classes"] == list(TISSUES)
    assert {one["tile_px"] for one in record["scales"]} == {96}
    features = json.loads((folder / "tiles.geojson").read_text())["features"]
    for one in features:
        found = one["properties"]["classification"]
        assert tuple(found["color"]) == COLOURS[found["name"]]


def test_what_the_user_sorts_by_stays_if_every_model_has_it(dock, pick, run, two, three):
    pick(two)
    run()
    dock.table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    pick(three)
    run()
    assert dock.table.tiles.tile(0).region.x == 0
    assert dock.table.horizontalHeader().sortIndicatorSection() == 1


# -- other scales ------------------------------------------------------------------------


@pytest.mark.shown
def test_scales_are_marked_by_the_new_card_and_a_trained_one_is_ticked(dock, pick, run, tmp_path):
    pick(save(tmp_path / "coarse", mpp_range=(0.9, 2.1)))
    assert scales(dock) == [
        "40x, 0.25 µm/px, outside the model's range",
        "20x, 0.5 µm/px, outside the model's range",
        "10x, 1 µm/px",
        "5x, 2 µm/px",
    ]
    assert dock.form.scales.ticked == (0.5, 1.0)
    assert dock.form.scale_note.isVisible()
    assert dock.form.scale_note.text().startswith("10x, 1 µm/px was ticked")
    tick(dock, 2.0)
    pick(save(tmp_path / "coarser", mpp_range=(1.0, 2.0), seed=1))
    assert dock.form.scales.ticked == (2.0,)
    assert not dock.form.scale_note.isVisible()
    run()
    assert not dock.panel.problem.text()
    assert not dock.panel.warning.text()


def test_a_scale_that_no_box_stands_for_is_added(dock, pick, tmp_path, until):
    pick(save(tmp_path / "odd", mpp_range=(0.7, 0.8)))
    assert dock.form.scales.ticked == (0.5, 0.7)
    assert scales(dock)[-1] == "14.3x, 0.7 µm/px"
    until(lambda: "at 14.3x" in dock.panel.count.text())
    pick(save(tmp_path / "odder", mpp_range=(0.7, 0.8), seed=1))
    assert dock.form.scales.count() == 5


def test_a_scale_that_is_typed_is_marked_and_no_other_ticked(dock, pick, tmp_path):
    tick(dock)
    dock.form.other_scale.setText("4x")
    dock.form.other_scale.returnPressed.emit()
    assert scales(dock)[-1] == "4x, 2.5 µm/px, outside the model's range"
    assert dock.form.scales.ticked == (2.5,)


# -- files that are no model ---------------------------------------------------------------


def exemplars(folder):
    save(folder / "good")
    path = folder / "good.exemplars.safetensors"
    path.write_bytes(b"whatever")
    return path


def exemplars_alone(folder):
    path = folder / "lost.exemplars.safetensors"
    path.write_bytes(b"whatever")
    return path


def other_json(folder):
    path = folder / "package.json"
    path.write_text('{"name": "package", "version": "1"}')
    return path


def other_json_beside_weights(folder):
    path = save(folder / "odd").with_suffix(".json")
    path.write_text('{"name": "package", "version": "1"}')
    return path


def no_json(folder):
    path = save(folder / "broken").with_suffix(".json")
    path.write_bytes(b"\xff\xfe no json")
    return path


def weights_alone(folder):
    path = save(folder / "bare")
    path.with_suffix(".json").unlink()
    return path


def other_architecture(folder):
    path = save(folder / "other")
    edit_json(path.with_suffix(".json"), embedding_dim=7)
    return path


def unknown_trunk(folder):
    path = save(folder / "strange")
    edit_json(path.with_suffix(".json"), trunk="efficientnet_lite99")
    return path


def truncated(folder):
    path = save(folder / "short")
    path.write_bytes(path.read_bytes()[:-100])
    return path


def empty(folder):
    path = save(folder / "empty")
    path.write_bytes(b"")
    return path


def other_weights(folder):
    path = save(folder / "swapped")
    shutil.copy(save(folder / "donor", seed=5), path)
    return path


def whole_images(folder):
    card = ModelCard(
        name="paper",
        version="1",
        classes=("benign", "malignant"),
        mpp_range=(0.05, 0.5),
        trunk=SmseCnn.trunk_name,
        embedding_dim=12,
    )
    return save_model(SmseCnn(), card, folder / "paper")


def swapped_classes(folder):
    path = save(folder / "swapped_names")
    classes = json.loads(path.with_suffix(".json").read_text())["classes"]
    edit_json(path.with_suffix(".json"), classes=classes[::-1])
    return path


def gone(folder):
    return folder / "gone.safetensors"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (exemplars, "holds a model's exemplars, not the model: pick good.safetensors beside it."),
        (exemplars_alone, "holds a model's exemplars, not the model: pick a model's .safetensors"),
        (other_json, "has no weights beside it, so it is no model: pick a model's .safetensors"),
        (other_json_beside_weights, "not a readable model card (classes: Field required): get the"),
        (no_json, "is not a readable model card"),
        (weights_alone, "bare.json is missing: keep a model's card beside its weights"),
        (other_architecture, "does not fit the network its card describes"),
        (unknown_trunk, "No trunk is called 'efficientnet_lite99': did you mean"),
        (truncated, "is not a whole safetensors file"),
        (empty, "is not a whole safetensors file"),
        (other_weights, "is not the file its card was written for (sha256 differs): get both"),
        (whole_images, "judges whole images and cannot score the tiles of a slide: choose"),
        (swapped_classes, "card and weights do not belong together, get the model again"),
        (gone, "There is no model"),
    ],
)
def test_a_file_that_is_no_model_is_told_and_changes_nothing(
    dock, pick, two, tmp_path, told, wrong, words
):
    pick(two)
    (tmp_path / "wrong").mkdir()
    pick(wrong(tmp_path / "wrong"))
    (text,) = told
    assert words in text
    assert "\n" not in text
    assert text.endswith(" two stays chosen.")
    assert dock.panel.problem.text() == text
    assert dock.form.model_name == str(two)
    assert dock.models.card.name == "two"
    assert listed(dock) == ["Bundled", "two"]
    assert dock.form.scales.ticked == (0.5,)


def test_after_a_wrong_file_everything_goes_on(dock, pick, run, until, two, tmp_path, told):
    pick(two)
    run()
    before = {layer.name: layer.data.copy() for layer in maps(dock)}
    pick(truncated(tmp_path))
    assert told
    assert {layer.name for layer in maps(dock)} == set(before)
    assert dock.save.isEnabled()
    dock.save_to(tmp_path / "out")
    until(lambda: "Saved" in dock.panel.state.text())
    run()
    assert dock.panel.problem.text() == ""
    for layer in maps(dock):
        np.testing.assert_array_equal(layer.data, before[layer.name])


def test_a_model_that_breaks_while_it_is_chosen_loses_no_result(
    dock, pick, run, until, two, tmp_path, told
):
    pick(two)
    run()
    first, before = dock.shown_run, mapped(dock)
    two.write_bytes(two.read_bytes()[:-100])
    dock.form.again.setChecked(True)
    run()
    assert "is not a whole safetensors file" in dock.panel.problem.text()
    assert mapped(dock) == before
    assert dock.shown_run is first
    assert dock.save.isEnabled()
    dock.save_to(tmp_path / "out")
    until(lambda: "Saved" in dock.panel.state.text())


def test_a_model_of_the_list_that_is_gone_is_told_and_the_other_stays(dock, pick, two, three, told):
    pick(three)
    pick(two)
    for file in (three, three.with_suffix(".json")):
        file.unlink()
    dock.form.models.list.setCurrentIndex(1)
    assert "There is no model" in told[0]
    assert told[0].endswith("two stays chosen.")
    assert dock.form.model_name == str(two)


def test_a_whole_image_network_is_refused_by_a_run_too(dock, pick, run, two, tmp_path):
    pick(two)
    other = whole_images(tmp_path)
    for end in (".safetensors", ".json"):
        shutil.copy(other.with_suffix(end), two.with_suffix(end))
    run()
    assert "judges whole images" in dock.panel.problem.text()


# -- the list ------------------------------------------------------------------------------


def test_a_model_is_listed_once_whichever_of_its_files_is_picked(dock, pick, two, tmp_path):
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path, target_is_directory=True)
    for path in (two, two, two.with_suffix(".json"), linked / two.name):
        pick(path)
    assert listed(dock) == ["Bundled", "two"]
    assert dock.form.model_name == str(two)
    dock.form.models.list.setCurrentIndex(0)
    pick(two)
    assert dock.form.models.list.currentIndex() == 1


def test_models_of_one_name_are_told_apart(dock, pick, two, tmp_path):
    pick(two)
    pick(save(tmp_path / "elsewhere" / "two", seed=3))
    assert listed(dock) == ["Bundled", "two", f"two in {tmp_path / 'elsewhere'}"]


def test_the_bundled_models_own_file_is_the_bundled_model(dock, pick, two):
    bundled = load_model("bundled", self_test=False).path
    pick(two)
    pick(bundled)
    assert listed(dock) == ["Bundled", "two"]
    assert dock.form.model_name == "bundled"


@pytest.mark.parametrize("how", ["picked again", "run"])
def test_a_model_that_was_saved_anew_is_read_anew(dock, pick, run, two, tmp_path, how):
    pick(two)
    run()
    old = {layer.name: layer.data.copy() for layer in maps(dock)}
    assert save(tmp_path / "two", TISSUES, seed=7, mpp_range=(0.4, 0.6)) == two
    if how == "picked again":
        pick(two)
        assert scales(dock)[0] == "40x, 0.25 µm/px, outside the model's range"
    run()
    assert dock.shown_run.card.classes == TISSUES
    assert scales(dock)[0] == "40x, 0.25 µm/px, outside the model's range"
    assert {name for name, _ in mapped(dock)} == set(TISSUES)
    assert not set(old) & {layer.name for layer in maps(dock)}
    assert listed(dock) == ["Bundled", "two"]


def test_saved_anew_with_the_same_classes_the_maps_are_new(dock, pick, run, two, tmp_path):
    pick(two)
    run()
    old = {layer.name: layer.data.copy() for layer in maps(dock)}
    save(tmp_path / "two", seed=7)
    run()
    for layer in maps(dock):
        assert not np.allclose(layer.data, old[layer.name], equal_nan=True)


def test_classes_that_only_got_other_names_have_them_everywhere(dock, pick, run, two, tmp_path):
    pick(two)
    run()
    hash_before = dock.shown_run.card.weights_sha256
    save(tmp_path / "two", ("fat", "nerve"))
    run()
    assert dock.shown_run.card.weights_sha256 == hash_before
    assert dock.shown_run.store.classes == ("fat", "nerve")
    assert mapped(dock) == [("nerve", "20x")]


def test_the_card_shown_is_the_one_on_disk(dock, pick, two, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        score_dock.ModelCardDialog, "exec", lambda dialog: shown.append(dialog.text.toPlainText())
    )
    pick(two)
    save(tmp_path / "two", TISSUES)
    dock.form.models.card.click()
    assert "Classes: stroma, tumour, necrosis." in shown[0]


def test_another_slides_maps_are_left_alone(dock, pick, run, until, two, three, tmp_path):
    pick(two)
    run()
    rgb = np.full((700, 900, 3), (205, 150, 190), np.uint8)
    write_pyramid_tiff(tmp_path / "second.tif", rgb, mpp=0.25)
    dock.viewer.open(tmp_path / "second.tif", plugin="napari-smse")
    until(lambda: "to score:" in dock.panel.count.text())
    pick(three)
    run()
    names = {layer.name for layer in maps(dock)}
    assert names == {
        "P(malignant) 20x by two 1 · slide",
        *(f"P({name}) 20x by three 1 · second" for name in TISSUES),
    }
