"""How long does a slide take here, and how long with wsinfer, TIAToolbox and LazySlide?

    sh benchmarks/peers/make_environments.sh FOLDER
    .venv/bin/python -m benchmarks.peers.compare --environments FOLDER --out peers.json

Everybody gets the same file (composed by `large_slide.py`), the same network, tiles of 224 px at
0.5 um/px, the CPU and as many threads as it has cores. Each program runs in an environment and a
process of its own, which is idle while others run. Imports and loading the network are not timed:
the clock runs from the path of the slide until all results are on disk, tissue finding included,
and the tile part is told apart. After a warm-up they take turns, round by round; what counts are
medians, and the ratios of tiles per second within a round, as each finds its own tissue and so
scores its own number of tiles: wsinfer those with their middle in tissue, TIAToolbox all that touch
some, LazySlide those with 70 % of tissue, we those with a quarter. What other processes used of the
CPU is told, and a run that they disturbed is repeated.

What was chosen, and why:

- The network is the bundled one as TorchScript, float32 and channels last, as peers offer no other
  precision on a CPU; its outputs there must equal ours in float32 to 0.001. We run as installed,
  which is bfloat16 where the CPU multiplies it, and for comparison once more in float32.
- We keep our own settings for batch and readers. The peers run at their best: network (as exported,
  or optimised for inference as wsinfer's `--speedup` does), reader, batch size and number of loader
  processes are tried one by one on a smaller slide before the rounds, from their defaults on, and
  the fastest is taken. What they do by default is measured as well.
- wsinfer 0.6.1 reads with OpenSlide, and its two functions are called, as its command line asks a
  model hub when imported. A patch is 224 level-0 px of 0.499 um/px, not resized, which we do.
- TIAToolbox 2.1.3 keeps a plain TIFF whole in memory, or reads it with OpenSlide if its name ends
  in .svs; both are tried. It is told the um/px, which it does not find in the former case.
- LazySlide reads with OpenSlide, finds tissue and tiles as it does unasked, and stores what the
  network gives as features.
- wsinfer and LazySlide get the torch that we have; TIAToolbox refuses torch from 2.13 on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.large_slide import MPP as SLIDE_MPP
from benchmarks.large_slide import compose
from napari_smse.models import load_model
from napari_smse.scoring import ScoreRequest, choose_device, read_block
from napari_smse.slides import open_slide

HERE = Path(__file__).resolve().parent
TARGET_MPP, TOLERANCE, CHECKED_TILES = 0.5, 1e-3, 8
SLIDE_SIZE, TRIAL_SIZE = (6000, 5000), (3000, 2500)
# Others may use this share of the CPU during a run; beyond it, the run is repeated so many times.
DISTURBED, MOST_TRIES = 0.15, 3
# The first of each is the peer's own default.
PEER_OPTIONS: dict[str, dict[str, tuple]] = {
    "wsinfer": {
        "network": ("plain", "optimised"),
        "batch": (32, 16, 8),
        "workers": tuple(dict.fromkeys((min(os.cpu_count() or 1, 8), 0, 1, 2))),
    },
    "tiatoolbox": {
        "network": ("plain", "optimised"),
        "reader": ("whole in memory", "OpenSlide"),
        "batch": (8, 16, 32),
        "workers": (0, 1, 2),
    },
    "lazyslide": {
        "network": ("plain", "optimised"),
        "batch": (32, 16, 8),
        "workers": (0, 1, 2),
    },
}
OURS = {"ours": {}, "ours, float32": {"precision": "float32"}}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "peers",
        help="the folder that make_environments.sh filled",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=SLIDE_SIZE[0], help="of the slide, px")
    parser.add_argument("--height", type=int, default=SLIDE_SIZE[1], help="of the slide, px")
    parser.add_argument("--out", type=Path, help="also write the figures there (JSON)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(options, Path(folder))
    print(table(figures["summary"]))
    for name, settings in figures["settings"].items():
        print(f"{name}: {_told(settings)}")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def compare(options: argparse.Namespace, folder: Path) -> dict:
    """Choose the peers' settings, check that outputs are equal, and let all take turns."""
    slide = linked(compose(None, options.width, options.height), folder / "slide")
    trial = linked(compose(None, *TRIAL_SIZE), folder / "trial")
    facts, tiles = exported(folder, trial)
    with talking_to(options.environments, facts, folder) as programs:
        contestants = {
            name: Contestant(programs["ours"], settings) for name, settings in OURS.items()
        }
        trials = {}
        for name, choices in PEER_OPTIONS.items():
            best, trials[name] = select_runtime(programs[name], choices, trial)
            contestants[name] = Contestant(programs[name], best)
            usual = {option: values[0] for option, values in choices.items()}
            contestants[f"{name}, its defaults"] = Contestant(programs[name], usual)
        differences = check_outputs(contestants, tiles)
        rounds = take_turns(contestants, slide, options.rounds)
    return {
        "machine": machine(),
        "slide px": [options.width, options.height],
        "summary": summary(rounds),
        "settings": {name: one.settings for name, one in contestants.items()},
        "largest difference from float32": differences,
        "rounds": rounds,
        "trials": trials,
        "installed": {name: installed(options.environments / name) for name in PEER_OPTIONS},
    }


