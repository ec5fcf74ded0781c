"""Where a task may go: the pools of its class, and the few workers that are looked at one by one for it."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from . import space
from .eligibility import allows, begins, binds, bound_away, may_hold, offers
from .farm import Farm
from .needs import P1_OUTPUT, SELECT_EXISTING, SELECT_MOVE, SELECT_TASK, Selector
from .pools import Pool
from .records import Task, Worker
from .tasks import TaskType

#: Owners of a path above which they form a pool, instead of being looked at one by one.
MANY_OWNERS: Final = 8
#: Pools kept though no task waits in them.
SPARE_POOLS: Final = 256

_AP: Final = TaskType.ADD_PIECE
_P1: Final = TaskType.PRECOMMIT1
_P2: Final = TaskType.PRECOMMIT2
_C2: Final = TaskType.COMMIT2


class Places:
    """The pools of the balanced policy. ``share`` as in ``choice.rank``."""

    def __init__(self, farm: Farm, share: bool) -> None:
        self._farm = farm
        self._share = share
        self._pools: dict[tuple[Any, ...], Pool] = {}
        self._uses = count()
        #: Workers that do only C2 of sectors that lie on their own paths.
        self._bound_c2: set[str] = set()

    def admit(self, worker: Worker) -> None:
        """It is new, gone, or of another shape: it belongs to other pools."""
        if worker.known and worker.spec.caps.force_c2_from_local_p2:
            self._bound_c2.add(worker.id)
        elif self._bound_c2:
            self._bound_c2.discard(worker.id)
        for pool in worker.pools:
            pool.members.pop(worker.id, None)
            pool.current.pop(worker.id, None)
        worker.pools = []
        for pool in self._pools.values():
            pool.admit(worker)

    def find(self, task: Task) -> None:
        """Set the pools of the task, and the workers that are looked at one by one for it."""
        workers, needs = self._farm.workers, task.needs
        special: dict[str, Worker] = {}
        failed = workers.get(task.memory.failed_on) if task.memory.failed_on is not None else None
        if failed is not None:
            special[failed.id] = failed
        if task.promise is not None:
            special[task.promise.worker.id] = task.promise.worker
        pools: list[Pool] = []
        if not task.missing:
            layout: list[tuple[str, int, bool]] = []
            touched = needs.touched
            for path_id, placement in task.sector.files.items():
                if not placement.types & touched:
                    continue
                owners = self._farm.paths[path_id].spec.owners
                if len(owners) > MANY_OWNERS:
                    layout.append((path_id, placement.types & touched, placement.primary))
                    continue
                for worker_id in owners:
                    if (worker := workers.get(worker_id)) is not None:
                        special[worker_id] = worker
            if self._bound_c2 and task.spec.type is _C2:
                for worker_id in self._bound_c2:
                    if P1_OUTPUT & (worker := workers[worker_id]).own(task.sector):
                        special[worker_id] = worker
            if needs.selector is not SELECT_EXISTING and not self._only_local(needs.selector):
                pools.append(self._pool(task))
            if layout:
                pools += self._shared_pools(task, tuple(sorted(layout)))
        task.pools = tuple(pools)
        task.specials = tuple(special[worker_id] for worker_id in sorted(special))

    def _only_local(self, selector: Selector) -> bool:
        return selector is SELECT_MOVE and self._farm.settings.disallow_remote_finalize

    def _pool(self, task: Task, shared: tuple[Any, ...] = (), path_id: str = "", bound: bool = False) -> Pool:
        spec, needs = task.spec, task.needs
        miner = 0 if needs.selector is SELECT_TASK else spec.sector.miner
        key = (spec.type, spec.proof, miner, task.groups, needs.key, needs.makes, shared, path_id, bound)
        pool = self._pools.get(key)
        if pool is None:
            admits = _admits_shared if path_id else _admits
            pool = Pool(
                key, spec.type, spec.proof, miner, task.groups, needs, admits, self.fits, path_id, bound
            )
            self._trim()
            self._pools[key] = pool
            for worker in self._farm.workers.values():
                pool.admit(worker)
                if worker.id in pool.members:
                    pool.offer(worker, self._farm.now, self._share)
        pool.used = next(self._uses)
        return pool

    def _shared_pools(self, task: Task, layout: tuple[tuple[str, int, bool], ...]) -> list[Pool]:
        pools = []
        for path_id, _, _ in layout:
            pools.append(self._pool(task, layout, path_id))
            if task.spec.type is _P2:
                pools.append(self._pool(task, layout, path_id, True))
        return pools

    def _trim(self) -> None:
        """Let pools go in which nothing has waited for longest."""
        if len(self._pools) < SPARE_POOLS:
            return
        idle = sorted((p for p in self._pools.values() if not p.line.tasks), key=lambda p: p.used)
        for pool in idle[: SPARE_POOLS // 2]:
            del self._pools[pool.key]
            for worker in pool.members.values():
                worker.pools.remove(pool)

    def fits(self, task: Task, worker: Worker) -> bool:
        if worker.no_sectors and begins(task, worker):
            return False
        return may_hold(task, worker, self._farm.settings.disallow_remote_finalize) and not bound_away(
            task, worker
        )

    def validate(self) -> None:
        """AssertionError if a pool does not equal its recomputation."""
        for pool in self._pools.values():
            expected = {w.id for w in self._farm.workers.values() if pool.admits(pool, w)}
            assert set(pool.members) == expected, f"pool members of {pool.key}"
            waiting = sum(
                1
                for task in self._farm.tasks.values()
                if task.waiting and task.promise is None and pool in task.pools
            )
            assert pool.line.tasks == waiting, (
                f"pool {pool.key} counts {pool.line.tasks} tasks, {waiting} wait"
            )
            for worker in pool.members.values():
                assert pool in worker.pools, f"{worker.id} does not know its pool"


def _admits(pool: Pool, worker: Worker) -> bool:
    """Whether a worker that has none of the files may be drawn for this class, room and slots left aside."""
    if not worker.known or not offers(worker, pool.type):
        return False
    if binds(worker, pool.type) or (worker.no_sectors and pool.type in (_AP, _P1)):
        return False
    match pool.needs.selector:
        case Selector.TASK:
            return True
        case Selector.MOVE:
            return any(p.spec.can_store and space.takes_miner(p, pool.miner) for p in worker.paths.values())
    return allows(worker, pool.needs, pool.miner, pool.groups, None)


def _admits_shared(pool: Pool, worker: Worker) -> bool:
    """Whether the worker serves the shared path that has the files."""
    if not worker.known or not offers(worker, pool.type) or pool.shared not in worker.paths:
        return False
    return pool.type is not _P2 or worker.spec.caps.force_p2_from_local_p1 is pool.bound
