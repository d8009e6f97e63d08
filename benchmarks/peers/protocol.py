"""How a runner talks with `benchmarks/peers/compare.py`: a line of JSON in, a line of JSON out.

It runs in the environments of all peers, so it needs nothing but Python.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def serve(prepare: Callable[[dict[str, Any]], Answer]) -> None:
    """Answer questions until stdin ends; whatever else is printed goes to stderr.

    Parameters
    ----------
    prepare
        Takes the first line, imports and loads what is not to be timed, and returns the function
        that answers each further line.
    """
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answer: Answer | None = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if answer is None:
                answer, reply = prepare(question), {"ready": True}
            else:
                before = _cpu_seconds()
                reply = answer(question)
                reply["cpu seconds"] = _cpu_seconds() - before
        except Exception:  # told to the other side, which stops
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies)


def _cpu_seconds() -> float:
    """What this process and its children that ended have used of all cores."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)
