"""Lotus's scheduler: tasks go into windows that workers ask for, up to two windows ahead of time (scheduling.md B1-B3).

What is shared with the balanced policy: which worker is enabled, offers a type, has or may take the files; room is kept
for what is bound; a worker that fails rests. Caps and holds are the balanced policy's own; here resources decide, and
``MaxConcurrent``. Unlike Lotus, nothing is lost with a worker of the 2020 variant, and a task that has no room any more
when its turn to prepare comes is queued again instead of being sent to fail.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from lotus_sched_cli.core import space
from lotus_sched_cli.core.decisions import Laid, Refusal, Why
from lotus_sched_cli.core.eligibility import judge_without_caps, may_hold, offers, ready
from lotus_sched_cli.core.farm import Farm
from lotus_sched_cli.core.needs import Selector
from lotus_sched_cli.core.records import Task, Worker

from .assigners import ASSIGNERS, Assigner, Entry, Rank
from .bench import READY, WINDOWS, Bench, Window, must_prepare
from .draw import Lots
from .lines import MANY_OWNERS, Layout, Line, line_key, order_of
from .usage import Usage, Usage2020

#: Seconds after the start before the first pass.
INIT_WAIT: Final = 3.0
#: Lines kept though no task waits in them.
SPARE_LINES: Final = 256


class Windowed:
    """Implements ``policy.Policy``."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.benches: dict[str, Bench] = {}
        self.lines: dict[tuple[Any, ...], Line] = {}
        self.number = 0
        self._modern = farm.settings.assigner != "2020"
        self._empty: Usage = Usage() if self._modern else Usage2020()
        self._make = ASSIGNERS[farm.settings.assigner]
        self._lots = Lots()
        self._local = farm.settings.disallow_remote_finalize
        self._starts: float | None = None
        self._stamps = count(1)
        self._windows = count(1)
        #: The window in which a task waits.
        self._in: dict[str, Window] = {}
        #: Workers with open windows, in the order in which they asked.
        self._open: dict[str, Bench] = {}
        self._dirty: dict[str, Bench] = {}
        self._new: dict[str, Task] = {}
        self._fresh: dict[str, Bench] = {}
        #: Moves whose preferred workers were full: the others are asked in the next pass.
        self._deferred: dict[str, Task] = {}

    # -- what the farm tells ----------------------------------------------------------------------------------------

    def task_added(self, task: Task) -> None:
        task.stamp = next(self._stamps)
        task.pools, task.specials = (), ()
        if task.missing:
            return
        line = self._find_line(task)
        worker: Worker
        for worker in task.specials:
            worker.specials.setdefault(task.spec.type, {})[task.spec.id] = task
        task.pools = (line,)
        line.add(task)
        self._new[task.spec.id] = task

    def task_removed(self, task: Task) -> None:
        window = self._in.pop(task.spec.id, None)
        if window is not None:
            window.todo.remove(task)
            window.used.free(window.bench.share(task))
            self._touch(window.bench)
        self._leave_line(task)

    def _leave_line(self, task: Task) -> None:
        task.stamp = 0
        if task.pools:
            task.pools[0].waiting -= 1
            task.pools = ()
        for worker in task.specials:
            worker.specials[task.spec.type].pop(task.spec.id, None)
        task.specials = ()
        self._new.pop(task.spec.id, None)
        self._deferred.pop(task.spec.id, None)

    def task_changed(self, task: Task) -> None:
        window = self._in.get(task.spec.id)
        if window is not None and not task.missing and self._may(task, window.bench.worker):
            return
        self.task_removed(task)
        self.task_added(task)

    def task_prepared(self, task: Task) -> None:
        assert task.worker is not None
        self._touch(self._bench(task.worker))

    def reshaped(self, worker: Worker) -> None:
        bench = self._bench(worker)
        for line in self.lines.values():
            line.admit(bench)
        for path in worker.paths.values():
            for sector_id in sorted(path.sectors):
                for task in list(self.farm.sectors[sector_id].tasks.values()):
                    if task.waiting:
                        self.task_changed(task)
        self.improved(worker)

    def improved(self, worker: Worker) -> None:
        bench = self._bench(worker)
        self._touch(bench)
        self._fresh[worker.id] = bench

    def lighter(self, worker: Worker) -> None:
        self.improved(worker)

    def worsened(self, worker: Worker) -> None:
        self._touch(self._bench(worker))

    def close(self) -> None:
        for worker in self.farm.workers.values():
            worker.specials = {}

    def _touch(self, bench: Bench) -> None:
        self._dirty[bench.worker.id] = bench

    def _bench(self, worker: Worker) -> Bench:
        bench = self.benches.get(worker.id)
        if bench is None or bench.worker is not worker:
            bench = self.benches[worker.id] = Bench(worker, self._modern)
            for line in self.lines.values():
                line.admit(bench)
            self._touch(bench)
        return bench

    # -- where a task may go ----------------------------------------------------------------------------------------

    def _find_line(self, task: Task) -> Line:
        """Its line; and the workers that are looked at for it alone, as they have some of its files."""
        workers, touched = self.farm.workers, task.needs.touched
        special: dict[str, Worker] = {}
        layout: list[tuple[str, int]] = []
        for path_id, placement in task.sector.files.items():
            types = placement.types & touched
            if not types:
                continue
            owners = self.farm.paths[path_id].spec.owners
            if len(owners) > MANY_OWNERS:
                layout.append((path_id, types))
                continue
            for worker_id in owners:
                if (worker := workers.get(worker_id)) is not None:
                    special[worker_id] = worker
        task.specials = tuple(special[worker_id] for worker_id in sorted(special))
        return self._line(task, tuple(sorted(layout)))

    def _line(self, task: Task, layout: Layout) -> Line:
        key = line_key(task, layout)
        line = self.lines.get(key)
        if line is None:
            self._trim()
            line = self.lines[key] = Line(key, task, layout, self._local)
            for worker in self.farm.workers.values():
                line.admit(self._bench(worker))
        line.pass_number = self.number
        return line

    def _trim(self) -> None:
        if len(self.lines) < SPARE_LINES:
            return
        idle = sorted((x for x in self.lines.values() if not x.waiting), key=lambda x: x.pass_number)
        for line in idle[: SPARE_LINES // 2]:
            del self.lines[line.key]

    def _may(self, task: Task, worker: Worker) -> bool:
        return offers(worker, task.spec.type) and may_hold(task, worker, self._local)

    # -- a run ------------------------------------------------------------------------------------------------------

    def run(self, now: float) -> list[Task]:
        if self._starts is None:
            self._starts = now + INIT_WAIT
            self.farm.timer(self._starts, "policy")
        bound: list[Task] = []
        while True:
            self._settle(now, bound)
            if now < self._starts or not (self._new or self._fresh):
                break
            if self._open:
                self.assign(now)
            else:
                self._new, self._fresh = {}, {}
        bound.sort(key=order_of)
        return bound

    # -- the workers' side ------------------------------------------------------------------------------------------

    def _settle(self, now: float, bound: list[Task]) -> None:
        """Every worker of which something changed looks after its windows."""
        while self._dirty:
            dirty, self._dirty = self._dirty, {}
            for bench in dirty.values():
                self._look_after(bench, now, bound)

    def _look_after(self, bench: Bench, now: float, bound: list[Task]) -> None:
        worker = bench.worker
        bench.refresh()
        bench.sync()
        if not bench.enabled or bench.session != worker.spec.session:
            bench.session = worker.spec.session
            self._withdraw(bench)
        for task in bench.prepared():
            # A worker that has come back smaller would leave it there for good: alone, it runs.
            if bench.can_run(task) or not bench.runs:
                bench.activate(task)
                self.farm.start(task)
        if bench.enabled:
            for task, window in bench.compact():
                self._in[task.spec.id] = window
            if self._modern and not bench.prepared():
                self._start(bench, now, bound, ready_only=True)
            self._start(bench, now, bound, ready_only=False)
            self._ask(bench)
        elif not worker.known and not worker.carried:
            self.benches.pop(worker.id, None)
            self._fresh.pop(worker.id, None)

    def _withdraw(self, bench: Bench) -> None:
        """Its windows are no more; what waits in them is queued again."""
        tasks = [task for window in bench.windows for task in window.todo]
        bench.windows, bench.asked = [], []
        self._open.pop(bench.worker.id, None)
        for task in tasks:
            del self._in[task.spec.id]
            self.task_added(task)

    def _start(self, bench: Bench, now: float, bound: list[Task], ready_only: bool) -> None:
        """Begin what fits of the first window, then of the next one once it is empty.

        ``ready_only``: C1 and C2 that fit beside what runs; they start without a prepare step.
        """
        while bench.windows:
            first = bench.windows[0]
            while first.todo:
                task = self._next(bench, first, ready_only)
                if task is None:
                    return
                self._begin(bench, first, task, now, bound, ready_only)
            # What it had allocated goes with it, and not before.
            del bench.windows[0]

    @staticmethod
    def _next(bench: Bench, window: Window, ready_only: bool) -> Task | None:
        if ready_only:
            fits = (t for t in window.todo if t.spec.type in READY and bench.can_run(t))
        else:
            fits = (t for t in window.todo if bench.can_prepare(t))
        return next(fits, None)

    def _begin(
        self, bench: Bench, window: Window, task: Task, now: float, bound: list[Task], at_once: bool
    ) -> None:
        worker = bench.worker
        window.todo.remove(task)
        del self._in[task.spec.id]
        laid = self._fit(task, worker, now)
        if laid is None:
            self.task_added(task)
            return
        starts = at_once or (not must_prepare(task, worker) and bench.can_run(task))
        task.waits = not starts
        self.farm.bind(task, worker, laid, now)
        bench.activate(task) if starts else bench.prepare(task)
        bound.append(task)

    def _fit(self, task: Task, worker: Worker, now: float) -> tuple[Laid, ...] | None:
        """Where its files would go; None if the worker cannot take it any more."""
        if task.missing or not ready(worker, task.spec.type, now) or not self._may(task, worker):
            return None
        return space.lay(task, worker, now)

    def _ask(self, bench: Bench) -> None:
        """Ask for windows in place of those that are gone."""
        missing = WINDOWS - len(bench.windows) - len(bench.asked)
        if missing > 0:
            for _ in range(missing):
                window = Window(bench, next(self._windows), bench.usage())
                window.level = window.used.utilization(bench.worker.spec)
                bench.asked.append(window)
            self._open[bench.worker.id] = bench
            self._fresh[bench.worker.id] = bench

    # -- a pass -----------------------------------------------------------------------------------------------------

    def assign(self, now: float) -> None:
        """One pass: put waiting tasks into open windows, in the order of the queue."""
        self.number += 1
        new, fresh = self._new | self._deferred, self._fresh
        self._new, self._fresh, self._deferred = {}, {}, {}
        for bench in self._open.values():
            bench.load = bench.base = bench.utilization()
        assigner: Assigner = self._make(self._lots)
        sources: list[tuple[Any, int, Task | Line]] = []
        tie = count()
        lines = {id(x): x for x in self.lines.values() if x.waiting and any(w in x.members for w in fresh)}
        for task in new.values():
            line = task.pools[0]
            lines[id(line)] = line
            if _stands_alone(task, line):
                heappush(sources, (order_of(task), next(tie), task))
        for bench in fresh.values():
            if bench.asked:
                for tasks in bench.worker.specials.values():
                    for task in tasks.values():
                        if _stands_alone(task, task.pools[0]):
                            heappush(sources, (order_of(task), next(tie), task))
        for line in lines.values():
            if (head := line.head()) is not None:
                heappush(sources, (head[0], next(tie), line))
        touched: dict[int, Line] = {}
        while sources:
            _, _, source = heappop(sources)
            if isinstance(source, Line):
                line = source
                if line.closed == self.number or (head := line.head()) is None:
                    continue
                touched[id(line)] = line
                if not self._attempt(head[1], line, assigner, now):
                    line.pass_by()
                if line.closed != self.number and (head := line.head()) is not None:
                    heappush(sources, (head[0], next(tie), line))
            elif source.pools:
                line = source.pools[0]
                if line.closed != self.number or source.specials:
                    touched[id(line)] = line
                    self._attempt(source, line, assigner, now)
        for line in touched.values():
            line.end_pass()
        self._deliver()

    def _attempt(self, task: Task, line: Line, assigner: Assigner, now: float) -> bool:
        """Put the task into a window, if one takes it; the line is closed for this pass once none would."""
        if line.field is None:
            entries = self._entries(line, now)
            line.asked = {e.bench.worker.id for e in entries}
            line.field = assigner.field(entries, line.kind, line.proof)
        own = self._own_entries(task, line, now) if task.specials else []
        preferred = [e for e in own if _preferred(task, e.bench.worker)]
        if preferred:
            nowhere: list[Entry] = []
            found = assigner.field(nowhere, line.kind, line.proof).best(preferred)
        else:
            found = line.field.best(own)
        if found is None:
            if preferred:
                self._deferred[task.spec.id] = task
            if line.field.empty():
                line.closed = self.number
            return False
        bench = found.bench
        share = bench.share(task)
        spec = bench.worker.spec
        task.reasons = {
            "assigner": self.farm.settings.assigner or "utilization",
            "window": found.number,
            "utilization": round(bench.load, 6),
        }
        found.used.add(share)
        before, found.level = found.level, found.used.utilization(spec)
        bench.load += found.level - before
        found.todo.append(task)
        assigner.placed(task, bench)
        self._leave_line(task)
        self._in[task.spec.id] = found
        return True

    def _entries(self, line: Line, now: float) -> list[Entry]:
        """The line's workers with open windows that an empty window of would take a task."""
        entries: list[Entry] = []
        by_types = line.needs.selector is Selector.TASK
        for bench in self._open.values():
            worker = bench.worker
            if worker.id not in line.members or not ready(worker, line.kind, now):
                continue
            share = bench.share_for(line.kind, line.proof)
            if not self._empty.fits(share, worker.spec) or space.lay(line.probe, worker, now) is None:
                continue
            entry = Entry(bench, share, _rank(bench, by_types))
            entries += [entry] * len(bench.asked)
        if line.needs.selector is Selector.MOVE:
            preferred = [e for e in entries if _preferred(line.probe, e.bench.worker)]
            entries = preferred or entries
        return entries

    def _own_entries(self, task: Task, line: Line, now: float) -> list[Entry]:
        """The same of workers that take it only because they have some of its files; or that are preferred for it."""
        entries: list[Entry] = []
        move = line.needs.selector is Selector.MOVE
        for worker in task.specials:
            if worker.id in line.asked and not (move and _preferred(task, worker)):
                continue
            bench = self._bench(worker)
            if not bench.asked or self._fit(task, worker, now) is None:
                continue
            share = bench.share(task)
            if self._empty.fits(share, worker.spec):
                entries.append(Entry(bench, share, _rank(bench, line.needs.selector is Selector.TASK)))
        return entries

    def _deliver(self) -> None:
        """Windows that got tasks go to their workers; the others stay open."""
        for bench in list(self._open.values()):
            filled = [window for window in bench.asked if window.todo]
            if not filled:
                continue
            bench.asked = [window for window in bench.asked if not window.todo]
            bench.windows += filled
            if not bench.asked:
                del self._open[bench.worker.id]
            self._touch(bench)
        if self._dirty and self._deferred:
            self._new |= self._deferred

    # -- questions --------------------------------------------------------------------------------------------------

    def order(self, task: Task) -> Any:
        return order_of(task)

    def window_of(self, task: Task) -> tuple[Worker, int] | None:
        window = self._in.get(task.spec.id)
        if window is None:
            return None
        return window.bench.worker, window.bench.windows.index(window) + 1

    def open_windows(self) -> list[str] | None:
        asked = [window for bench in self._open.values() for window in bench.asked]
        return [window.bench.worker.id for window in sorted(asked, key=lambda w: w.number)]

    def judge(self, task: Task, worker: Worker, now: float) -> Refusal | None:
        common = judge_without_caps(task, worker, now, self._local)
        if common is not None:
            return common
        bench = self.benches[worker.id]
        lack = self._empty.lack(bench.share(task), worker.spec, "schedAcceptable")
        if lack is not None:
            return lack
        window = self._in.get(task.spec.id)
        if window is not None:
            return self._judge_assigned(task, window, bench)
        if self._starts is None or now < self._starts:
            return Refusal(Why.STARTING, {"until": self._starts if self._starts is not None else now})
        if not bench.asked:
            waiting = sum(len(w.todo) for w in bench.windows)
            return Refusal(Why.WINDOWS, {"windows": len(bench.windows), "waiting": waiting})
        if task.needs.selector is Selector.MOVE and not _preferred(task, worker):
            others = (b for b in self._open.values() if _preferred(task, b.worker))
            if any(judge_without_caps(task, b.worker, now, self._local) is None for b in others):
                return Refusal(Why.NOT_PREFERRED)
        return None

    def _judge_assigned(self, task: Task, window: Window, bench: Bench) -> Refusal:
        """It is on its way to one worker: nobody else gets it, whoever is idle."""
        if window.bench is bench and window is bench.windows[0]:
            lack = bench.preparing.lack(bench.prepare_share(task), bench.worker.spec, "startPreparing")
            if lack is not None:
                return lack
        label = window.bench.worker.spec.label
        return Refusal(Why.IN_WINDOW, {"worker": label, "window": window.bench.windows.index(window) + 1})

    # -- invariants -------------------------------------------------------------------------------------------------

    def validate(self, now: float) -> None:
        """Every waiting task is in its line or in one window; ledgers are the sums of what is in them."""
        for task in self.farm.tasks.values():
            window = self._in.get(task.spec.id)
            if window is not None:
                assert task.waiting and not task.pools, f"{task.spec.id}: in a window and elsewhere"
                assert task in window.todo and window in window.bench.windows, f"{task.spec.id}: lost window"
            elif task.waiting and not task.missing:
                assert task.pools and task.stamp, f"{task.spec.id}: waits in no line"
        for line in self.lines.values():
            waiting = sum(1 for t in self.farm.tasks.values() if t.pools and t.pools[0] is line)
            assert line.waiting == waiting, f"line {line.key} counts {line.waiting}, {waiting} wait"
            expected = {w.id for w in self.farm.workers.values() if line.admits(w)}
            assert {i for i in line.members if i in self.farm.workers} == expected, f"members of {line.key}"
        for worker in self.farm.workers.values():
            self._validate_bench(self.benches[worker.id])

    def _validate_bench(self, bench: Bench) -> None:
        name = bench.worker.id
        assert bench.worker is self.farm.workers.get(name), f"{name}: a stale bench"
        assert set(bench.prepares) | set(bench.runs) == set(bench.worker.carried), f"{name}: what it carries"
        assert not set(bench.prepares) & set(bench.runs), f"{name}: prepares and runs"
        windows = len(bench.windows) + len(bench.asked)
        assert windows == (WINDOWS if bench.enabled else 0), f"{name}: {windows} windows"
        assert all(w.todo for w in bench.windows) and not any(w.todo for w in bench.asked), f"{name}: windows"
        assert bool(bench.asked) == (name in self._open), f"{name}: asks"
        for window in bench.windows:
            assert all(self._in.get(t.spec.id) is window for t in window.todo), f"{name}: a window's tasks"
        for ledger, carried in ((bench.preparing, bench.prepares), (bench.active, bench.runs)):
            shares = [share for _, share in carried.values()]
            assert ledger.min_memory == sum(s.min_memory for s in shares), f"{name}: memory of a ledger"
            assert ledger.cpu == sum(s.threads for s in shares), f"{name}: threads of a ledger"


def _stands_alone(task: Task, line: Line) -> bool:
    """Some worker may take it that does not take the others of its line."""
    if not task.specials:
        return False
    if task.needs.selector is Selector.MOVE:
        return True
    return any(worker.id not in line.members for worker in task.specials)


def _rank(bench: Bench, by_types: bool) -> Rank:
    """The selector's comparison: fewer task types first where files do not matter, then lower utilization."""
    return (len(bench.worker.spec.tasks) if by_types else 0), bench.base


def _preferred(task: Task, worker: Worker) -> bool:
    """For a move: one of its storage paths has some of the files already."""
    if task.needs.selector is not Selector.MOVE:
        return False
    for path_id, path in worker.paths.items():
        there = task.sector.files.get(path_id)
        if there is not None and path.spec.can_store and there.types & task.needs.key:
            return True
    return False
