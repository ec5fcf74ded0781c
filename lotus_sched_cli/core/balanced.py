"""The balanced policy: every task at once to the worker that carries least, within caps (scheduling.md A6, A7).

Nothing here looks at task × worker. A task is drawn from the pools of its class (``pools.py``) or goes to one of the few
workers that have some of its files. A pass looks at the tasks that are new or changed, and at the heads of the queues
that a changed worker can serve, merged in the order of the queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from . import promise, space
from .choice import Rank, full_rank, rank
from .decisions import Laid, Refusal
from .eligibility import judge, offers, ready
from .farm import Farm
from .matching import Chains
from .places import Places
from .pools import Line, Pool
from .prefetch import Prefetching
from .records import Task, Worker
from .tasks import TaskType

_AP: Final = TaskType.ADD_PIECE
_P1: Final = TaskType.PRECOMMIT1
_P2: Final = TaskType.PRECOMMIT2


class Balanced:
    """Implements ``policy.Policy``."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.share = farm.settings.spread_by == "share"
        self.places = Places(farm, self.share)
        self.number = 0
        self._stamps = count(1)
        self._order = count()
        self._dirty_tasks: dict[str, Task] = {}
        self._dirty_pools: dict[int, Pool] = {}
        self._dirty_workers: dict[str, Worker] = {}
        self._chains = Chains(self)
        self._prefetching = Prefetching(self)

    # -- what the farm tells ----------------------------------------------------------------------------------------

    def task_added(self, task: Task) -> None:
        self.places.find(task)
        self._dirty_tasks[task.spec.id] = task
        if task.promise is not None:
            return
        task.stamp = next(self._stamps)
        if task.spec.type is _P2:
            self._prefetching.waits(task)
        place = (task.key, task.stamp, task)
        for pool in task.pools:
            pool.line.enqueue(place)
        for worker in task.specials:
            line = worker.specials.get(task.spec.type)
            if line is None:
                line = worker.specials[task.spec.type] = Line()
            line.enqueue(place)

    def task_removed(self, task: Task) -> None:
        self._dirty_tasks.pop(task.spec.id, None)
        if not task.stamp:
            return
        task.stamp = 0
        if task.spec.type is _P2:
            self._prefetching.waits_no_more()
        for pool in task.pools:
            pool.line.tasks -= 1
        for worker in task.specials:
            worker.specials[task.spec.type].tasks -= 1

    def task_changed(self, task: Task) -> None:
        self.task_removed(task)
        self.task_added(task)

    def task_prepared(self, task: Task) -> None:
        """Bound under a policy that makes prepared tasks wait; here it starts at once."""
        self.farm.start(task)

    def close(self) -> None:
        for worker in self.farm.workers.values():
            worker.pools, worker.specials = [], {}

    def reshaped(self, worker: Worker) -> None:
        self._prefetching.reshaped(worker)
        self.places.admit(worker)
        for path in worker.paths.values():
            for sector_id in sorted(path.sectors):
                for task in self.farm.sectors[sector_id].tasks:
                    if task.waiting:
                        self.task_changed(task)
        self.improved(worker)

    def improved(self, worker: Worker) -> None:
        worker.blocked = False
        self._dirty_workers[worker.id] = worker
        self._prefetching.touched(worker)
        now = self.farm.now
        for pool in worker.pools:
            if pool.offer(worker, now, self.share) and pool.line.tasks:
                pool.closed = 0
                self._dirty_pools[id(pool)] = pool

    def lighter(self, worker: Worker) -> None:
        if worker.blocked:
            self.improved(worker)
            return
        self._prefetching.touched(worker)
        for pool in worker.pools:
            if pool.type is _AP and pool.offer(worker, self.farm.now, self.share) and pool.line.tasks:
                pool.closed = 0
                self._dirty_pools[id(pool)] = pool

    def worsened(self, worker: Worker) -> None:
        """Entries are set right when they come to the top."""
        self._prefetching.touched(worker)

    def changes(self) -> tuple[set[int], set[str]]:
        """What is to be looked at, to be given to ``forget_changes``."""
        return set(self._dirty_pools), set(self._dirty_workers)

    def forget_changes(self, before: tuple[set[int], set[str]]) -> None:
        """Moves were taken back: what they stirred up is as it was."""
        self._dirty_pools = {k: pool for k, pool in self._dirty_pools.items() if k in before[0]}
        self._dirty_workers = {k: worker for k, worker in self._dirty_workers.items() if k in before[1]}

    # -- a pass -----------------------------------------------------------------------------------------------------

    def run(self, now: float) -> list[Task]:
        self.number += 1
        self._chains.reset()
        bound: list[Task] = []
        sources: list[tuple[Any, int, Task | Pool | Own]] = []
        if self.farm.promised:
            changed = self._dirty_workers.values()
            for task in self._prefetching.keep(now, changed, lambda t, w: self._bind_promised(t, w, bound)):
                heappush(sources, (task.key, next(self._order), task))
        while True:
            if self._dirty_tasks or self._dirty_pools or self._dirty_workers:
                self._gather(sources)
            if not sources:
                break
            key, _, source = heappop(sources)
            if isinstance(source, Task):
                if source.waiting and not self._hopeless(source):
                    self._attempt(source, bound)
            elif isinstance(source, Pool):
                source.in_pass = False
                head = source.line.head()
                if head is None or source.closed == self.number:
                    continue
                if head.key != key or self._attempt(head, bound):
                    self._push_pool(sources, source)
            elif self._may_take(source):
                head = source.head()
                if head is not None and head.key == key and not self._attempt(head, bound):
                    source.pass_by()
                self._push_own(sources, source)
        bound.sort(key=_key)
        if self.farm.promised:
            for task in bound:
                promise.settle(self.farm, task)
        self._prefetching.run(now)
        return bound

    # -- tasks whose files are fetched ahead ------------------------------------------------------------------------

    def _bind_promised(self, task: Task, worker: Worker, bound: list[Task]) -> None:
        task.reasons = {"in_question": 1}
        self.farm.bind(task, worker, (), self.farm.now)
        self._chains.placed(task)
        bound.append(task)

    def _gather(self, sources: list[tuple[Any, int, Task | Pool | Own]]) -> None:
        """What changed since: its heads come into the pass."""
        if self._dirty_tasks:
            for task in self._dirty_tasks.values():
                heappush(sources, (task.key, next(self._order), task))
            self._dirty_tasks = {}
        if self._dirty_pools:
            for pool in self._dirty_pools.values():
                self._push_pool(sources, pool)
            self._dirty_pools = {}
        if self._dirty_workers:
            now = self.farm.now
            for worker in self._dirty_workers.values():
                self._chains.revive(worker)
                for kind, line in worker.specials.items():
                    if not line.tasks or not offers(worker, kind):
                        continue
                    if ready(worker, kind, now) and _has_slot(worker, kind):
                        line.head()
                        self._push_own(sources, Own(worker, kind, line))
            self._dirty_workers = {}

    def _push_pool(self, sources: list[tuple[Any, int, Task | Pool | Own]], pool: Pool) -> None:
        head = pool.line.head()
        if head is not None and pool.closed != self.number and not pool.in_pass:
            pool.in_pass = True
            heappush(sources, (head.key, next(self._order), pool))

    def _push_own(self, sources: list[tuple[Any, int, Task | Pool | Own]], own: Own) -> None:
        head = own.head()
        if head is not None:
            heappush(sources, (head.key, next(self._order), own))

    def _may_take(self, own: Own) -> bool:
        """Whether the worker has a slot left for the type, or one that moving a task of this pass might free."""
        return _has_slot(own.worker, own.kind) or self._chains.may_move(own.worker, own.kind)

    def _hopeless(self, task: Task) -> bool:
        """Quickly: every pool of it has been tried in vain in this pass, and no worker has any of its files."""
        return not task.specials and all(pool.closed == self.number for pool in task.pools)

    def _attempt(self, task: Task, bound: list[Task]) -> bool:
        """Bind the task, moving others of this pass if nothing else frees a slot. Closes its pools in vain.

        A promised one is moved for, and bound, only where it would start sooner than where its files are fetched to; that
        says nothing of its pools.
        """
        if self.place(task):
            bound.append(task)
            self._chains.placed(task)
            return True
        free = task.promise is None
        if (free or self._sooner(task, space.needed(task))) and self._chains.make_room(task):
            bound.append(task)
            return True
        if free:
            for pool in task.pools:
                pool.closed = self.number
        return False

    def place(self, task: Task) -> bool:
        """Bind the task by rules 0 to 5 to a worker with a free slot; False if there is none."""
        found = self.choose(task)
        if found is None:
            return False
        worker, laid, reasons = found
        task.reasons = reasons
        self.farm.bind(task, worker, laid, self.farm.now)
        return True

    def choose(self, task: Task) -> tuple[Worker, tuple[Laid, ...], dict[str, Any]] | None:
        """The worker for the task, where its files go, and why."""
        if task.missing:
            return None
        now, number = self.farm.now, self.number
        best: tuple[Any, ...] | None = None
        chosen: Worker | None = None
        laid: tuple[Laid, ...] = ()
        among = 0
        failed, kind = task.memory.failed_on, task.spec.type
        lost: list[tuple[str, Rank | float]] = []
        # One that is moved to make room for another goes anywhere.
        held = task.promise if task.state == "queued" else None
        for pool in task.pools:
            if pool.closed == number or (held is not None and not self._sooner_in(task, pool)):
                continue
            drawn = pool.best(task, now, self.share, failed)
            among += len(pool.current)
            if drawn is not None:
                value = full_rank(task, drawn[0], drawn[1])
                if best is None or value < best:
                    best, chosen, laid = value, drawn[0], drawn[2]
        for worker in task.specials:
            if not offers(worker, kind):
                continue
            if held is not None and promise.refusal(self.farm, task, worker, now) is not None:
                continue
            if best is not None and kind is _P1 and not best[0] and not self.share and worker.p1 > best[2]:
                # Quickly: it carries more than the best so far, and no earlier rule speaks for it.
                lost.append((worker.id, worker.p1))
                continue
            part = rank(worker, kind, task.spec.proof, now, self.share, task.sector)
            if part is None:
                continue
            value = full_rank(task, worker, part)
            if (best is not None and value >= best) or not self.places.fits(task, worker):
                lost.append((worker.id, part))
                continue
            there = space.lay(task, worker, now)
            if there is None:
                worker.blocked = True
            else:
                best, chosen, laid = value, worker, there
                among = max(among, 1)
        if chosen is None or best is None:
            return None
        reasons = _reasons(best, among)
        for pool in task.pools:
            lost += pool.others(chosen)
        if lost:
            # Who holds the files and leads its pool too was met twice: it is not its own rival.
            reasons["rivals"] = tuple(rival for rival in lost if rival[0] != chosen.id)
        return chosen, laid, reasons

    def _sooner_in(self, task: Task, pool: Pool) -> bool:
        """Whether a promised task would start sooner on this pool's workers."""
        return self._sooner(task, 0 if pool.shared else space.needed(task))

    def _sooner(self, task: Task, size: int) -> bool:
        return promise.sooner(self.farm, task, size, self.farm.now)

    def stuck(self, task: Task) -> bool:
        """Quickly: this bound task can go nowhere else, as no other worker that it may look at has a slot."""
        if any(pool.heap and pool.closed != self.number for pool in task.pools):
            return False
        return not any(w is not task.worker and _has_slot(w, task.spec.type) for w in task.specials)

    # -- questions --------------------------------------------------------------------------------------------------

    def order(self, task: Task) -> Any:
        return task.key

    def judge(self, task: Task, worker: Worker, now: float) -> Refusal | None:
        local = self.farm.settings.disallow_remote_finalize
        return judge(task, worker, now, local) or promise.refusal(self.farm, task, worker, now)

    def window_of(self, task: Task) -> tuple[Worker, int] | None:
        return None

    def open_windows(self) -> list[str] | None:
        return None

    def validate(self, now: float) -> None:
        """The indexes equal their recomputation; caps, limits and holds are kept where this pass has bound."""
        self._validate_bindings()
        self.places.validate()
        for worker in self.farm.workers.values():
            for kind, line in worker.specials.items():
                own = {
                    task.spec.id
                    for task in self.farm.tasks.values()
                    if task.waiting
                    and task.promise is None
                    and task.spec.type is kind
                    and worker in task.specials
                }
                queued = {
                    t.spec.id for _, stamp, t in line.queue[line.start :] if t.stamp == stamp and t.waiting
                }
                assert queued == own and line.tasks == len(own), f"{worker.id}: its own {kind.short}"

    def _validate_bindings(self) -> None:
        for worker in self.farm.workers.values():
            new = [t for i, t in worker.carried.items() if i not in worker.carried_before and not t.restored]
            for task in new:
                kind = task.spec.type.kind
                if kind is not None:
                    cap = worker.spec.caps.of(kind)
                    assert worker.of(kind) <= cap, f"{worker.id}: {kind} over its cap of {cap}"
                limit = worker.spec.limits.get((task.spec.type, task.spec.proof))
                if limit is not None and kind is None:
                    assert worker.by_proof[task.spec.type, task.spec.proof] <= limit, (
                        f"{worker.id}: over a limit"
                    )
                hold = worker.spec.caps.precommit1_hold_max
                fresh = worker.hold_refs.get(task.spec.sector) == 1
                if task.spec.type is _P1 and hold and task.sector.held and fresh:
                    assert worker.hold <= hold, f"{worker.id}: hold over {hold}"


@dataclass(slots=True, eq=False)
class Own:
    """In a pass: the tasks of one type that may look at this very worker, of which it can take some."""

    worker: Worker
    kind: TaskType
    line: Line
    at: int = 0

    def head(self) -> Task | None:
        """The first that waits and has not been passed by."""
        self.at = self.line.next(max(self.at, self.line.start))
        return self.line.queue[self.at][2] if self.at < len(self.line.queue) else None

    def pass_by(self) -> None:
        """The head has found no place in this pass."""
        self.at += 1


def _has_slot(worker: Worker, kind: TaskType) -> bool:
    """Roughly: P1's hold and other types' limits are looked at later."""
    return kind.kind is None or worker.of(kind.kind) < worker.spec.caps.of(kind.kind)


def _key(task: Task) -> Any:
    return task.key


def _reasons(value: tuple[Any, ...], among: int) -> dict[str, Any]:
    """The rules' figures for the worker that was chosen."""
    failed, preferred, carried, crowd, fetch, last = value
    return {
        "in_question": among,
        "failed_here_last": failed,
        "preference": preferred,
        "carried": carried[1] if isinstance(carried, tuple) else carried,
        "crowd": crowd,
        "to_fetch": fetch,
        "free_slots": -last[0],
    }
