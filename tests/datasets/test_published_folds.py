"""Published fold lists, good, partial and leaking."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.published_folds import OFFICIAL_TEST_SIZES, read_folds
from napari_smse.datasets.splits import shared_cases
from napari_smse.errors import DataError
from support.datasets import image, labelled_set


def breakhis(*patients: str, powers: tuple[int, ...] = (40, 100)) -> LabelledSet:
    """Two images a patient and magnification; every other patient is malignant."""
    return labelled_set(
        [
            image(
                patient.rstrip("ABCDEFG"),
                position % 2,
                f"deep/down/{name(patient, power, number)}.JPG",
                f"{power}X",
                "breakhis",
            )
            for position, patient in enumerate(patients)
            for power in powers
            for number in (1, 2)
        ]
    )


def name(patient: str, power: int = 100, number: int = 1) -> str:
    return f"SOB_M_DC-14-{patient}-{power}-{number:03}"


def write(folder: Path, **files: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for stem, lines in files.items():
        (folder / f"{stem}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def spanhol(data: LabelledSet, fold: int, tested: set[str]) -> list[str]:
    lines = []
    for one in data.images:
        patient, power = one.path.stem.split("-")[2:4]
        side = "test" if patient in tested else "train"
        lines.append(f"{one.path.stem}.png|{power}|{fold}|{side}")
    return lines


def patients_of(data: LabelledSet, side: object) -> set[str]:
    return {data.images[i].path.stem.split("-")[2] for i in side}


def test_spanhols_lines_are_read(tmp_path: Path) -> None:
    data = breakhis("1", "2", "3", "4")
    lists = write(tmp_path, dsfold1=spanhol(data, 1, {"1", "2"}), dsfold2=spanhol(data, 2, {"3"}))
    found = read_folds(lists, data).folds
    assert [fold.name for fold in found] == ["1", "2"]
    assert patients_of(data, found[0].test) == {"1", "2"}
    assert patients_of(data, found[0].training) == {"3", "4"}
    assert patients_of(data, found[1].test) == {"3"}


def test_one_file_may_hold_all_folds(tmp_path: Path) -> None:
    data = breakhis("1", "2", "3")
    lines = [*spanhol(data, 1, {"1"}), "", "# the second", *spanhol(data, 2, {"2"})]
    path = write(tmp_path, all=lines) / "all.txt"
    assert [patients_of(data, fold.test) for fold in read_folds(path, data).folds] == [{"1"}, {"2"}]


@pytest.mark.parametrize("spelling", ["{}", "14-{}", "SOB_M_DC-14-{}", "sob_b_a-14-{}"])
def test_patients_may_be_listed_instead_of_images(tmp_path: Path, spelling: str) -> None:
    data = breakhis("101", "102", "103")
    lists = write(tmp_path, fold3=[spelling.format("101")], fold11=[spelling.format("103")])
    found = read_folds(lists, data).folds
    assert [fold.name for fold in found] == ["3", "11"]
    assert patients_of(data, found[0].test) == {"101"}
    assert patients_of(data, found[0].training) == {"102", "103"}


def test_cases_of_any_data_set_may_be_listed(tmp_path: Path) -> None:
    data = labelled_set([image(f"GT{i}", i % 2, f"{i}.png") for i in range(4)])
    found = read_folds(write(tmp_path, a=["GT1"], b=["made up GT2"]), data).folds
    assert [fold.test.tolist() for fold in found] == [[1], [2]]


def test_a_training_list_leaves_out_what_is_on_neither_side(tmp_path: Path) -> None:
    data = breakhis("1", "2", "3")
    lists = write(tmp_path, test_1=["1"], train_1=["2"])
    found = read_folds(lists, data)
    assert patients_of(data, found.folds[0].training) == {"2"}
    assert any("neither side for 4 of the images" in notice for notice in found.notices)


def test_what_is_not_there_is_counted(tmp_path: Path) -> None:
    data = breakhis("1", "2")
    lists = write(tmp_path, fold1=["1", name("999"), name("998")])
    assert (
        "fold 1 is partial: 1 of 3 test names are in the data." in read_folds(lists, data).notices
    )


def test_blocks_of_one_case_on_both_sides_are_an_error_that_names_them(tmp_path: Path) -> None:
    data = breakhis("22549AB", "22549CD", "7", "8")
    lists = write(tmp_path, fold1=["22549AB", "7"])
    with pytest.raises(DataError, match=r"breakhis 22549 on both sides of fold 1.*--drop-split"):
        read_folds(lists, data)
    found = read_folds(lists, data, drop_split_cases=True)
    assert patients_of(data, found.folds[0].test) == {"22549AB", "7"}
    assert patients_of(data, found.folds[0].training) == {"8"}
    assert any("breakhis 22549 left out of training" in notice for notice in found.notices)


def with_blocks(chosen: set[str]) -> set[str]:
    """The patients chosen and all that share their numbers."""
    numbers = {patient.rstrip("ABCD") for patient in chosen}
    return {patient for patient in PATIENTS if patient.rstrip("ABCD") in numbers}


PATIENTS = ("22549AB", "22549CD", "16184", "16184CD", "7", "8", "9")


@settings(max_examples=40)
@given(
    st.lists(st.sets(st.sampled_from(PATIENTS), min_size=1), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_no_list_gets_a_case_onto_both_sides(
    tmp_path_factory: pytest.TempPathFactory, tested: list[set[str]], drop: bool, lines: bool
) -> None:
    data = breakhis(*PATIENTS)
    folder = tmp_path_factory.mktemp("lists")
    for number, chosen in enumerate(tested, start=1):
        write(folder, **{f"f{number}": spanhol(data, number, chosen) if lines else sorted(chosen)})
    splits = any(
        len({"22549AB", "22549CD"} & chosen) == 1 or len({"16184", "16184CD"} & chosen) == 1
        for chosen in tested
    )
    kept = [patients_of(data, range(len(data.images))) - with_blocks(chosen) for chosen in tested]
    if (splits and not drop) or not all(kept):
        with pytest.raises(DataError, match=r"both sides|nothing to train on"):
            read_folds(folder, data, drop_split_cases=drop)
        return
    found = read_folds(folder, data, drop_split_cases=drop)
    for fold, chosen in zip(found.folds, tested, strict=True):
        assert patients_of(data, fold.test) == chosen
        assert not shared_cases(data.images, fold.training.tolist(), fold.test.tolist())


def official(fold: int, lacking: int = 0) -> list[str]:
    sizes = zip((40, 100, 200, 400), OFFICIAL_TEST_SIZES[fold - 1], strict=True)
    return [name("1", power, i) for power, size in sizes for i in range(size)][lacking:]


def test_the_sizes_of_the_official_lists_are_checked(tmp_path: Path) -> None:
    data = breakhis("1", "2")
    lists = write(tmp_path, fold1=official(1), fold2=official(2, lacking=1))
    notices = read_folds(lists, data).notices
    assert "fold 1 lists 745+760+744+655 test images, as the official one." in notices
    assert any(
        "fold 2 lists 631+620+597+554 test images, the official one 632+620+597+554" in notice
        for notice in notices
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no .txt file"),
        ({"fold1": ["", "# nothing"]}, "lists no image"),
        ({"fold1": ["x.png|40|1"]}, r"fold1\.txt, line 1.*is not name\|magnification\|fold"),
        ({"fold1": ["x.png|40|1|maybe"]}, "is not name"),
        ({"fold1": ["1|40|1|test", "1|40|1|train"]}, "puts 1 on both sides of fold 1"),
        ({"fold1": ["somebody else"]}, "no test image of fold 1 is in the data"),
        ({"fold1": ["1", "2"]}, "nothing to train on in fold 1"),
    ],
)
def test_lists_that_cannot_be_used_say_why(
    tmp_path: Path, files: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_folds(write(tmp_path, **files), breakhis("1", "2"))


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt cannot be read"):
        read_folds(tmp_path / "nowhere.txt", breakhis("1", "2"))
