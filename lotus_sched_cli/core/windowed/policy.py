"""Lotus's scheduler: tasks go into windows that workers ask for, up to two windows ahead of time (scheduling.md B1-B3).

What is shared with the balanced policy: which worker is enabled, offers a type, has or may take the files; room is kept
for what is bound; a worker that fails rests. Caps and holds are the balanced policy's own; here resources decide, and
``MaxConcurrent``. Unlike Lotus, nothing is lost with a worker of the 2020 variant, and a task that has no room any more
when its turn to prepare comes is queued again instead of being sent to fail.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from lotus_sched_cli.core import space
from lotus_sched_cli.core.decisions import Laid, Refusal
from lotus_sched_cli.core.eligibility import may_hold, offers, ready
from lotus_sched_cli.core.farm import Farm
from lotus_sched_cli.core.records import Task, Worker

from .assigners import ASSIGNERS, Assigner
from .bench import READY, WINDOWS, Bench, Window, must_prepare
from .draw import Lots
from .giving import Pass
from .judging import judge, validate
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
        self.modern = farm.settings.assigner != "2020"
        self.empty: Usage = Usage() if self.modern else Usage2020()
        self._make = ASSIGNERS[farm.settings.assigner]
        self._lots = Lots()
        self.local = farm.settings.disallow_remote_finalize
        self.starts: float | None = None
        self._stamps = count(1)
        self._windows = count(1)
        #: The window in which a task waits.
        self.in_window: dict[str, Window] = {}
        #: Workers with open windows, in the order in which they asked.
        self.open: dict[str, Bench] = {}
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
        window = self.in_window.pop(task.spec.id, None)
        if window is not None:
            window.todo.remove(task)
            window.used.free(window.bench.share(task))
            self.touch(window.bench)
        self.leave_line(task)

    def leave_line(self, task: Task) -> None:
        if not task.stamp:
            return
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
        window = self.in_window.get(task.spec.id)
        if window is not None and not task.missing and self._may(task, window.bench.worker):
            return
        self.task_removed(task)
        self.task_added(task)

    def task_prepared(self, task: Task) -> None:
        assert task.worker is not None
        self.touch(self.bench_of(task.worker))

    def reshaped(self, worker: Worker) -> None:
        bench = self.bench_of(worker)
        for line in self.lines.values():
            line.admit(bench)
        for path in worker.paths.values():
            for sector_id in sorted(path.sectors):
                for task in self.farm.sectors[sector_id].tasks:
                    if task.waiting:
                        self.task_changed(task)
        self.improved(worker)

    def improved(self, worker: Worker) -> None:
        bench = self.bench_of(worker)
        self.touch(bench)
        self._fresh[worker.id] = bench

    def lighter(self, worker: Worker) -> None:
        self.improved(worker)

    def worsened(self, worker: Worker) -> None:
        self.touch(self.bench_of(worker))

    def close(self) -> None:
        for worker in self.farm.workers.values():
            worker.specials = {}

    def touch(self, bench: Bench) -> None:
        self._dirty[bench.worker.id] = bench

    def bench_of(self, worker: Worker) -> Bench:
        bench = self.benches.get(worker.id)
        if bench is None or bench.worker is not worker:
            bench = self.benches[worker.id] = Bench(worker, self.modern)
            for line in self.lines.values():
                line.admit(bench)
            self.touch(bench)
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
            line = self.lines[key] = Line(key, task, layout, self.local)
            for worker in self.farm.workers.values():
                line.admit(self.bench_of(worker))
        line.pass_number = self.number
        return line

    def _trim(self) -> None:
        if len(self.lines) < SPARE_LINES:
            return
        idle = sorted((x for x in self.lines.values() if not x.waiting), key=lambda x: x.pass_number)
        for line in idle[: SPARE_LINES // 2]:
            del self.lines[line.key]

    def _may(self, task: Task, worker: Worker) -> bool:
        return offers(worker, task.spec.type) and may_hold(task, worker, self.local)

    # -- a run ------------------------------------------------------------------------------------------------------

    def run(self, now: float) -> list[Task]:
        if self.starts is None:
            self.starts = now + INIT_WAIT
            self.farm.timer(self.starts, "policy")
        bound: list[Task] = []
        while True:
            self._settle(now, bound)
            if now < self.starts or not (self._new or self._fresh):
                break
            if self.open:
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
                self.in_window[task.spec.id] = window
            if self.modern and not bench.prepared():
                self._start(bench, now, bound, ready_only=True)
            self._start(bench, now, bound, ready_only=False)
            self._ask(bench)
        elif self.farm.workers.get(worker.id) is not worker and self.benches.get(worker.id) is bench:
            # The farm has forgotten it.
            del self.benches[worker.id]
            self._fresh.pop(worker.id, None)

    def _withdraw(self, bench: Bench) -> None:
        """Its windows are no more; what waits in them is queued again."""
        tasks = [task for window in bench.windows for task in window.todo]
        bench.windows, bench.asked = [], []
        self.open.pop(bench.worker.id, None)
        for task in tasks:
            del self.in_window[task.spec.id]
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
        del self.in_window[task.spec.id]
        laid = self.fit(task, worker, now)
        if laid is None:
            self.task_added(task)
            return
        starts = at_once or (not must_prepare(task, worker) and bench.can_run(task))
        task.waits = not starts
        self.farm.bind(task, worker, laid, now)
        bench.activate(task) if starts else bench.prepare(task)
        bound.append(task)

    def fit(self, task: Task, worker: Worker, now: float) -> tuple[Laid, ...] | None:
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
            self.open[bench.worker.id] = bench
            self._fresh[bench.worker.id] = bench

    # -- a pass -----------------------------------------------------------------------------------------------------

    def assign(self, now: float) -> None:
        """One pass: put waiting tasks into open windows, in the order of the queue."""
        self.number += 1
        new, fresh = self._new | self._deferred, self._fresh
        self._new, self._fresh = {}, {}
        assigner: Assigner = self._make(self._lots)
        self._deferred = Pass(self, assigner, now).run(list(new.values()), list(fresh.values()))
        if self._dirty:
            # Windows were filled: in the next pass others are open.
            self._new |= self._deferred

    # -- questions --------------------------------------------------------------------------------------------------

    def order(self, task: Task) -> Any:
        return order_of(task)

    def window_of(self, task: Task) -> tuple[Worker, int] | None:
        window = self.in_window.get(task.spec.id)
        if window is None:
            return None
        return window.bench.worker, window.bench.windows.index(window) + 1

    def open_windows(self) -> list[str] | None:
        asked = [window for bench in self.open.values() for window in bench.asked]
        return [window.bench.worker.id for window in sorted(asked, key=lambda w: w.number)]

    def judge(self, task: Task, worker: Worker, now: float) -> Refusal | None:
        return judge(self, task, worker, now)

    def validate(self, now: float) -> None:
        validate(self)
