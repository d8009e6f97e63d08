"""A series on a DICOMweb server is scored as its files are, bit for bit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pydicom
import pytest

from support.dicom_slides import write_dicom_level
from support.dicomweb_server import DicomwebServer, dicomweb_server
from support.remote import forget, no_waits
from support.shell import Shell, assert_one_error, section, shell
from support.slides import pyramid
from support.stores import arrays_of

__all__ = ["no_waits", "shell"]  # the fixtures
SECRET = "s3cr3t"


@pytest.fixture
def server(tmp_path: Path, no_waits: None) -> Iterator[DicomwebServer]:
    folder = tmp_path / "dicom"
    folder.mkdir()
    for index, level in enumerate(pyramid(section(), 2)):
        write_dicom_level(folder / f"{index}.dcm", level, "1", 0.5 * 2**index, tile=128)
    forget()
    with dicomweb_server(folder) as there:
        there.http.token = SECRET
        yield there
    forget()


def test_scores_are_those_of_its_files_and_show_no_credential(
    shell: Shell, server: DicomwebServer, tmp_path: Path
) -> None:
    url, out = server.series(), tmp_path / "out"
    assert shell("score", server.http.folder / "0.dcm", "--out", out).status == 0
    answer = shell("score", f"{url}?token={SECRET}", "--out", out)
    assert (answer.status, answer.err) == (0, "")
    here, there = out / "0", out / url.rpartition("/")[2]
    first, second = arrays_of(here / "scores.zarr"), arrays_of(there / "scores.zarr")
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    assert (here / "tiles.csv").read_bytes() == (there / "tiles.csv").read_bytes()
    assert parquet.read_table(there / "tiles.parquet").num_rows > 9
    assert json.loads((there / "run.json").read_text())["slide"]["path"] == url
    for file in there.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()
    assert SECRET not in answer.out
    assert "already scored" in shell("score", f"{url}?token={SECRET}", "--out", out).out


def test_what_stops_it_is_one_line(shell: Shell, server: DicomwebServer, tmp_path: Path) -> None:
    url = server.series()
    assert_one_error(shell("info", url), url, "may only be read with credentials")
    server.http.status = 503
    answer = shell("score", f"{url}?token={SECRET}", "--out", tmp_path / "out")
    assert_one_error(answer, url, "answers with error 503, 4 times")
    assert SECRET not in answer.err
    assert not list(tmp_path.glob("out/**/run.json"))
    study = url.rpartition("/series")[0]
    assert_one_error(shell("info", study), study, "ends with /studies/UID/series/UID")


def test_info_tells_what_it_is(shell: Shell, server: DicomwebServer) -> None:
    url = server.series()
    answer = shell("info", f"{url}?token={SECRET}", "--json")
    told = json.loads(answer.out)
    assert told["path"] == url
    assert (told["mpp"], told["width"], told["height"]) == (0.5, 700, 520)
    assert SECRET not in answer.out


def test_exported_results_are_of_its_study(
    shell: Shell, server: DicomwebServer, tmp_path: Path
) -> None:
    url = server.series()
    study, series = (part.partition("/")[0] for part in re.split("/studies/|/series/", url)[1:])
    assert shell("score", f"{url}?token={SECRET}", "--out", tmp_path / "out").status == 0
    answer = shell("export", tmp_path / "out" / series, "--to", "dicom", "--out", tmp_path / "to")
    assert answer.status == 0, answer.err
    exported = [pydicom.dcmread(file) for file in (tmp_path / "to").rglob("*.dcm")]
    assert {file.StudyInstanceUID for file in exported} == {study}
    images = [
        image.ReferencedSOPInstanceUID
        for file in exported
        for of_series in file.get("ReferencedSeriesSequence", ())
        for image in of_series.get("ReferencedInstanceSequence", ())
    ]
    largest = pydicom.dcmread(server.http.folder / "0.dcm", stop_before_pixels=True)
    assert set(images) == {largest.SOPInstanceUID}
