"""python -m fuzz --each N: reads N damaged files of each kind, and prints what came of it."""

from __future__ import annotations

import argparse
import sys

from fuzz.harness import HEAD, fuzz
from fuzz.targets import TARGETS


def main() -> int:
    """Return how many faults there were, 1 at most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=80, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    options = parser.parse_args()
    targets = [target for target in TARGETS if options.only in target.name]
    print(HEAD, flush=True)
    tally = fuzz(targets, options.each, options.seed, lambda line: print(line, flush=True))
    print(tally.row(""))
    for fault in tally.faults:
        print(*fault)
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
