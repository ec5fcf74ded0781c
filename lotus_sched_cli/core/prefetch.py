"""Which waiting P2 has its files fetched ahead, and to which worker: after a pass, when nobody could take what still waits.

A worker looks for its next P2 in the order of the queue. One whose files lie there already needs nothing; one that lies on
a worker which is thought to be free sooner is left to that. No worker is looked at that has not changed, unless a P2 came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import TYPE_CHECKING, Final

from . import promise, space
from .choice import to_fetch
from .decisions import Laid
from .eligibility import free_slots, hold_without, offers, ready
from .records import QueueKey, Task, Worker
from .tasks import TaskType

if TYPE_CHECKING:
    from .balanced import Balanced
    from .pools import Line

#: Waiting tasks at which one worker looks at most at once.
LOOK: Final = 32

_P2: Final = TaskType.PRECOMMIT2


class Prefetching:
    """``workers`` are those that may prefetch at all."""

    def __init__(self, policy: Balanced) -> None:
        self._policy = policy
        self.workers: dict[str, Worker] = {}
        self._look: dict[str, Worker] = {}
        #: They have a promise to give, and found no task for it.
        self._starved: dict[str, Worker] = {}
        #: P2 that came, or lie elsewhere, since the last pass; and how many wait in all, those aside that are promised.
        self._new: list[Task] = []
        self._waits = 0
        #: The last one looked at has its next P2, or no room: no other P2 changes that, only what happens to it.
        self._sated = False
        #: They had a P2 slot left after a pass in which promised tasks waited elsewhere.
        self._idle: dict[str, Worker] = {}
        self._wake = float("-inf")

    def reshaped(self, worker: Worker) -> None:
        if worker.known and worker.spec.caps.prefetches:
            self.workers[worker.id] = worker
        elif self.workers.pop(worker.id, None) is not None:
            self._look.pop(worker.id, None)
            self._starved.pop(worker.id, None)

    def touched(self, worker: Worker) -> None:
        """It may be able to prefetch now."""
        if worker.id in self.workers:
            self._look[worker.id] = worker
            self._starved.pop(worker.id, None)

    def waits(self, task: Task) -> None:
        """A P2 came, or lies elsewhere now."""
        self._waits += 1
        if self.workers:
            self._new.append(task)

    def waits_no_more(self) -> None:
        self._waits -= 1

    # -- before a pass ----------------------------------------------------------------------------------------------

    def keep(self, now: float, changed: Iterable[Worker], bind: Callable[[Task, Worker], None]) -> list[Task]:
        """Give free slots to what was promised there, by ``bind``. Returns the promised tasks to be tried in the pass: they
        would start sooner elsewhere, or must not go ahead of a higher priority.
        """
        farm = self._policy.farm
        self._idle = {w.id: w for w in (*changed, *self._idle.values()) if _has_slot(w, now)}
        if not self._idle:
            return []
        tried: list[Task] = []
        starts: list[float] = []
        waiting = sorted((t for t in farm.promised.values() if t.waiting), key=lambda task: task.key)
        for task in waiting:
            assert task.promise is not None
            there = task.promise.worker
            if there.id in self._idle and _has_slot(there, now):
                if waiting[0].key[0] < task.key[0] or self._passed_by(task, there):
                    tried.append(task)
                else:
                    bind(task, there)
                continue
            at = promise.starts_at(farm, task, now)
            # Whoever has none of the files needs all of them; the others are few.
            where = (
                self._idle.values() if promise.before(farm, at, space.needed(task), now) else task.specials
            )
            if any(self._may_start(worker, task, at, now) for worker in where):
                tried.append(task)
            elif at is not None:
                starts.append(at)
        if starts and (wake := min(starts)) != self._wake:
            # By then it should have started; if not, it goes elsewhere.
            self._wake = wake
            farm.timer(wake, "policy")
        return tried

    def _may_start(self, worker: Worker, task: Task, at: float | None, now: float) -> bool:
        """Whether this worker, free, would start the task before ``at``."""
        if worker.id not in self._idle or not _has_slot(worker, now):
            return False
        if not self._policy.places.fits(task, worker):
            return False
        return promise.before(self._policy.farm, at, to_fetch(task, worker), now)

    @staticmethod
    def _passed_by(task: Task, worker: Worker) -> bool:
        """Whether a P2 of higher priority waits that the worker might take."""
        lines = [pool.line for pool in worker.pools if pool.type is _P2]
        if (own := worker.specials.get(_P2)) is not None:
            lines.append(own)
        heads = (line.head() for line in lines)
        return any(head is not None and head.key[0] < task.key[0] for head in heads)

    # -- after it ---------------------------------------------------------------------------------------------------

    def run(self, now: float) -> None:
        """Promise what may be promised."""
        if not self.workers:
            return
        look, self._look = self._look, {}
        new, self._new = [task for task in self._new if task.waiting and task.promise is None], []
        if not self._waits:
            # Nobody finds anything; who wants something is found out when a P2 waits.
            self._starved |= look
            return
        if new:
            look |= self._starved
        wanting = [worker for worker in look.values() if self._wants(worker, now)]
        if new and len(wanting) < len(look):
            # Who wants nothing now is heard of again when that changes.
            known = {worker.id for worker in wanting}
            self._starved = {name: worker for name, worker in self._starved.items() if name in known}
        for worker in sorted(wanting, key=self._order):
            if worker.id in self._starved and all(task.promise is not None for task in new):
                # It has found nothing among the others before.
                continue
            self._starved.pop(worker.id, None)
            while self._wants(worker, now):
                self._sated = False
                found = self._next(worker, now)
                if found is None:
                    if not self._sated:
                        self._starved[worker.id] = worker
                    break
                promise.begin(self._policy.farm, found[0], worker, found[1], now)

    @staticmethod
    def _wants(worker: Worker, now: float) -> bool:
        """All its P2 slots run, and it may promise one more."""
        caps = worker.spec.caps
        if len(worker.promised) >= caps.prefetches or worker.p2 < caps.precommit2_max:
            return False
        if now < worker.promises_from or not ready(worker, _P2, now):
            return False
        return all(t.state == "running" for t in worker.carried.values() if t.spec.type is _P2)

    def _order(self, worker: Worker) -> tuple[float, str, str]:
        """Who is thought to be free first has the oldest task; where that is not known, whose P2 runs for longest."""
        free = promise.turn(self._policy.farm, worker)
        assert free is not None
        return free, worker.spec.name, worker.id

    def _next(self, worker: Worker, now: float) -> tuple[Task, tuple[Laid, ...]] | None:
        """The worker's next P2, if its files have to be fetched, and where they would go."""
        policy, hold = self._policy, worker.spec.caps.precommit1_hold_max
        most = worker.spec.caps.prefetches - len(worker.promised)
        here = 0
        claimed: Counter[str] = Counter()
        looked = 0
        for task in self._waiting(worker):
            looked += 1
            if looked > LOOK or self._sated:
                break
            if task.missing or task.memory.failed_on == worker.id or not policy.places.fits(task, worker):
                continue
            if not space.brings(task, worker):
                here += 1
                if here >= most:
                    self._sated = True
                    break
                continue
            if self._left_to_its_holder(task, worker, now, claimed):
                continue
            full = bool(hold) and hold_without(worker, task.sector) >= hold
            laid = None if full else space.lay(task, worker, now)
            if laid is not None:
                return task, laid
            self._sated = True
        return None

    @staticmethod
    def _waiting(worker: Worker) -> Iterator[Task]:
        """P2 that wait and that the worker may be drawn for, in the order of the queue."""
        lines = [pool.line for pool in worker.pools if pool.type is _P2 and pool.line.tasks]
        own = worker.specials.get(_P2)
        if own is not None and own.tasks:
            lines.append(own)
        last: Task | None = None
        for _, _, task in merge(*(_items(line) for line in lines)):
            if task is not last:
                yield task
            last = task

    def _left_to_its_holder(self, task: Task, worker: Worker, now: float, claimed: Counter[str]) -> bool:
        """Whether it lies on a worker that is thought to be free before this one and will take it without a copy."""
        farm = self._policy.farm
        mine = promise.turn(farm, worker)
        for holder in task.specials:
            if holder is worker or space.brings(task, holder) or not offers(holder, _P2):
                continue
            if claimed[holder.id] + len(holder.promised) >= holder.spec.caps.precommit2_max:
                continue
            free = promise.turn(farm, holder, claimed[holder.id])
            if mine is not None and free is not None and free <= mine and ready(holder, _P2, now):
                claimed[holder.id] += 1
                return True
        return False


def _has_slot(worker: Worker, now: float) -> bool:
    return ready(worker, _P2, now) and offers(worker, _P2) and free_slots(worker, _P2, 0) > 0


def _items(line: Line) -> Iterator[tuple[QueueKey, int, Task]]:
    at = line.next(line.start)
    while at < len(line.queue):
        yield line.queue[at]
        at = line.next(at + 1)
