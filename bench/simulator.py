"""Simulated farms: what the balanced scheduler is worth in them, and what simulating them costs.

All figures of farms are simulated. The day of 1,000 workers runs in a process of its own, whose memory is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys

from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.quantities import duration
from lotus_sched_cli.sim.report import CLOSE, Report, report
from lotus_sched_cli.sim.run import simulate

from .rows import Row

BIG = "day-1000-workers"
_CHILD = f"""
import json, resource, time
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.report import report
from lotus_sched_cli.sim.run import simulate
farm = farmfile.load("{BIG}")
wall, cpu = time.perf_counter(), time.process_time()
trace = simulate(farm, "balanced")
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
found = report(trace)
closest = found.closest
print(json.dumps(dict(
    wall=wall, cpu=cpu, peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, sealed=found.sealed,
    makespan=found.makespan, ratio=found.ratio, idle=found.idle_while_eligible, why=found.bound.why,
    closest=closest and [closest.name, closest.seconds, closest.why],
)))
"""


def run() -> list[Row]:
    rows = first_scene()
    for name in farmfile.shipped():
        farm = farmfile.load(name)
        if farm.sectors > 50 and name != BIG:
            rows.append(against_bound(name, report(simulate(farm, "balanced"))))
    return rows + big_day()


def first_scene() -> list[Row]:
    """Idle while eligible: worker-time with a free slot while a task waited that the worker could have done."""
    farm = farmfile.load("fifteen-workers")
    ours, theirs = report(simulate(farm, "balanced")), report(simulate(farm, "windowed"))
    return [
        Row(
            "15 workers: idle while eligible, balanced",
            duration(ours.idle_while_eligible),
            f"windowed: {duration(theirs.idle_while_eligible)}, {duration(theirs.idle_empty)} of it on workers with no"
            " work at all",
            "exactly 0",
            ours.idle_while_eligible == 0,
        ),
        Row(
            "15 workers: makespan, balanced",
            duration(ours.makespan),
            f"windowed: {duration(theirs.makespan)}",
        ),
    ]


def against_bound(name: str, found: Report) -> Row:
    """Makespan over the stated bound; where it is far from it, the bound that explains it."""
    if found.ratio is None or found.bound is None:
        return Row(f"{name}: sealed", f"{found.sealed} of {found.sectors}", found.stuck, "all", False)
    beside = found.bound.why
    met = found.ratio <= CLOSE
    if found.closest is not None:
        explained = found.makespan / found.closest.seconds
        beside = f"{explained:.3f} × the nearest bound ({found.closest.name}): {found.closest.why}"
        met = explained <= CLOSE
    return Row(
        f"{name}: makespan over its bound, balanced",
        f"{found.ratio:.3f}",
        beside,
        f"≤ {CLOSE}, else the bound that says why",
        met,
    )


def big_day() -> list[Row]:
    done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    what = f"a day of 1,000 workers, {told['sealed']:,} sectors"
    beside = f"{duration(told['makespan'])} simulated; idle while eligible {duration(told['idle'])}"
    why, ratio = told["why"], told["ratio"]
    if told["closest"]:
        name, seconds, text = told["closest"]
        why, ratio = (
            f"{told['makespan'] / seconds:.3f} × the nearest bound ({name}): {text}",
            told["makespan"] / seconds,
        )
    return [
        Row(
            f"{what}: simulated in",
            f"{told['wall']:.1f} s",
            f"{told['cpu']:.1f} s of processor time; {beside}",
            "≤ 60 s",
            told["wall"] <= 60,
        ),
        Row(f"{what}: peak memory", f"{told['peak']:.0f} MiB", "", "≤ 1,024 MiB", told["peak"] <= 1024),
        Row(
            f"{BIG}: makespan over its bound, balanced",
            f"{told['ratio']:.3f}",
            why,
            f"≤ {CLOSE}, else the bound that says why",
            ratio <= CLOSE,
        ),
    ]