def linked(slide: Path, folder: Path) -> Path:
    """A slide in a folder of its own, as wsinfer scores folders."""
    folder.mkdir()
    link = folder / "slide.tif"
    link.symlink_to(slide)
    return link


class LogitsOfUnit(torch.nn.Module):
    """A network that takes RGB in 0..1 and returns logits only."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of images (n, 3, h, w)."""
        return self.network(images * 255).logits


def exported(folder: Path, slide_path: Path) -> tuple[dict[str, Any], Path]:
    """Write the bundled network for the peers, and some tiles to check it with."""
    model, side = load_model("bundled"), (load_model("bundled").card.tile_px,) * 2
    network = folder / "network.pt"
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript will go, but peers take it
        example = torch.rand(2, 3, *side)
        torch.jit.trace(LogitsOfUnit(model.network).eval(), example).save(network)
    with open_slide(slide_path) as slide:
        plan = ScoreRequest((TARGET_MPP,)).plan(slide, model.card)
        tiles = np.concatenate([read_block(slide, plan, block) for block in plan.blocks[:2]])
    chosen = np.linspace(0, len(tiles) - 1, CHECKED_TILES).astype(int)
    np.save(folder / "tiles.npy", tiles[chosen])
    facts = {
        "network": str(network),
        "classes": list(model.card.classes),
        "tile_px": side[0],
        "mpp": TARGET_MPP,
        "slide_mpp": SLIDE_MPP,
        "threads": os.cpu_count(),
        "folder": str(folder),
    }
    return facts, folder / "tiles.npy"


@dataclass
class Program:
    """A runner in a process of its own, ready when it has imported and loaded everything."""

    name: str
    python: Path
    facts: dict[str, Any]
    folder: Path
    _process: subprocess.Popen = field(init=False)

    def __post_init__(self) -> None:
        if not self.python.exists():
            sys.exit(f"{self.name} is not installed: run benchmarks/peers/make_environments.sh")
        home = self.folder / f"{self.name} home"  # peers make folders there
        home.mkdir()
        threads = str(self.facts["threads"])
        self._process = subprocess.Popen(
            [self.python, "-W", "ignore", HERE / f"run_{self.name}.py"],
            env={**os.environ, "HOME": str(home), "OMP_NUM_THREADS": threads},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / f"{self.name}.log").open("w"),
            text=True,
            bufsize=1,
        )
        self.ask(self.facts)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a question and wait for its answer, to which what others used of the CPU is added.

        A run that others disturbed shows by it. A few per cent are this process and the kernel.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        busy, began = _busy_seconds(), time.perf_counter()
        self._process.stdin.write(json.dumps(question) + "\n")
        reply = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
        if "error" in reply:
            log = (self.folder / f"{self.name}.log").read_text()
            sys.exit(f"{self.name}, asked {question}: {reply['error']}\n{log[-2000:]}")
        if "cpu seconds" in reply:
            everybody = (_busy_seconds() - busy) / (time.perf_counter() - began)
            own = reply["cpu seconds"] / (time.perf_counter() - began)
            reply["used by others"] = max(0.0, everybody - own) / self.facts["threads"]
        return reply

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _busy_seconds() -> float:
    """Time that all cores were not idle since the machine started; 0 where it is not told."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    ticks = [int(one) for one in stat.read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


@contextmanager
def talking_to(
    environments: Path, facts: dict[str, Any], folder: Path
) -> Iterator[dict[str, Program]]:
    """Start all programs, and end them."""
    pythons = {name: environments / name / "bin" / "python" for name in PEER_OPTIONS}
    pythons["ours"] = Path(sys.executable)
    programs: dict[str, Program] = {}
    try:
        for name, python in pythons.items():
            programs[name] = Program(name, python, facts, folder)
        yield programs
    finally:
        for program in programs.values():
            program.close()


@dataclass
class Contestant:
    """A program with the settings it is run with."""

    program: Program
    settings: dict[str, Any]

    def score(self, slide: Path, told: str) -> dict[str, Any]:
        """Score a slide; again while others disturb it, and the least disturbed run counts."""
        runs: list[dict[str, Any]] = []
        while len(runs) < MOST_TRIES:
            runs.append(self.program.ask({"slide": str(slide), **self.settings}))
            if runs[-1]["used by others"] <= DISTURBED:
                break
        run = min(runs, key=lambda run: run["used by others"])
        print(
            f"{told}: {run['tiles']} tiles in {run['seconds']:.2f} s, "
            f"others used {run['used by others']:.0%} of the CPU",
            file=sys.stderr,
        )
        return run


def select_runtime(
    program: Program, choices: dict[str, tuple], slide: Path
) -> tuple[dict[str, Any], list[dict]]:
    """The settings with most tiles per second, changing one at a time; and all that was tried."""
    best = {option: values[0] for option, values in choices.items()}
    program.ask({"slide": str(slide), **best})  # warms up
    trials = [_tried(program, best, slide)]
    for option, values in choices.items():
        trials += [_tried(program, {**best, option: value}, slide) for value in values[1:]]
        best = max(trials, key=lambda trial: trial["tiles/s"])["settings"]
    return best, trials


def _tried(program: Program, settings: dict[str, Any], slide: Path) -> dict[str, Any]:
    """The better of two runs, as the first ones of a network also optimise it."""
    told = f"trying {program.name}, " + _told(settings)
    runs = [Contestant(program, settings).score(slide, told) for _ in range(2)]
    best = max(runs, key=lambda run: _rate(run, "seconds"))
    disturbed = best["used by others"]
    return {"settings": settings, "tiles/s": _rate(best, "seconds"), "used by others": disturbed}


def _told(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or "as installed"


def check_outputs(contestants: dict[str, Contestant], tiles: Path) -> dict[str, float]:
    """Largest difference of anybody's probabilities from ours in float32, on the same tiles."""
    found = {
        name: np.array(one.program.ask({"tiles": str(tiles), **one.settings})["probabilities"])
        for name, one in contestants.items()
    }
    right = found["ours, float32"]
    differences = {name: float(np.abs(one - right).max()) for name, one in found.items()}
    for name, difference in differences.items():
        assert name in OURS or difference <= TOLERANCE, f"{name} differs by {difference:.4f}"
    return differences


