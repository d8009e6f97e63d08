"""Does scoring hold when it is killed, the disk is full, two score at once, or the slide changes?

    .venv/bin/python -m benchmarks.scoring.faults [--kills 30 --full 8 --together 6 --changed 8]

Each try scores the sample slide (CPU, float32) while one fault happens, at a moment or with room on
the disk drawn from equal parts of the whole run, then repeats the command. It is held if

- a run that could not go on ended with exit status 1 and one line that names why,
- a run.json lay there only with results equal to those of an undisturbed run,
- the command then ends with 0, and all arrays and tables equal the undisturbed ones, byte for byte,
  with no file too many or too few.

Processes are forked off one that has loaded the libraries: faults fall into work, not into imports.
A full disk is a tmpfs, which only root may mount.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "sample_data" / "sample_slide.tif"
LOADED = ("napari_smse.cli.app", "torch", "torchvision", "zarr", "pyarrow.parquet", "tifffile")
PAGE = 4096
DISK = 2**24
SEED = 20


class NotHeldError(Exception):
    """A fault was not held; the message is the reason."""


@dataclass
class Run:
    """A command that runs in a process of its own, with its stderr in a file."""

    process: BaseProcess
    errors: Path

    @classmethod
    def start(cls, verb: str, slide: Path, out: Path) -> Run:
        """Start `napari-smse score` or `index`."""
        errors = Path(tempfile.mkstemp(dir=slide.parent, suffix=".err")[1])
        command = (verb, str(slide), "--out", str(out), "--device", "cpu", "--float32")
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

    def require_refused(self, words: str) -> None:
        """Raise `NotHeldError` unless it ends with 1 and one line that names the fault."""
        code, text = self.code(), self.errors.read_text()
        if code != 1 or text.count("\n") != 1 or words not in text:
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
    """A folder with a slide of its own, where one fault is tried."""

    folder: Path
    undisturbed: Undisturbed

    def __post_init__(self) -> None:
        self.slide = self.folder / SAMPLE.name
        self.results = self.folder / "out" / SAMPLE.stem

    def start(self) -> Run:
        """Start to score it."""
        return Run.start("score", self.slide, self.folder / "out")

    def require_no_record(self) -> None:
        """Raise `NotHeldError` if there is a run record."""
        if (self.results / "run.json").exists():
            raise NotHeldError("there is a run.json")

    def require_equal(self, when: str) -> None:
        """Raise `NotHeldError` unless the results equal those of the undisturbed run."""
        found, whole = contents(self.results), self.undisturbed.contents
        names = whole.keys() | found.keys()
        if other := [name for name in names if whole.get(name) != found.get(name)]:
            raise NotHeldError(f"{when}: different {', '.join(sorted(other))}")

    def require_goes_on(self) -> None:
        """Raise `NotHeldError` unless the same command now gives what an undisturbed one does."""
        self.start().require_ended_well("the run after")
        self.require_equal("the run after")


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


def kill(trial: Trial, place: float) -> str:
    """Kill it at a moment of its run; returns how far it was."""
    run = trial.start()
    time.sleep(place * trial.undisturbed.seconds)
    run.process.kill()
    if run.code() == 0:  # faster than the undisturbed one: this was no kill
        shutil.rmtree(trial.results)
        return kill(trial, 0.8 * place)
    far = progress(trial.results)
    if (trial.results / "run.json").exists():
        trial.require_equal("at the kill, with a run.json")
    trial.require_goes_on()
    return far


def progress(results: Path) -> str:
    """Return how far a run was that was killed."""
    store = results / "scores.zarr"
    if not store.exists():
        return "before the store"
    if (results / "run.json").exists():
        return "after run.json"
    complete = json.loads((store / "zarr.json").read_bytes())["attributes"]["complete"]
    return "writing tables" if complete else "scoring"


def fill_disk(trial: Trial, place: float) -> str:
    """Score onto a disk with room for a part of the results; returns how far it came."""
    out = trial.folder / "out"
    out.mkdir()
    # Most of it is the picture's: squared, so that the store meets a full disk, too.
    room = int(place**2 * trial.undisturbed.size) // PAGE * PAGE
    with small_disk(out):
        filler = out / "filler"
        filler.write_bytes(bytes(DISK - room))
        trial.start().require_refused("disk")
        trial.require_no_record()
        far = progress(trial.results)
        filler.unlink()
        trial.require_goes_on()
    return far


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount an empty disk at a folder."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "faults", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def score_twice(trial: Trial, place: float) -> str:
    """Start two within 50 ms; returns what became of the one that did not score."""
    runs = [trial.start()]
    time.sleep(0.05 * place)
    runs.append(trial.start())
    codes = [run.code() for run in runs]
    for run, code in zip(runs, codes, strict=True):
        if code:
            run.require_refused("is being written by process")
    trial.require_equal("after both")
    trial.require_goes_on()
    return "one refused" if any(codes) else "one found all done"


def replace(slide: Path) -> None:
    """Put another file in its place."""
    other = slide.with_suffix(".other")
    content = SAMPLE.read_bytes()
    other.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    other.replace(slide)


def append(slide: Path) -> None:
    """Append bytes, as of a copy that is not whole."""
    with slide.open("ab") as stream:
        stream.write(bytes(1000))


def overwrite(slide: Path) -> None:
    """Write other bytes into it, of the same size."""
    with slide.open("r+b") as stream:
        stream.seek(SAMPLE.stat().st_size // 2)
        stream.write(bytes(1000))


CHANGES = (replace, append, overwrite)


def change(trial: Trial, place: float) -> str:
    """Change the slide between the start of its store and its end; returns how."""
    run, alter = trial.start(), random.Random(place).choice(CHANGES)
    began = time.monotonic()
    while not (trial.results / "scores.zarr").exists() and run.process.is_alive():
        time.sleep(0.001)
    time.sleep(place * max(0.0, 0.9 * trial.undisturbed.seconds - (time.monotonic() - began)))
    if (trial.results / "run.json").exists():
        raise NotHeldError("not tried: the run ended before")
    alter(trial.slide)
    run.require_refused(SAMPLE.name)
    trial.require_no_record()
    shutil.copyfile(SAMPLE, trial.slide)
    trial.require_goes_on()
    return alter.__name__


def kill_index(trial: Trial, place: float) -> str:
    """Kill `napari-smse index` at a moment; returns how many slides the index then had."""
    from napari_smse.similarity.index.slide_index import SlideIndex

    index = trial.folder / "index"
    run = Run.start("index", trial.slide, index)
    time.sleep(place * trial.undisturbed.seconds)
    run.process.kill()
    run.code()
    before = len(SlideIndex(index).slides) if (index / "index.json").exists() else 0
    Run.start("index", trial.slide, index).require_ended_well("the run after")
    (results,) = (index / "results").iterdir()
    trial.results.parent.mkdir()
    results.rename(trial.results)
    trial.require_equal("the run after")
    if len(SlideIndex(index).slides) != 1:
        raise NotHeldError("the index has not the slide")
    return f"{before} slides in it"


FAULTS: dict[str, tuple[str, Callable[[Trial, float], str], int]] = {
    "kills": ("score killed (SIGKILL)", kill, 30),
    "full": ("disk full", fill_disk, 8),
    "together": ("two at once, same --out", score_twice, 6),
    "changed": ("slide changed meanwhile", change, 8),
    "index": ("index killed (SIGKILL)", kill_index, 4),
}


def undisturbed(folder: Path) -> Undisturbed:
    """Run some times, nothing happening; the first brings all files into the disk's cache."""
    trial, seconds = new_trial(folder, Undisturbed({}, 0.0, 0)), []
    for _ in range(4):
        shutil.rmtree(trial.results, ignore_errors=True)
        began = time.monotonic()
        trial.start().require_ended_well("undisturbed")
        seconds.append(time.monotonic() - began)
    files = [path.stat() for path in trial.results.rglob("*") if path.is_file()]
    size = sum(-(-file.st_size // PAGE) * PAGE for file in files)
    return Undisturbed(contents(trial.results), statistics.median(seconds[1:]), size)


def new_trial(folder: Path, whole: Undisturbed) -> Trial:
    """Return a trial in a new folder."""
    trial = Trial(Path(tempfile.mkdtemp(dir=folder)), whole)
    shutil.copyfile(SAMPLE, trial.slide)
    return trial


def tried(
    fault: Callable[[Trial, float], str], new: Callable[[], Trial], tries: int
) -> tuple[Counter[str], list[str]]:
    """Try a fault; returns what was met where it was held, and the reasons where it was not."""
    chance, met, reasons = random.Random(SEED), Counter[str](), []
    for number in range(tries):
        trial = new()
        try:
            met[fault(trial, (number + chance.random()) / tries)] += 1
        except Exception as error:  # whatever it is, it was not held
            reasons.append(f"try {number}: {error!r}")
        else:
            shutil.rmtree(trial.folder)
    return met, reasons


def main() -> None:
    """Try all faults, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, (_, _, tries) in FAULTS.items():
        parser.add_argument(f"--{name}", type=int, default=tries, metavar="N")
    parser.add_argument("--out", type=Path, help="also write the figures there")
    options = vars(parser.parse_args())
    multiprocessing.set_forkserver_preload(list(LOADED))
    folder = Path(tempfile.mkdtemp())
    whole = undisturbed(folder)
    print(f"one run: {whole.seconds:.1f} s, {whole.size / 1000:.0f} kB, files in {folder}\n")
    print("| fault | tried | held | met | not held because |\n|---|--:|--:|---|---|")
    figures = {}
    for name, (title, fault, _) in FAULTS.items():
        met, reasons = tried(fault, partial(new_trial, folder, whole), options[name])
        figures[name] = {"tried": options[name], "met": met, "not held": reasons}
        where = ", ".join(f"{count} {what}" for what, count in met.items())
        cells = (title, options[name], met.total(), where, "; ".join(reasons))
        print("|", " | ".join(map(str, cells)), "|", flush=True)
    if options["out"]:
        options["out"].write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(any(each["not held"] for each in figures.values()))


if __name__ == "__main__":
    main()
