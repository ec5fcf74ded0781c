"""Lotus's own scheduler tests (``storage/sealer/sched_test.go``: TestSched, TestWindowCompact), told again.

Its workers have 128 GiB, 200 GiB swap, 1 GiB of each in use, 32 processors and no GPU; its tests let a PreCommit2 use all
processors (not 92 % of them). What they call started and done is the step before the work, in which Lotus fetches (the
work itself is over at once): so each task here has to fetch, and its fetch is what the stories hold up and end.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.scene import AP, GIB, P1, P2, TIB, caps, task
from core.windows import Windows

from lotus_sched_cli.core.events import TaskSpec, WorkerJoined, WorkerSpec
from lotus_sched_cli.core.records import Memory, Sector, Task, Worker
from lotus_sched_cli.core.resources import DEFAULTS, demand_of
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.core.windowed.bench import Bench, Window

#: 32 GiB, V1.
PROOF = 3


def fred(scene: Windows, name: str, *tasks: TaskType, ignore: bool = False, small: bool = False) -> None:
    all_threads = replace(DEFAULTS[P2][3], max_parallelism=32)
    spec = WorkerSpec(
        name,
        f"{name}-session",
        name,
        frozenset(tasks),
        caps=caps(),
        cpus=1 if small else 32,
        mem_physical=GIB if small else 128 * GIB,
        mem_swap=0 if small else 200 * GIB,
        mem_used=GIB,
        mem_swap_used=GIB,
        demands={(P2, PROOF): all_threads},
        cap_aware=False,
        ignore_resources=ignore,
    )
    scene.tell(WorkerJoined(spec), scene.path(f"{name}:path", [name], 100 * TIB))


class Story(Windows):
    def sched(self, kind: TaskType, number: int) -> TaskSpec:
        spec = task(number, kind, proof=PROOF)
        self.stored(spec)
        self.queue(spec)
        return spec

    def has_started(self, *specs: TaskSpec) -> bool:
        return all(spec.id in self.fetching for spec in specs)

    def has_not_started(self, *specs: TaskSpec) -> bool:
        return not any(spec.id in self.fetching | self.started for spec in specs)

    def done(self, *specs: TaskSpec) -> None:
        for spec in specs:
            self.fetched(spec)
            assert spec.id in self.started
            self.end(spec)


def test_constrained_resources() -> None:
    farm = Story()
    fred(farm, "fred1", P1, small=True)
    fred(farm, "fred2", P1, small=True, ignore=True)
    farm.ready()
    one = farm.sched(P1, 8)
    assert farm.has_started(one) and farm.where[one.id] == "fred2"
    farm.done(one)


@pytest.mark.parametrize("order", [("fred2", "fred1"), ("fred1", "fred2")])
def test_pc1_2workers(order: tuple[str, str]) -> None:
    farm = Story()
    for name in order:
        fred(farm, name, P1 if name == "fred1" else P2)
    farm.ready()
    one = farm.sched(P1, 8)
    assert farm.has_started(one) and farm.where[one.id] == "fred1"
    farm.done(one)


@pytest.mark.parametrize(("first", "second"), [(P1, P2), (P2, P1)])
def test_pc1_block_pc2_and_pc2_block_pc1(first: TaskType, second: TaskType) -> None:
    farm = Story()
    fred(farm, "fred", P1, P2)
    farm.ready()
    one = farm.sched(first, 8)
    assert farm.has_started(one)
    two = farm.sched(second, 9)
    assert farm.has_not_started(two)
    farm.done(one)
    farm.done(two)


def test_pc1_batching() -> None:
    farm = Story()
    fred(farm, "fred", P1)
    farm.ready()
    t1 = farm.sched(P1, 1)
    t2 = farm.sched(P1, 2)
    assert farm.has_started(t1, t2)
    t3, t4 = farm.sched(P1, 3), farm.sched(P1, 4)
    assert farm.has_not_started(t3, t4)
    farm.done(t1, t2)
    assert farm.has_started(t3, t4)
    farm.done(t3, t4)


def test_pc1_pc2_prio() -> None:
    farm = Story()
    fred(farm, "fred", P1, P2)
    farm.ready()
    first = [farm.sched(P1, 0), farm.sched(P1, 1)]
    second = [farm.sched(P1, 2), farm.sched(P1, 3)]
    third = farm.sched(P1, 4)
    t1, t2, t3 = farm.sched(P1, 8), farm.sched(P1, 9), farm.sched(P2, 10)
    assert farm.has_started(*first) and farm.has_not_started(*second, third, t1, t2, t3)
    farm.done(*first)
    assert farm.has_started(*second) and farm.has_not_started(third)
    farm.done(*second)
    assert farm.has_started(third)
    farm.done(third)
    assert farm.has_started(t3) and farm.has_not_started(t1, t2)
    farm.done(t3)
    assert farm.has_started(t1, t2)
    farm.done(t1, t2)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ([[P1], [P1]], [[P1, P1]]),
        ([[P1, P1]], [[P1, P1]]),
        ([[P2], [P2]], [[P2], [P2]]),
        ([[P1, P1], [P1, AP]], [[P1, P1, AP], [P1]]),
        ([[P1, P1], [P1, AP, P2]], [[P1, P1, AP], [P1, P2]]),
    ],
    ids=["2-pc1-windows", "1-window", "2-pc2-windows", "2pc1-pc1ap", "2pc1-pc1appc2"],
)
def test_window_compact(start: list[list[TaskType]], expected: list[list[TaskType]]) -> None:
    bench = Bench(Worker("fred", machine()), modern=True)
    number = 0
    for kinds in start:
        window = Window(bench, len(bench.windows), bench.usage())
        for kind in kinds:
            number += 1
            spec = task(number, kind, proof=PROOF)
            one = Task(spec, Sector(spec.sector), Memory(kind, 0.0, number), (0, 0, 0.0, 0, number))
            window.todo.append(one)
            window.used.add(bench.share(one))
        bench.windows.append(window)
    bench.compact()
    assert [[t.spec.type for t in w.todo] for w in bench.windows] == expected
    for window in bench.windows:
        demands = [demand_of({}, t.spec.type, PROOF) for t in window.todo]
        assert window.used.min_memory == sum(d.min_memory for d in demands)
        assert window.used.max_memory == sum(d.max_memory for d in demands)
        assert window.used.cpu == sum(d.threads(32, 0) for d in demands)


def machine() -> WorkerSpec:
    return WorkerSpec(
        "fred", "s", "fred", frozenset({P1, P2, AP}), caps(), cpus=32, mem_physical=128 * GIB,
        mem_swap=200 * GIB, mem_used=GIB, mem_swap_used=GIB, cap_aware=False,
    )  # fmt: skip
