"""The state of the farm: workers, queue, ledger. One method per event; no choice is made here.

Whoever reads may read the records; only this file, ``files.py`` and ``space.py`` write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from heapq import heappush

from . import promise, rest, space
from .caps import Caps
from .decisions import Decision, Laid, Start
from .events import Outcome, Settings, TaskSpec, WorkerSpec
from .files import Files
from .needs import missing_types, needs_of
from .policy import Policy
from .records import Memory, Promise, Sector, Task, Worker
from .tasks import SectorId, TaskType

_SUCCESS = Outcome.SUCCESS
_P1, _P2, _C2, _AP = TaskType.PRECOMMIT1, TaskType.PRECOMMIT2, TaskType.COMMIT2, TaskType.ADD_PIECE


class Farm(Files):
    """Everything the scheduler knows. ``policy`` is set by the scheduler before the first event."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.policy: Policy
        self.tasks: dict[str, Task] = {}
        #: Tasks whose files are fetched ahead, in the order in which that began.
        self.promised: dict[str, Task] = {}
        #: Promises of tasks that the last pass has bound elsewhere.
        self.broken: list[tuple[Task, Promise]] = []
        #: How long the last P2 ran (seconds), and about how long a fetch takes (seconds per byte).
        self.p2_took: float | None = None
        self.fetch_pace: float | None = None
        self.decisions: list[Decision] = []
        self.now = float("-inf")
        self.timers: list[tuple[float, int, str, str]] = []
        self._seq = 0
        self._bindings = 0

    # -- time -------------------------------------------------------------------------------------------------------

    def timer(self, at: float, what: str, ref: str = "") -> None:
        self._seq += 1
        heappush(self.timers, (at, self._seq, what, ref))

    # -- workers ----------------------------------------------------------------------------------------------------

    def worker_joined(self, spec: WorkerSpec) -> None:
        worker = self.workers.get(spec.id)
        if worker is None:
            worker = self.workers[spec.id] = Worker(spec.id, spec)
            self.adopt_paths(worker)
        else:
            worker.spec = spec
            worker.known = worker.online = True
            worker.no_space.clear()
        self.weigh_pieces(worker)
        self.reshaped(worker)

    def worker_tasks(self, worker_id: str, tasks: frozenset[TaskType]) -> None:
        worker = self.workers.get(worker_id)
        if worker is not None:
            worker.spec = replace(worker.spec, tasks=tasks)
            self.weigh_pieces(worker)
            self.reshaped(worker)

    def worker_caps(
        self, worker_id: str, caps: Caps, limits: Mapping[tuple[TaskType, int], int] | None
    ) -> None:
        worker = self.workers.get(worker_id)
        if worker is not None:
            known = worker.spec.limits if limits is None else limits
            worker.spec = replace(worker.spec, caps=caps, limits=known)
            self.reshaped(worker)

    def worker_online(self, worker_id: str, online: bool) -> None:
        worker = self.workers.get(worker_id)
        if worker is not None and worker.known and worker.online != online:
            worker.online = online
            self.improved(worker)

    def worker_drain(self, worker_id: str, draining: bool, sectors_only: bool) -> None:
        worker = self.workers.get(worker_id)
        if worker is None:
            return
        whole, sectors = draining and not sectors_only, draining and sectors_only
        if worker.no_sectors != sectors:
            worker.draining, worker.no_sectors = whole, sectors
            self.reshaped(worker)
        elif worker.draining != whole:
            worker.draining = whole
            self.improved(worker)

    def worker_left(self, worker_id: str) -> None:
        worker = self.workers.get(worker_id)
        if worker is None:
            return
        worker.known = worker.online = False
        self.reshaped(worker)
        self._forget_if_empty(worker)

    def _forget_if_empty(self, worker: Worker) -> None:
        if not worker.known and not worker.carried and not worker.pieces:
            self.disown_paths(worker)
            del self.workers[worker.id]

    # -- tasks ------------------------------------------------------------------------------------------------------

    def task_queued(self, spec: TaskSpec, now: float, queued_at: float | None) -> None:
        """An id that is known already is left as it is."""
        if spec.id not in self.tasks:
            self._wait(self._admit(spec, now, queued_at), now)

    def task_restored(
        self, spec: TaskSpec, worker_id: str, now: float, queued_at: float, accepted_at: float | None
    ) -> None:
        """Count a task as carried that was bound before the driver's restart."""
        if spec.id in self.tasks:
            return
        task = self._admit(spec, now, queued_at)
        worker = self.workers.get(worker_id)
        if worker is None:
            worker = self.workers[worker_id] = Worker(worker_id, _unknown(worker_id), False, False)
            self.adopt_paths(worker)
        self.classify(task)
        task.restored = True
        laid = () if accepted_at is not None else space.lay(task, worker, now) or ()
        self.bind(task, worker, laid, now)
        task.waits = accepted_at is None
        if accepted_at is not None:
            task.state, task.since = "running", accepted_at
        if spec.type is _P1:
            worker.p1_started = max(task.p1_before, now if accepted_at is None else accepted_at)
        self.worsened(worker)

    def _admit(self, spec: TaskSpec, now: float, queued_at: float | None) -> Task:
        sector = self.sector(spec.sector)
        memory = sector.remembered(spec.type)
        if memory is None:
            self._seq += 1
            memory = Memory(spec.type, now if queued_at is None else queued_at, self._seq)
            sector.memory += (memory,)
        elif queued_at is not None:
            memory.queued_at = min(memory.queued_at, queued_at)
        self._seq += 1
        key = (-spec.priority, -spec.type.stage, memory.queued_at, memory.seq, self._seq)
        task = self.tasks[spec.id] = Task(spec, sector, memory, key)
        sector.tasks += (task,)
        self.piece_seen(task)
        return task

    def _wait(self, task: Task, now: float) -> None:
        task.state, task.worker, task.since = "queued", None, now
        self.classify(task)
        if task.not_before > now:
            self.timer(task.not_before, "retry", task.spec.id)
        else:
            task.waiting = True
            self.policy.task_added(task)
        self.watch_missing(task, now)

    def retry_due(self, task: Task, now: float) -> None:
        """Its delay is over."""
        if task.state == "queued" and not task.waiting and task.not_before <= now:
            task.waiting = True
            self.policy.task_added(task)

    def classify(self, task: Task) -> None:
        """Find out anew what the task needs and where that lies."""
        declared = task.sector.declared()
        task.needs = needs_of(task.spec, declared)
        task.missing = missing_types(task.needs, declared)
        inputs = task.needs.inputs
        task.groups = space.fetch_groups(self.paths, task.sector, inputs) if inputs else None

    def reclassify(self, task: Task, now: float) -> None:
        """The sector's files, or the paths they lie on, changed."""
        if task.state != "queued":
            return
        self.classify(task)
        if task.waiting:
            self.policy.task_changed(task)
            promise.recheck(self, task)
        self.watch_missing(task, now)

    def task_removed(self, task_id: str, now: float) -> None:
        task = self.tasks.get(task_id)
        if task is None:
            return
        if task.state != "queued":
            self.task_ended(task_id, Outcome.CANCELLED, "", now)
            return
        if task.waiting:
            self.policy.task_removed(task)
        self._drop(task)

    def _drop(self, task: Task) -> None:
        task.state, task.waiting = "gone", False
        promise.end(self, task, "it is not wanted any more")
        del self.tasks[task.spec.id]
        task.sector.tasks = tuple(other for other in task.sector.tasks if other is not task)
        self.prune(task.sector)

    # -- binding ----------------------------------------------------------------------------------------------------

    def bind(self, task: Task, worker: Worker, laid: tuple[Laid, ...], now: float) -> None:
        """Count the task on the worker and keep its room. May be taken back by ``unbind`` within the same pass."""
        spec = task.spec
        kind = spec.type
        if task.waiting:
            task.waiting = False
            self.policy.task_removed(task)
        self._bindings += 1
        task.state, task.worker, task.laid, task.since = "bound", worker, laid, now
        task.piece_before = task.sector.piece
        worker.last_bound = self._bindings
        worker.carried[spec.id] = task
        self._count(worker, spec, 1)
        if laid:
            space.reserve(task, self.paths)
        if kind is _P1:
            self.hold_add(worker, spec.sector)
            self.piece_taken(task)
            task.p1_before, worker.p1_started = worker.p1_started, now
            self._pace(worker)
        elif kind is _AP and space.is_first_piece(task):
            self.piece_added(task, worker, now)
        rest.bound(worker, task)
        worker.version += 1

    def unbind(self, task: Task) -> None:
        """Take a binding of this pass back, as if it had never been."""
        worker = task.worker
        assert worker is not None
        space.unreserve(task)
        self._uncarry(task, worker)
        if task.spec.type in (_AP, _P1):
            self.set_piece(task.sector, task.piece_before)
            worker.p1_started = task.p1_before if task.spec.type is _P1 else worker.p1_started
        task.state, task.worker, task.laid, task.waits = "queued", None, (), False

    def start(self, task: Task) -> None:
        """A prepared task's turn has come."""
        assert task.worker is not None
        if task.waits:
            task.waits = False
            self.decisions.append(Start(task.spec, task.worker.id))

    def _uncarry(self, task: Task, worker: Worker) -> None:
        spec = task.spec
        del worker.carried[spec.id]
        self._count(worker, spec, -1)
        if spec.type is _P1 or task.ahead:
            task.ahead = False
            self.hold_remove(worker, spec.sector)
        rest.unbound(worker, task)
        worker.version += 1

    @staticmethod
    def _count(worker: Worker, spec: TaskSpec, change: int) -> None:
        kind, proof = spec.type, (spec.type, spec.proof)
        worker.by_type[kind] = worker.by_type.get(kind, 0) + change
        worker.by_proof[proof] = worker.by_proof.get(proof, 0) + change
        if kind is _P1:
            worker.p1 += change
        elif kind is _P2:
            worker.p2 += change
        elif kind is _C2:
            worker.c2 += change

    def task_preparing(self, task_id: str, now: float) -> None:
        task = self.tasks.get(task_id)
        if task is not None and task.state == "bound":
            task.state, task.since = "preparing", now
            space.accepted(task, now, True)
        elif task is not None and task.promise is not None:
            promise.accepted(task, now)

    def task_prepared(self, task_id: str, now: float) -> None:
        task = self.tasks.get(task_id)
        if task is not None and task.waits and task.state in ("bound", "preparing"):
            task.state, task.since = "prepared", now
            self.policy.task_prepared(task)

    def task_running(self, task_id: str, now: float) -> None:
        task = self.tasks.get(task_id)
        if task is not None and task.worker is not None and task.state in ("bound", "preparing", "prepared"):
            if task.spec.type is _P2 and task.state == "preparing" and not task.ahead:
                self.paced(sum(part.bytes for part in task.laid), now - task.since)
            task.state, task.since, task.waits = "running", now, False
            space.accepted(task, now, False)
            self.policy.worsened(task.worker)
            if task.ahead:
                task.ahead = False
                self.hold_remove(task.worker, task.spec.sector)
                self.improved(task.worker)

    def task_ended(self, task_id: str, outcome: Outcome, error: str, now: float) -> None:
        """A carried task is over. What it had reserved stays so until the path's next report."""
        task = self.tasks.get(task_id)
        if task is None or task.worker is None:
            return
        worker, kind, memory = task.worker, task.spec.type, task.memory
        self._uncarry(task, worker)
        if kind is _P2 and outcome is _SUCCESS and task.state == "running":
            worker.p2_took = self.p2_took = now - task.since
        for reservation in task.reservations:
            reservation.ended = True
        task.reservations = ()
        task.worker, task.waits = None, False
        self._after_piece(task, outcome)
        task.restored = False
        memory.last_error = error or memory.last_error
        if outcome is _SUCCESS:
            task.sector.last_worker = worker.id
            task.sector.memory = tuple(m for m in task.sector.memory if m.type is not kind)
            rest.succeeded(self, worker, kind)
        elif outcome is Outcome.FAILED:
            memory.attempts += 1
            memory.failed_on = worker.id
            rest.failed(self, worker, kind, error, now)
        elif outcome is Outcome.NO_SPACE:
            worker.no_space.add(kind)
        if outcome in (Outcome.AGAIN, Outcome.NO_SPACE):
            self._again(task, worker, outcome, now)
        else:
            self._drop(task)
        if worker.known:
            self.improved(worker)
        else:
            self.worsened(worker)
            self._forget_if_empty(worker)

    def _after_piece(self, task: Task, outcome: Outcome) -> None:
        """What the end of an AP or P1 means for the piece that waits."""
        if task.spec.type is _P1:
            self.set_piece(task.sector, None)
            if outcome is not _SUCCESS:
                self.piece_back(task)
        elif task.spec.type is _AP and space.is_first_piece(task) and outcome is not _SUCCESS:
            self.set_piece(task.sector, None)

    def _again(self, task: Task, worker: Worker, outcome: Outcome, now: float) -> None:
        """Queue again: at once the first time, then after growing delays.

        A lack of space counts only when the same worker has said it of this task before.
        """
        memory = task.memory
        if outcome is Outcome.AGAIN or worker.id in memory.no_space_on:
            memory.again += 1
            if memory.again > 1 or outcome is Outcome.NO_SPACE:
                steps = max(0, memory.again - 2) if outcome is Outcome.AGAIN else memory.again - 1
                task.not_before = now + self.delay(steps)
        if outcome is Outcome.NO_SPACE:
            memory.no_space_on |= {worker.id}
        memory.attempts += 1
        self._wait(task, now)

    def paced(self, size: int, seconds: float) -> None:
        """So long has it taken to fetch so many bytes."""
        if size:
            pace, before = seconds / size, self.fetch_pace
            self.fetch_pace = pace if before is None else (before + pace) / 2

    def delay(self, steps: int) -> float:
        """Seconds to wait: ``retry_delay`` doubled ``steps`` times, at most ``retry_delay_max``."""
        first, most = self.settings.retry_delay, self.settings.retry_delay_max
        return min(first * 2.0 ** min(steps, 60), max(first, most))

    def due(self, worker_id: str) -> None:
        """A rest's trial may come now, the next paced P1, or a fetch ahead."""
        worker = self.workers.get(worker_id)
        if worker is not None:
            self.improved(worker)

    # -- hooks ------------------------------------------------------------------------------------------------------

    def improved(self, worker: Worker) -> None:
        worker.version += 1
        if worker.promised:
            promise.review(self, worker)
        self.policy.improved(worker)

    def lighter(self, worker: Worker) -> None:
        worker.version += 1
        self.policy.lighter(worker)

    def worsened(self, worker: Worker) -> None:
        worker.version += 1
        self.policy.worsened(worker)

    def _pace(self, worker: Worker) -> None:
        """Call again when its next P1 may start."""
        interval = worker.spec.caps.precommit1_interval
        if interval and (at := worker.p1_started + interval) > self.now:
            self.timer(at, "worker", worker.id)

    def reshaped(self, worker: Worker) -> None:
        worker.version += 1
        self._pace(worker)
        self.policy.reshaped(worker)
        if worker.promised:
            promise.review(self, worker)

    def sector(self, sector_id: SectorId) -> Sector:
        sector = self.sectors.get(sector_id)
        if sector is None:
            sector = self.sectors[sector_id] = Sector(sector_id)
        return sector


def _unknown(worker_id: str) -> WorkerSpec:
    return WorkerSpec(worker_id, "", worker_id, frozenset(), Caps())
