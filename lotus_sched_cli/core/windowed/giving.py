"""One pass: waiting tasks go into open windows, in the order of the queue (scheduling.md B2).

Source: Lotus ``storage/sealer/sched_assigner_common.go``. Looked at are lines of like tasks, not tasks: those that are new, and
those that a worker with new windows takes; what the other open windows refused before, they refuse still.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from lotus_sched_cli.core import space
from lotus_sched_cli.core.eligibility import ready
from lotus_sched_cli.core.needs import SELECT_MOVE, SELECT_TASK
from lotus_sched_cli.core.records import Task, Worker

from .assigners import Assigner, Entry, Rank
from .bench import Bench
from .lines import Line

if TYPE_CHECKING:
    from .policy import Windowed


class Pass:
    """The pass that is under way."""

    def __init__(self, policy: Windowed, assigner: Assigner, now: float) -> None:
        self._policy = policy
        self._assigner = assigner
        self._now = now
        self._number = policy.number
        # v0.8.1 knows no preferred workers.
        self._prefers = policy.modern
        self._deferred: dict[str, Task] = {}

    def run(self, new: list[Task], fresh: list[Bench]) -> dict[str, Task]:
        """Fill windows with the ``new`` tasks, and with what waits for those of the ``fresh`` workers.

        The moves whose preferred workers were full: the others are asked in the next pass.
        """
        sources = self._sources(new, fresh)
        if not sources:
            return {}
        touched: dict[int, Line] = {}
        tie = count(len(sources))
        while sources:
            _, _, source = heappop(sources)
            line = source if isinstance(source, Line) else source.pools[0] if source.pools else None
            if line is None:
                continue
            touched[id(line)] = line
            if isinstance(source, Task):
                self._attempt(source, line)
                continue
            # On with this line for as long as its head comes before all others.
            while line.closed != self._number and (head := line.head()) is not None:
                if sources and sources[0][0] < head[0]:
                    heappush(sources, (head[0], next(tie), line))
                    break
                if not self._attempt(head[1], line):
                    line.pass_by()
        for line in touched.values():
            line.end_pass()
        self._deliver()
        return self._deferred

    def _sources(self, new: list[Task], fresh: list[Bench]) -> list[tuple[Any, int, Task | Line]]:
        """A heap of the heads of lines, and of tasks that must be looked at for themselves."""
        sources: list[tuple[Any, int, Task | Line]] = []
        tie = count()
        names = [bench.worker.id for bench in fresh if bench.asked]
        lines = {
            id(line): line
            for line in self._policy.lines.values()
            if line.waiting and any(name in line.members for name in names)
        }
        alone = {task.spec.id: task for task in new}
        for bench in fresh:
            if bench.asked:
                for tasks in bench.worker.specials.values():
                    alone |= tasks
        for task in new:
            lines[id(task.pools[0])] = task.pools[0]
        for task in alone.values():
            if _stands_alone(task, task.pools[0]):
                heappush(sources, (self._policy.order(task), next(tie), task))
        for line in lines.values():
            if (head := line.head()) is not None:
                heappush(sources, (head[0], next(tie), line))
        return sources

    def _attempt(self, task: Task, line: Line) -> bool:
        """Put the task into a window, if one takes it; the line is closed for this pass once none would."""
        assigner = self._assigner
        if line.field is None:
            entries = self._entries(line)
            line.asked = {e.bench.worker.id for e in entries}
            line.field = assigner.field(entries, line.kind, line.proof)
        own = self._own_entries(task, line) if task.specials else []
        first = [e for e in own if self._prefers and preferred(task, e.bench.worker)]
        if first:
            nowhere: list[Entry] = []
            found = assigner.field(nowhere, line.kind, line.proof).best(first)
        else:
            found = line.field.best(own)
        if found is None:
            if first:
                self._deferred[task.spec.id] = task
            if line.field.empty():
                line.closed = self._number
            return False
        bench = found.bench
        share = bench.share(task)
        spec = bench.worker.spec
        task.reasons = {
            "assigner": self._policy.farm.settings.assigner or "utilization",
            "window": found.number,
            "utilization": round(bench.load, 6),
        }
        found.used.add(share)
        before, found.level = found.level, found.used.utilization(spec)
        bench.load += found.level - before
        found.todo.append(task)
        assigner.placed(task, bench)
        self._policy.leave_line(task)
        self._policy.in_window[task.spec.id] = found
        return True

    def _entries(self, line: Line) -> list[Entry]:
        """The line's workers with open windows that an empty window of would take a task."""
        entries: list[Entry] = []
        by_types = line.needs.selector is SELECT_TASK
        for bench in self._policy.open.values():
            worker = bench.worker
            if worker.id not in line.members or not ready(worker, line.kind, self._now):
                continue
            share = bench.share_for(line.kind, line.proof)
            if (
                not self._policy.empty.fits(share, worker.spec)
                or space.lay(line.probe, worker, self._now) is None
            ):
                continue
            entry = Entry(bench, share, self._rank(bench, by_types))
            entries += [entry] * len(bench.asked)
        if self._prefers and line.needs.selector is SELECT_MOVE:
            first = [e for e in entries if preferred(line.probe, e.bench.worker)]
            entries = first or entries
        return entries

    def _own_entries(self, task: Task, line: Line) -> list[Entry]:
        """The same of workers that take it only because they have some of its files; or that are preferred for it."""
        entries: list[Entry] = []
        move = self._prefers and line.needs.selector is SELECT_MOVE
        for worker in task.specials:
            if worker.id in line.asked and not (move and preferred(task, worker)):
                continue
            bench = self._policy.bench_of(worker)
            if not bench.asked or self._policy.fit(task, worker, self._now) is None:
                continue
            share = bench.share(task)
            if self._policy.empty.fits(share, worker.spec):
                entries.append(Entry(bench, share, self._rank(bench, line.needs.selector is SELECT_TASK)))
        return entries

    def _rank(self, bench: Bench, by_types: bool) -> Rank:
        """The selector's comparison: fewer task types first where files do not matter, then lower utilization."""
        if bench.weighed != self._number:
            # What this pass puts into open windows counts in ``load`` only.
            bench.weighed = self._number
            bench.load = bench.base = bench.utilization()
        return (len(bench.worker.spec.tasks) if by_types else 0), bench.base

    def _deliver(self) -> None:
        """Windows that got tasks go to their workers; the others stay open."""
        policy = self._policy
        for bench in list(policy.open.values()):
            filled = [window for window in bench.asked if window.todo]
            if not filled:
                continue
            bench.asked = [window for window in bench.asked if not window.todo]
            bench.windows += filled
            if not bench.asked:
                del policy.open[bench.worker.id]
            policy.touch(bench)


def _stands_alone(task: Task, line: Line) -> bool:
    """Some worker may take it that does not take the others of its line."""
    if not task.specials:
        return False
    if task.needs.selector is SELECT_MOVE:
        return True
    return any(worker.id not in line.members for worker in task.specials)


def preferred(task: Task, worker: Worker) -> bool:
    """For a move: one of its storage paths has some of the files already."""
    if task.needs.selector is not SELECT_MOVE:
        return False
    for path_id, path in worker.paths.items():
        there = task.sector.files.get(path_id)
        if there is not None and path.spec.can_store and there.types & task.needs.key:
            return True
    return False
