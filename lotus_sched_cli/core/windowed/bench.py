"""A worker's side of the scheduler: its windows, what it prepares and what it runs (scheduling.md B3).

Source: Lotus ``storage/sealer/sched_worker.go``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lotus_sched_cli.core.needs import SELECT_MOVE
from lotus_sched_cli.core.records import Task, Worker
from lotus_sched_cli.core.resources import demand_of
from lotus_sched_cli.core.space import brings
from lotus_sched_cli.core.tasks import TaskType

from .usage import Counts, Share, Usage, Usage2020, prepare_key, share_of

#: Windows that a worker fills or asks for at the same time.
WINDOWS: Final = 2

_AP, _FETCH = TaskType.ADD_PIECE, TaskType.FETCH
#: They need no files, or theirs are there: they start without a prepare step.
READY: Final = frozenset({TaskType.COMMIT1, TaskType.COMMIT2})


@dataclass(slots=True, eq=False)
class Window:
    """Tasks on their way to one worker, in the order in which they came. Open while it waits for its first tasks.

    ``used`` is not given back when a task starts: only an empty window is replaced. ``level`` is its utilization as
    tasks are put into it.
    """

    bench: Bench
    number: int
    used: Usage
    level: float = 0.0
    todo: list[Task] = field(default_factory=list)


class Bench:
    """One worker's windows, filled (``windows``) and open (``asked``), and the ledgers of what it carries.

    ``base`` is its utilization when pass ``weighed`` began, ``load`` the same with what that pass has given it.
    """

    def __init__(self, worker: Worker, modern: bool) -> None:
        self.worker = worker
        self.session = worker.spec.session
        self.modern = modern
        counts: Counts = {}
        self.preparing = self.usage(counts)
        self.active = self.usage(counts)
        self.windows: list[Window] = []
        self.asked: list[Window] = []
        #: Carried tasks that prepare (or are prepared), and those that run, with what each takes.
        self.prepares: dict[str, tuple[Task, Share]] = {}
        self.runs: dict[str, tuple[Task, Share]] = {}
        self.base = self.load = 0.0
        self.weighed = 0
        self._shares: dict[tuple[TaskType, int], Share] = {}
        self._prepare_shares: dict[tuple[TaskType, int, bool], Share] = {}
        self._spec = worker.spec

    def usage(self, counts: Counts | None = None) -> Usage:
        return Usage(counts) if self.modern else Usage2020(counts)

    @property
    def enabled(self) -> bool:
        worker = self.worker
        return worker.known and worker.online and not worker.draining

    # -- shares -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """The worker has said something new of itself: what it carries is weighed anew."""
        if self._spec is self.worker.spec:
            return
        self._spec = self.worker.spec
        self._shares.clear()
        self._prepare_shares.clear()
        counts: Counts = {}
        self.preparing, self.active = self.usage(counts), self.usage(counts)
        for carried, ledger, share in (
            (self.prepares, self.preparing, self.prepare_share),
            (self.runs, self.active, self.share),
        ):
            for task_id, (task, _) in carried.items():
                carried[task_id] = (task, share(task))
                ledger.add(carried[task_id][1])
        for window in self.windows:
            window.used = self.usage()
            for task in window.todo:
                window.used.add(self.share(task))

    def share(self, task: Task) -> Share:
        return self.share_for(task.spec.type, task.spec.proof)

    def share_for(self, kind: TaskType, proof: int) -> Share:
        """What a task of the type takes when it runs, or waits in a window."""
        share = self._shares.get((kind, proof))
        if share is None:
            spec = self._spec
            demand = demand_of(spec.demands, kind, proof)
            share = share_of((kind.value, proof), demand, spec, self._limit(kind, proof), self.modern)
            self._shares[kind, proof] = share
        return share

    def prepare_share(self, task: Task) -> Share:
        """The same while it prepares: memory and threads are its own, the count that of its prepare step."""
        kind, proof, fetches = task.spec.type, task.spec.proof, prepares_by_fetch(task)
        share = self._prepare_shares.get((kind, proof, fetches))
        if share is None:
            spec = self._spec
            limit = self._limit(_FETCH if fetches else kind, proof)
            demand = demand_of(spec.demands, kind, proof)
            share = share_of(prepare_key(fetches, proof), demand, spec, limit, self.modern)
            self._prepare_shares[kind, proof, fetches] = share
        return share

    def _limit(self, kind: TaskType, proof: int) -> int:
        """MaxConcurrent; a worker that states caps has those."""
        spec = self._spec
        if kind.kind is not None and spec.cap_aware:
            return spec.caps.of(kind.kind)
        limit = spec.limits.get((kind, proof))
        return limit if limit is not None else demand_of(spec.demands, kind, proof).max_concurrent

    # -- what it carries --------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Take over from the farm's ledger what was restored, was bound by another policy, runs by now, or ended."""
        carried = self.worker.carried
        for task_id in [i for i in self.prepares if i not in carried]:
            self.preparing.free(self.prepares.pop(task_id)[1])
        for task_id in [i for i in self.runs if i not in carried]:
            self.active.free(self.runs.pop(task_id)[1])
        for task_id, task in carried.items():
            if task_id in self.runs:
                continue
            if task.state == "running" or (task.state == "prepared" and not task.waits):
                self.activate(task)
            elif task_id not in self.prepares:
                self.prepare(task)

    def prepare(self, task: Task) -> None:
        share = self.prepare_share(task)
        self.prepares[task.spec.id] = (task, share)
        self.preparing.add(share)

    def activate(self, task: Task) -> None:
        """It takes its turn; what it held as a preparing one is free."""
        before = self.prepares.pop(task.spec.id, None)
        if before is not None:
            self.preparing.free(before[1])
        share = self.share(task)
        self.runs[task.spec.id] = (task, share)
        self.active.add(share)

    def prepared(self) -> list[Task]:
        """Those that wait for their turn, the longest waiting first."""
        waiting = [t for t, _ in self.prepares.values() if t.waits and t.state == "prepared"]
        return sorted(waiting, key=lambda t: (t.since, t.spec.id)) if len(waiting) > 1 else waiting

    def can_run(self, task: Task) -> bool:
        return self.active.fits(self.share(task), self._spec)

    def can_prepare(self, task: Task) -> bool:
        return self.preparing.fits(self.prepare_share(task), self._spec)

    # -- windows ----------------------------------------------------------------------------------------------------

    def compact(self) -> list[tuple[Task, Window]]:
        """Move tasks from a later window to the one before it while they fit; drop empty windows. What was moved."""
        spec = self._spec
        moved: list[tuple[Task, Window]] = []
        for lower, window in zip(self.windows, self.windows[1:], strict=False):
            stay: list[Task] = []
            for task in window.todo:
                share = self.share(task)
                if lower.used.fits(share, spec):
                    lower.todo.append(task)
                    lower.used.add(share)
                    window.used.free(share)
                    moved.append((task, lower))
                else:
                    stay.append(task)
            window.todo = stay
        self.windows = [window for window in self.windows if window.todo]
        return moved

    def utilization(self) -> float:
        spec = self._spec
        total = self.active.utilization(spec) + self.preparing.utilization(spec)
        for window in self.windows:
            total += window.used.utilization(spec)
        return total

    def count(self, kind: TaskType | None, proof: int) -> int:
        """Tasks that it carries, or has in windows: of a type and proof, or of any (then, as in Lotus, what is carried
        counts twice: both its ledgers show the count that they share)."""
        if kind is None:
            carried = sum(self.active.counts.values())
            return 2 * carried + sum(sum(w.used.counts.values()) for w in self.windows)
        key = (kind.value, proof)
        return 2 * self.active.counts.get(key, 0) + sum(w.used.counts.get(key, 0) for w in self.windows)


def prepares_by_fetch(task: Task) -> bool:
    """Whether the task's prepare step is a fetch in Lotus, be there something to fetch or not."""
    return task.spec.type is not _AP and (bool(task.needs.inputs) or task.needs.selector is SELECT_MOVE)


def must_prepare(task: Task, worker: Worker) -> bool:
    """Whether something has to be brought to the worker before the task can start there."""
    if task.needs.selector is SELECT_MOVE:
        return bool(task.needs.key & task.sector.declared() & ~worker.own(task.sector))
    return bool(brings(task, worker))
