"""The official scheduler's policy at work: a pass over a whole farm, one event in it, and Lotus's own benchmark.

The farm is that of ``core_pass``: of 15 workers four do AP and P1, the others P2 and C2, all C1 and FIN; here with resources as
well, 1 TiB of memory, 128 processors and a GPU each. "A pass": all workers come back online in one batch while the
whole queue waits; windows are filled, and what fits starts. "A task ends": every window is full, tasks wait behind them;
also of every worker at once.
"""

from __future__ import annotations

import gc
import statistics
import time

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.decisions import Assigned
from lotus_sched_cli.core.events import (
    Event,
    Outcome,
    PathAttached,
    PathReported,
    PathSpec,
    Settings,
    TaskEnded,
    TaskRunning,
    TaskSpec,
    WorkerJoined,
    WorkerSpec,
)
from lotus_sched_cli.core.farm import Farm as Records
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.core.windowed import INIT_WAIT, Windowed
from lotus_sched_cli.core.windowed.bench import Window

from .core_pass import C2, LOTUS, PASS_AIM, PROVES, SEALS, TASKS, WORKERS, Farm, percentile
from .rows import Row

GIB = 1 << 30
EVENTS = 500
ASSIGNERS = ("utilization", "spread", "experiment-spread-tasks-qcount", "experiment-random", "2020")


class Windows(Farm):
    """``core_pass``'s farm under the windowed policy, its first seconds over."""

    def __init__(self, workers: int, assigner: str) -> None:
        self.scheduler = Scheduler(Settings(policy="windowed", assigner=assigner))
        self.names = [f"worker{n:04}" for n in range(workers)]
        self.sealers = []
        self.now = 0.0
        for n, name in enumerate(self.names):
            tasks = SEALS if n % 15 < 4 else PROVES
            spec = WorkerSpec(
                name, name, name, tasks, Caps(), cpus=128, gpus=1, mem_physical=1024 * GIB,
                mem_swap=200 * GIB, mem_used=8 * GIB, cap_aware=False,
            )  # fmt: skip
            path = PathSpec(f"{name}:path", frozenset({name}), True, False)
            self.tell(WorkerJoined(spec), PathAttached(path, 1 << 60))
            if tasks is SEALS:
                self.sealers.append(name)
        self.now = INIT_WAIT
        self.tell(*(PathReported(f"{name}:path", 1 << 60) for name in self.names))

    def tell(self, *events: Event) -> list[Assigned]:
        return [d for d in self.scheduler.handle(self.now, *events).decisions if isinstance(d, Assigned)]

    def timed(self, events: list[Event]) -> tuple[float, list[Assigned]]:
        """Seconds of the scheduler's thread for one batch."""
        gc.collect()
        began = time.thread_time()
        plan = self.scheduler.handle(self.now, *events)
        took = time.thread_time() - began
        return took, [d for d in plan.decisions if isinstance(d, Assigned)]


def one_pass(assigner: str) -> tuple[float, int, int]:
    """Seconds of the pass, tasks that it started, and tasks that it left in windows."""
    farm = Windows(WORKERS, assigner)
    farm.tell(*farm.online(False))
    files, queued = farm.pledged(TASKS)
    farm.tell(*files)
    farm.tell(*queued)
    took, bound = farm.timed(farm.online(True))
    return took, len(bound), sum(1 for task in farm.scheduler.queue() if task.window)


def full() -> tuple[Windows, list[Assigned]]:
    """A farm whose windows are full, as many tasks as it takes behind them; and what runs."""
    farm = Windows(WORKERS, "utilization")
    files, queued = farm.pledged(2 * TASKS)
    farm.tell(*files)
    running = [d for d in farm.tell(*queued) if not d.waits]
    farm.tell(*(TaskRunning(d.task.id) for d in running))
    return farm, running


def a_task_each() -> tuple[float, int, int, int]:
    """Seconds of the pass in which one task of every worker that runs some ends; these workers, tasks begun, tasks waiting."""
    farm, running = full()
    one_each = {d.worker_id: d.task for d in running}
    waiting = len(farm.scheduler.queue())
    took, begun = farm.timed([TaskEnded(task.id, Outcome.SUCCESS) for task in one_each.values()])
    return took, len(one_each), len(begun), waiting


def ended_tasks() -> list[float]:
    """Seconds of single events: a task ends on a farm whose windows are full."""
    farm, begun = full()
    running = [d.task for d in begun]
    took = []
    gc.collect()
    for task in running[:: max(1, len(running) // EVENTS)]:
        began = time.thread_time()
        farm.scheduler.handle(farm.now, TaskEnded(task.id, Outcome.SUCCESS))
        took.append(time.thread_time() - began)
    return took


def lotus_case(windows: int, tasks: int) -> float:
    """Lotus's own benchmark: one pass, all windows of one worker (128 GiB, 200 GiB swap, 32 processors). Seconds."""
    records = Records(Settings(policy="windowed"))
    policy = Windowed(records)
    records.policy = policy
    spec = WorkerSpec(
        "w", "w", "w", frozenset({C2}), Caps(), cpus=32, mem_physical=128 * GIB, mem_swap=200 * GIB,
        mem_used=GIB, mem_swap_used=GIB, cap_aware=False,
    )  # fmt: skip
    records.worker_joined(spec)
    policy.run(0.0)
    bench = policy.benches["w"]
    bench.asked += [Window(bench, 10 + n, bench.usage()) for n in range(windows - len(bench.asked))]
    del bench.asked[windows:]
    for n in range(tasks):
        records.task_queued(TaskSpec(f"C2-{n}", SectorId(1000, n), 0, C2), 0.0, None)
    gc.collect()
    began = time.thread_time()
    policy.assign(INIT_WAIT)
    return time.thread_time() - began


def run() -> list[Row]:
    rows = []
    for assigner in ASSIGNERS:
        runs = [one_pass(assigner) for _ in range(3)]
        passed = statistics.median(took for took, _, _ in runs)
        rows.append(
            Row(
                f"a windowed pass, {assigner}: {WORKERS:,} workers, {TASKS:,} queued tasks",
                f"{passed * 1000:.0f} ms",
                f"{runs[0][1]:,} given to workers, {runs[0][2]:,} left in windows",
                f"≤ {PASS_AIM * 1000:.0f} ms" if assigner == "utilization" else "",
                passed <= PASS_AIM if assigner == "utilization" else None,
            )
        )
    each = [a_task_each() for _ in range(3)]
    seconds, workers, begun, waiting = statistics.median_low(each)
    rows.append(
        Row(
            f"a windowed pass in which a task of each of {workers} workers has ended, utilization",
            f"{seconds * 1000:.0f} ms",
            f"{waiting:,} tasks wait, in windows and behind them; {begun} begin",
            f"≤ {PASS_AIM * 1000:.0f} ms",
            seconds <= PASS_AIM,
        )
    )
    took = ended_tasks()
    rows.append(
        Row(
            f"a task ends: {WORKERS:,} workers, all windows full: p99",
            f"{percentile(took, 0.99) * 1e6:.0f} µs",
            f"median {statistics.median(took) * 1e6:.0f} µs, worst {max(took) * 1e6:.0f} µs",
        )
    )
    for windows, tasks, lotus in LOTUS:
        ours = statistics.median(lotus_case(windows, tasks) for _ in range(9))
        rows.append(
            Row(
                f"Lotus's BenchmarkTrySched, {windows} windows, {tasks} tasks, windowed",
                f"{ours * 1000:.2f} ms",
                f"Lotus {lotus} ms, two calls to the worker that sleep 0.1 ms each in it",
            )
        )
    return rows
