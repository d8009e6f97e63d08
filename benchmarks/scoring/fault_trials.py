"""What the campaign of faults tries faults on: runs of three commands on the sample slide."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from PIL import Image

from napari_smse.slides import open_slide

SAMPLE = Path(__file__).parents[2] / "sample_data" / "sample_slide.tif"
FIELDS, FIELD_PX = 16, 64


class NotHeldError(Exception):
    """A fault was not held; the message is the reason."""


@dataclass
class Run:
    """A command that runs in a process of its own, with its stderr in a file."""

    process: BaseProcess
    errors: Path

    @classmethod
    def start(cls, folder: Path, *words: str | Path) -> Run:
        """Start `napari-smse` with these words, on the CPU."""
        errors = Path(tempfile.mkstemp(dir=folder, suffix=".err")[1])
        command = (*map(str, words), "--device", "cpu")
        process = multiprocessing.get_context("forkserver").Process(
            target=_command, args=(command, errors)
        )
        process.start()
        return cls(process, errors)

    def code(self) -> int | None:
        """Wait for the end; returns the exit status."""
        self.process.join()
        return self.process.exitcode

    def require_ended_well(self, when: str) -> None:
        """Raise `NotHeldError` unless it ends with 0."""
        if code := self.code():
            raise NotHeldError(f"{when}: exit status {code}, {self.errors.read_text()!r}")

    def require_refused(self, *words: str) -> None:
        """Raise `NotHeldError` unless it ends with 1 and one line with one of these words."""
        code, text = self.code(), self.errors.read_text()
        if code != 1 or text.count("\n") != 1 or not any(one in text for one in words):
            raise NotHeldError(f"exit status {code}, {text!r}")


def _command(command: tuple[str, ...], errors: Path) -> None:
    for stream, file in ((1, os.devnull), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY), stream)
    sys.argv = ["napari-smse", *command]
    from napari_smse.cli import main

    main()


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nothing happens to, its seconds, and the bytes it takes on a disk."""

    contents: dict[str, bytes]
    seconds: float
    size: int


@dataclass
class Trial:
    """A folder with a slide of its own, where one fault is tried while it is scored."""

    folder: Path
    undisturbed: Undisturbed
    prepared: Path

    def __post_init__(self) -> None:
        self.slide = self.folder / SAMPLE.name
        self.out = self.folder / "out"

    @property
    def results(self) -> Path:
        """Folder of what is made."""
        return self.out / SAMPLE.stem

    @property
    def finished(self) -> bool:
        """Whether what is made claims to be whole."""
        return (self.results / "run.json").exists()

    def start(self) -> Run:
        """Start to make it."""
        return Run.start(self.folder, "score", self.slide, "--out", self.out, "--float32")

    def contents(self) -> dict[str, bytes]:
        """Return what was made."""
        return contents(self.results)

    def progress(self) -> str:
        """Return how far it is."""
        return progress(self.results)

    def clear(self) -> None:
        """Remove what was made."""
        shutil.rmtree(self.results, ignore_errors=True)

    def require_unfinished(self) -> None:
        """Raise `NotHeldError` if what is made claims to be whole."""
        if self.finished:
            raise NotHeldError("it claims to be whole")

    def require_equal(self, when: str) -> None:
        """Raise `NotHeldError` unless the results equal those of the undisturbed run."""
        found, whole = self.contents(), self.undisturbed.contents
        names = whole.keys() | found.keys()
        if other := [name for name in names if whole.get(name) != found.get(name)]:
            raise NotHeldError(f"{when}: different {', '.join(sorted(other))}")

    def require_goes_on(self) -> None:
        """Raise `NotHeldError` unless the same command now gives what an undisturbed one does."""
        self.start().require_ended_well("the run after")
        self.require_equal("the run after")


class RerunTrial(Trial):
    """The same while it is scored again, as the undisturbed run is recorded."""

    @property
    def results(self) -> Path:
        """Folder of what is made."""
        return self.out / "again"

    def start(self) -> Run:
        """Start to make it."""
        recorded, slides = self.prepared / "recorded", self.folder
        return Run.start(self.folder, "rerun", recorded, "--slides", slides, "--out", self.results)


class FineTuneTrial(Trial):
    """The same while a model is fine-tuned."""

    @property
    def results(self) -> Path:
        """Folder of what is made."""
        return self.out

    @property
    def finished(self) -> bool:
        """Whether what is made claims to be whole."""
        return (self.out / "mine.safetensors").exists()

    def start(self) -> Run:
        """Start to make it."""
        self.out.mkdir(exist_ok=True)
        model, data = self.prepared / "models" / "mini", self.prepared / "fields"
        words = ("--source-mpp", "0.5", "--steps", "3", "--quiet", "--out", self.out / "mine")
        return Run.start(self.folder, "finetune", model, data, *words)

    def contents(self) -> dict[str, bytes]:
        """Return the weights and exemplars, and the names of all else."""
        return {
            path.name: path.read_bytes() if path.suffix == ".safetensors" else b""
            for path in self.out.iterdir()
            if ".lock" not in path.name  # which stays after a kill, and holds nobody up
        }

    def progress(self) -> str:
        """Return how far it is."""
        if self.finished:
            return "after the model"
        return "writing" if any(self.out.glob(".mine.*.part")) else "learning"


def contents(results: Path) -> dict[str, bytes]:
    """Return the tables and arrays of a folder of results, and the names of all else in it."""
    import zarr

    from napari_smse.scoring import ScoreStore

    found = {path.name: b"" for path in results.iterdir()}
    found |= {name: (results / name).read_bytes() for name in found if name.startswith("tiles.")}
    store = results / "scores.zarr"
    found["complete"] = bytes([ScoreStore.open(store).complete])
    for name, array in zarr.open_group(store, mode="r").members(max_depth=None):
        if isinstance(array, zarr.Array):
            found[name] = bytes(memoryview(array[:]).cast("B"))  # type: ignore[arg-type]
    return found


def progress(results: Path) -> str:
    """Return how far a run was that was killed."""
    store = results / "scores.zarr"
    if not store.exists():
        return "before the store"
    if (results / "run.json").exists():
        return "after run.json"
    complete = json.loads((store / "zarr.json").read_bytes())["attributes"]["complete"]
    return "writing tables" if complete else "scoring"


def prepared(folder: Path) -> Path:
    """Return a folder with a recorded run of the sample slide, fields cut from it, and a model."""
    made = folder / "prepared"
    made.mkdir()
    slide = made / SAMPLE.name
    shutil.copyfile(SAMPLE, slide)
    words = ("--out", made / "scored", "--float32")
    Run.start(made, "score", slide, *words).require_ended_well("recorded")
    (made / "scored" / SAMPLE.stem).rename(made / "recorded")
    with open_slide(SAMPLE) as opened:
        for number in range(FIELDS):
            name = made / "fields" / ("benign", "malignant")[number % 2] / f"case{number}" / "a.png"
            name.parent.mkdir(parents=True)
            x, y = (number % 4) * FIELD_PX, (number // 4) * FIELD_PX
            Image.fromarray(opened.read_level(0, x, y, FIELD_PX, FIELD_PX)).save(name)
    sys.path.append(str(SAMPLE.parents[1] / "tests"))
    from support.training import mini_model

    mini_model(made / "models")
    return made