def take_turns(
    contestants: dict[str, Contestant], slide: Path, rounds: int
) -> list[dict[str, dict]]:
    """Let everybody score the slide once unmeasured, then once a round."""
    for name, one in contestants.items():
        one.score(slide, f"warm-up, {name}")
    return [
        {name: one.score(slide, f"round {number + 1}, {name}") for name, one in contestants.items()}
        for number in range(rounds)
    ]


def summary(rounds: list[dict[str, dict]]) -> dict[str, dict[str, Any]]:
    """Medians over rounds, and ratios within a round: their median, lowest and highest."""
    found = {}
    for name in rounds[0]:
        runs = [one[name] for one in rounds]
        found[name] = {
            "tiles": runs[0]["tiles"],
            "seconds": statistics.median(run["seconds"] for run in runs),
            "finding seconds": statistics.median(
                run["seconds"] - run["tile seconds"] for run in runs
            ),
            "tiles/s": statistics.median(_rate(run, "seconds") for run in runs),
            "tiles/s of the tile part": statistics.median(
                _rate(run, "tile seconds") for run in runs
            ),
            "most used by others": max(run["used by others"] for run in runs),
            "ratios": {
                f"{ours}, {part}": _spread(
                    [_rate(r[ours], part) / _rate(r[name], part) for r in rounds]
                )
                for ours in OURS
                for part in ("seconds", "tile seconds")
                if name not in OURS
            },
        }
    return found


def _rate(run: dict[str, Any], part: str) -> float:
    return run["tiles"] / run[part]


def _spread(ratios: list[float]) -> dict[str, float]:
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def table(found: dict[str, dict[str, Any]]) -> str:
    """The summary as a Markdown table."""
    lines = [
        "| | tiles | seconds | of them finding tissue | tiles/s | tiles/s, tile part | CPU used "
        "by others | ours / peer | tile part | ours in float32 / peer | tile part |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        ratios = [
            f"{one['median']:.1f} ({one['low']:.1f}-{one['high']:.1f})"
            for one in row["ratios"].values()
        ] or [""] * 4
        cells = [
            name,
            str(row["tiles"]),
            f"{row['seconds']:.1f}",
            f"{row['finding seconds']:.2f}",
            f"{row['tiles/s']:.1f}",
            f"{row['tiles/s of the tile part']:.1f}",
            f"{row['most used by others']:.0%}",
            *ratios,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cpu": choose_device("cpu").label,
        "cores": os.cpu_count(),
        "load at the end": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def installed(environment: Path) -> list[str]:
    """What pip said it installed for a peer."""
    written = environment / "installed.txt"
    return written.read_text().splitlines() if written.exists() else []


if __name__ == "__main__":
    main()
