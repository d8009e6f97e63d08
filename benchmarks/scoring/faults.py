"""Does scoring hold when it is killed, the disk is full, two score at once, or the slide changes?

    .venv/bin/python -m benchmarks.scoring.faults [--kills 30 --full 8 --together 6 --changed 8]

Each try scores the sample slide (CPU, float32), scores it again as recorded (`rerun`), or
fine-tunes a tiny model on fields cut from it (`finetune`), while one fault happens: at a moment,
or with room on the disk, drawn from equal parts of the whole run. Then the command is repeated. It
is held if

- a run that could not go on ended with exit status 1 and one line that names why,
- a run.json, or a model, lay there only with results equal to those of an undisturbed run,
- the command then ends with 0, and all arrays and tables equal the undisturbed ones, byte for byte,
  with no file too many or too few.

Processes are forked off one that has loaded the libraries: faults fall into work, not into imports.
A full disk is a tmpfs, which only root may mount.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmarks.scoring.fault_trials import (
    SAMPLE,
    FineTuneTrial,
    NotHeldError,
    RerunTrial,
    Run,
    Trial,
    Undisturbed,
    prepared,
)

LOADED = ("napari_smse.cli.app", "torch", "torchvision", "zarr", "pyarrow.parquet", "tifffile")
PAGE = 4096
DISK = 2**24
SEED = 20


def kill(trial: Trial, place: float) -> str:
    """Kill it at a moment of its run; returns how far it was."""
    run = trial.start()
    time.sleep(place * trial.undisturbed.seconds)
    run.process.kill()
    if run.code() == 0:  # faster than the undisturbed one: this was no kill
        trial.clear()
        return kill(trial, 0.8 * place)
    far = trial.progress()
    if trial.finished:
        trial.require_equal("at the kill, as it claims to be whole")
    if not trial.finished or type(trial) is Trial:  # the others begin no second time
        trial.require_goes_on()
    return far


def fill_disk(trial: Trial, place: float) -> str:
    """Score onto a disk with room for a part of the results; returns how far it came."""
    out = trial.out
    out.mkdir()
    # Most of it is the picture's: squared, so that the store meets a full disk, too.
    room = int(place**2 * trial.undisturbed.size) // PAGE * PAGE
    with small_disk(out):
        filler = out / "filler"
        filler.write_bytes(bytes(DISK - room))
        trial.start().require_refused("disk", "No space left")
        trial.require_unfinished()
        far = trial.progress()
        filler.unlink()
        trial.require_goes_on()
    return far


def fill_meanwhile(trial: Trial, place: float) -> str:
    """Score onto a disk that somebody else fills meanwhile; returns how far it came."""
    trial.out.mkdir()
    with small_disk(trial.out):
        run = trial.start()
        wait_for_store(trial, run, place)
        filler = trial.out / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as stream:
            while stream.write(bytes(PAGE)):
                pass
        run.require_refused("disk", "No space left")
        trial.require_unfinished()
        far = trial.progress()
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


def do_twice(trial: Trial, place: float) -> str:
    """Start two within 50 ms; returns what became of the one that did not score."""
    runs = [trial.start()]
    time.sleep(0.05 * place)
    runs.append(trial.start())
    codes = [run.code() for run in runs]
    for run, code in zip(runs, codes, strict=True):
        if code:
            run.require_refused("is being written by process")
    trial.require_equal("after both")
    if type(trial) is Trial:  # the others begin no second time
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
    wait_for_store(trial, run, place)
    alter(trial.slide)
    run.require_refused(SAMPLE.name)
    trial.require_unfinished()
    shutil.copyfile(SAMPLE, trial.slide)
    trial.require_goes_on()
    return alter.__name__


def wait_for_store(trial: Trial, run: Run, place: float) -> None:
    """Wait until there is a store, and for a part of the time that is left."""
    began = time.monotonic()
    while not (trial.results / "scores.zarr").exists() and run.process.is_alive():
        time.sleep(0.001)
    time.sleep(place * max(0.0, 0.9 * trial.undisturbed.seconds - (time.monotonic() - began)))
    if trial.finished:
        raise NotHeldError("not tried: the run ended before")


def kill_index(trial: Trial, place: float) -> str:
    """Kill `napari-smse index` at a moment; returns how many slides the index then had."""
    from napari_smse.similarity.index.slide_index import SlideIndex

    index = trial.folder / "index"
    run = Run.start(trial.folder, "index", trial.slide, "--out", index, "--float32")
    time.sleep(place * trial.undisturbed.seconds)
    run.process.kill()
    run.code()
    before = len(SlideIndex(index).slides) if (index / "index.json").exists() else 0
    Run.start(trial.folder, "index", trial.slide, "--out", index, "--float32").require_ended_well(
        "the run after"
    )
    (results,) = (index / "results").iterdir()
    trial.results.parent.mkdir()
    results.rename(trial.results)
    trial.require_equal("the run after")
    if len(SlideIndex(index).slides) != 1:
        raise NotHeldError("the index has not the slide")
    return f"{before} slides in it"


Fault = Callable[[Trial, float], str]

FAULTS: dict[str, tuple[str, type[Trial], Fault, int]] = {
    "kills": ("score killed (SIGKILL)", Trial, kill, 30),
    "full": ("disk full", Trial, fill_disk, 8),
    "filled": ("disk filled by others meanwhile", Trial, fill_meanwhile, 6),
    "together": ("two at once, same --out", Trial, do_twice, 6),
    "changed": ("slide changed meanwhile", Trial, change, 8),
    "index": ("index killed (SIGKILL)", Trial, kill_index, 4),
    "rerun-kills": ("rerun killed (SIGKILL)", RerunTrial, kill, 6),
    "rerun-full": ("rerun, disk full", RerunTrial, fill_disk, 4),
    "rerun-together": ("two of rerun at once", RerunTrial, do_twice, 2),
    "finetune-kills": ("finetune killed (SIGKILL)", FineTuneTrial, kill, 6),
    "finetune-full": ("finetune, disk full", FineTuneTrial, fill_disk, 4),
    "finetune-together": ("two of finetune at once", FineTuneTrial, do_twice, 2),
}


def undisturbed(folder: Path, kind: type[Trial], made: Path, runs: int) -> Undisturbed:
    """Run some times, nothing happening; the first brings all files into the disk's cache."""
    trial, seconds = new_trial(folder, kind, made, Undisturbed({}, 0.0, 0)), []
    for _ in range(runs):
        trial.clear()
        began = time.monotonic()
        trial.start().require_ended_well("undisturbed")
        seconds.append(time.monotonic() - began)
    files = [path.stat() for path in trial.results.rglob("*") if path.is_file()]
    size = sum(-(-file.st_size // PAGE) * PAGE for file in files)
    return Undisturbed(trial.contents(), statistics.median(seconds[1:]), size)


def new_trial(folder: Path, kind: type[Trial], made: Path, whole: Undisturbed) -> Trial:
    """Return a trial in a new folder."""
    trial = kind(Path(tempfile.mkdtemp(dir=folder)), whole, made)
    shutil.copyfile(SAMPLE, trial.slide)
    return trial


def tried(fault: Fault, new: Callable[[], Trial], tries: int) -> tuple[Counter[str], list[str]]:
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
    for name, (_, _, _, tries) in FAULTS.items():
        parser.add_argument(f"--{name}", type=int, default=tries, metavar="N")
    parser.add_argument("--runs", type=int, default=4, help="undisturbed runs of each command")
    parser.add_argument("--out", type=Path, help="also write the figures there")
    options = vars(parser.parse_args())
    multiprocessing.set_forkserver_preload(list(LOADED))
    folder = Path(tempfile.mkdtemp())
    made, wholes = prepared(folder), dict[type[Trial], Undisturbed]()
    rows, figures = [], {}
    for name, (title, kind, fault, _) in FAULTS.items():
        if not (tries := options[name.replace("-", "_")]):
            continue
        if kind not in wholes:
            whole = wholes[kind] = undisturbed(folder, kind, made, options["runs"])
            print(f"{kind.__name__}: {whole.seconds:.1f} s, {whole.size / 1000:.0f} kB", flush=True)
        met, reasons = tried(fault, partial(new_trial, folder, kind, made, wholes[kind]), tries)
        figures[name] = {"tried": tries, "met": met, "not held": reasons}
        where = ", ".join(f"{count} {what}" for what, count in met.items())
        rows.append((title, tries, met.total(), where, "; ".join(reasons)))
        print("|", " | ".join(map(str, rows[-1])), "|", flush=True)
    print(f"\nfiles in {folder}\n\n| fault | tried | held | met | not held because |")
    print(
        "|---|--:|--:|---|---|",
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        sep="\n",
    )
    if options["out"]:
        options["out"].write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(any(each["not held"] for each in figures.values()))


if __name__ == "__main__":
    main()
