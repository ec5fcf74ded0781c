"""One measured figure, and how it is written down."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """``what`` was measured as ``figure``; ``beside`` is what stands next to it; ``aim`` is the figure to reach.

    ``met`` is None where there is no aim.
    """

    what: str
    figure: str
    beside: str = ""
    aim: str = ""
    met: bool | None = None


def table(title: str, rows: Sequence[Row]) -> str:
    """A Markdown table of the rows."""
    mark = {True: "yes", False: "**no**", None: ""}
    lines = [f"## {title}", "", "| what | measured | beside it | aim | met |", "|---|---|---|---|---|"]
    lines += [f"| {r.what} | {r.figure} | {r.beside} | {r.aim} | {mark[r.met]} |" for r in rows]
    return "\n".join(lines) + "\n"


def wall(argv: Sequence[str], env: dict[str, str] | None = None) -> float:
    """Seconds of one run of a command with its output in a pipe."""
    start = time.perf_counter()
    subprocess.run(argv, env=env, capture_output=True, check=True)
    return time.perf_counter() - start


def in_turns(
    ours: Callable[[], float], other: Callable[[], float], rounds: int = 9
) -> tuple[float, float, float]:
    """Medians of both and the median of the ratios pair by pair, after one warm-up of each."""
    ours(), other()
    pairs = [(ours(), other()) for _ in range(rounds)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )
