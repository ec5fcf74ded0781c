"""When no eligible worker has a free slot: the shortest chain of moves among tasks placed in this pass that frees one.

An augmenting path of Kuhn's matching, searched breadth first. Only tasks of one type share slots, so a chain stays in
one type. A search that fails has seen a set of workers from which no chain leads to a free slot; none will for the rest of
the pass, and they are not looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import space
from .decisions import Laid
from .eligibility import free_slots, hold_without, ready
from .records import Task, Worker
from .tasks import TaskType

if TYPE_CHECKING:
    from .balanced import Balanced
    from .pools import Pool

_P1 = TaskType.PRECOMMIT1


class Chains:
    """The tasks placed in this pass, and the search among them."""

    def __init__(self, policy: Balanced) -> None:
        self._policy = policy
        self._placed: dict[TaskType, list[Task]] = {}
        self._workers: dict[TaskType, dict[str, Worker]] = {}
        self._dead: dict[TaskType, set[str]] = {}

    def reset(self) -> None:
        """A new pass: what is bound stays."""
        self._placed = {}
        self._workers = {}
        self._dead = {}

    def placed(self, task: Task) -> None:
        worker = task.worker
        assert worker is not None
        self._placed.setdefault(task.spec.type, []).append(task)
        self._workers.setdefault(task.spec.type, {})[worker.id] = worker

    def may_move(self, worker: Worker, kind: TaskType) -> bool:
        """Whether a task of this pass stands on the worker that a chain might still move."""
        return worker.id in self._workers.get(kind, ()) and worker.id not in self._dead.get(kind, ())

    def revive(self, worker: Worker) -> None:
        """The worker gained something in the middle of a pass."""
        for dead in self._dead.values():
            if worker.id in dead:
                dead.clear()

    def make_room(self, task: Task) -> bool:
        """Move others so that ``task`` can be bound, and bind it. False: nothing was changed."""
        kind = task.spec.type
        placed = self._placed.get(kind)
        if not placed or task.missing:
            return False
        dead = self._dead.setdefault(kind, set())
        reached = _Reach(self._policy, self._workers[kind], dead)
        reached.expand(task, None)
        while reached.fresh:
            reached.turn()
            for other in placed:
                worker = other.worker
                assert worker is not None
                if worker.id not in reached.level or other.spec.id in reached.seen:
                    continue
                by = reached.level[worker.id]
                wanting = task if by is None else by
                if not _may_replace(wanting, other, worker):
                    continue
                reached.seen[other.spec.id] = by
                found = None if self._policy.stuck(other) else self._policy.choose(other)
                if found is not None and found[0] is not worker:
                    return self._apply(task, other, reached.seen, found[0], found[1])
                reached.next_tasks.append(other)
            for other in reached.next_tasks:
                reached.expand(other, other)
            reached.next_tasks = []
        dead |= reached.workers
        return False

    def _apply(
        self, task: Task, last: Task, seen: dict[str, Task | None], target: Worker, laid: tuple[Laid, ...]
    ) -> bool:
        """Carry the chain out from its end; taken back whole if some file does not fit after all."""
        farm = self._policy.farm
        moved: list[Task] = []
        by: Task | None = last
        while by is not None:
            moved.append(by)
            by = seen[by.spec.id]
        before = [(one, one.worker, one.laid, one.reasons) for one in moved]
        targets = [target, *(one.worker for one in moved)]
        calm = self._policy.changes()
        for one in moved:
            farm.unbind(one)
        done: list[Task] = []
        for one, worker in zip([*moved, task], targets, strict=True):
            assert worker is not None
            room = laid if one is last else space.lay(one, worker, farm.now)
            if room is None:
                break
            farm.bind(one, worker, room, farm.now)
            done.append(one)
        if len(done) <= len(moved):
            for one in reversed(done):
                farm.unbind(one)
            for one, worker, was, reasons in reversed(before):
                assert worker is not None
                farm.bind(one, worker, was, farm.now)
                one.reasons = reasons
            self._policy.forget_changes(calm)
            return False
        for one, was_on, _, reasons in before:
            assert was_on is not None
            one.reasons = {**reasons, "moved_from": was_on.id, "moved_for": task.spec.id}
        task.reasons = {"in_question": 0, "moved": len(moved)}
        self.placed(task)
        self._workers[task.spec.type][target.id] = target
        for worker in targets:
            assert worker is not None
            farm.improved(worker)
        return True


class _Reach:
    """Workers that the search has reached, level by level, and for which task each was reached first."""

    def __init__(self, policy: Balanced, placed: dict[str, Worker], dead: set[str]) -> None:
        self.policy = policy
        self.placed = placed
        self.dead = dead
        self.workers: set[str] = set()
        self.fresh: dict[str, Task | None] = {}
        self.level: dict[str, Task | None] = {}
        self.seen: dict[str, Task | None] = {}
        self.next_tasks: list[Task] = []
        self._pools: set[int] = set()

    def turn(self) -> None:
        self.level, self.fresh = self.fresh, {}

    def expand(self, task: Task, by: Task | None) -> None:
        for worker in task.specials:
            if self._new(worker) and worker.id in self.placed and self.policy.places.fits(task, worker):
                self._add(task, worker, by)
        for pool in task.pools:
            if id(pool) not in self._pools and pool.closed != self.policy.number:
                self._pools.add(id(pool))
                self._expand_pool(pool, task, by)

    def _expand_pool(self, pool: Pool, task: Task, by: Task | None) -> None:
        for worker in self.placed.values():
            if (
                worker.id in pool.members
                and self._new(worker)
                and (not pool.shared or self.policy.places.fits(task, worker))
            ):
                self._add(task, worker, by)

    def _new(self, worker: Worker) -> bool:
        return worker.id not in self.workers and worker.id not in self.dead

    def _add(self, task: Task, worker: Worker, by: Task | None) -> None:
        """Only a slot can be freed for it; where there is one already, it is room that lacks."""
        kind, proof = task.spec.type, task.spec.proof
        if not ready(worker, kind, self.policy.farm.now) or not free_slots(worker, kind, proof, task.sector):
            self.workers.add(worker.id)
            self.fresh[worker.id] = by


def _may_replace(task: Task, other: Task, worker: Worker) -> bool:
    """Whether ``task`` would have a slot on ``worker`` if ``other`` left it; room is looked at later."""
    kind, proof = task.spec.type, task.spec.proof
    rest = worker.rests.get(kind)
    if rest is not None and rest.trial is not None and rest.trial != other.spec.id:
        return False
    if kind is not _P1:
        return other.spec.proof == proof or free_slots(worker, kind, proof) > 0
    cap = worker.spec.caps.precommit1_hold_max
    if not cap:
        return True
    held = hold_without(worker, task.sector)
    gone = (
        other.sector.held and worker.hold_refs.get(other.sector.id) == 1 and other.sector is not task.sector
    )
    return held - gone < cap
