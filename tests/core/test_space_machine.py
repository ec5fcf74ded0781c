"""Farms whose disks are too small: no path is ever overfilled, and no queued task waits that would surely fit.

The machine plays the workers: each has one path, reserves what an accepted call will write, and reports what is left. The
scheduler knows of the disk only what it is told, late and at odd times.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from core.scene import AP, CACHE, GIB, P1, P1_SIZE, P2, PROOF, SEALED, UNSEALED, caps, sector
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lotus_sched_cli.core.decisions import Assigned, Prefetch, PrefetchOver
from lotus_sched_cli.core.events import (
    Event,
    FilesDeclared,
    FilesDropped,
    Outcome,
    PathAttached,
    PathReported,
    PathSpec,
    PrefetchDone,
    PrefetchFailed,
    TaskEnded,
    TaskPreparing,
    TaskQueued,
    TaskRunning,
    TaskSpec,
    WorkerJoined,
    WorkerSpec,
)
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, TaskType

OUTPUT = SEALED | CACHE
SIZE = {UNSEALED: 32 * GIB, OUTPUT: P1_SIZE}
MADE = {AP: UNSEALED, P1: OUTPUT, P2: FileType.NONE}
NEXT = {AP: P1, P1: P2}


def size(types: FileType) -> int:
    return sum(bytes_ for kind, bytes_ in SIZE.items() if kind & types)


@dataclass
class Disk:
    """What really lies there (by sector), and what the scheduler was told last."""

    capacity: int
    files: dict[int, FileType] = field(default_factory=dict)
    told: int = 0
    told_at: float = 0.0
    #: Needs of tasks that ended since the last report.
    ended: int = 0
    #: A report that is still on its way: when it was measured, and what.
    measured: tuple[float, int] | None = None


@dataclass
class Job:
    spec: TaskSpec
    worker: str
    fetch: FileType
    fetching: bool = False
    accepted: bool = False
    since: float = 0.0

    def made(self) -> FileType:
        return MADE[self.spec.type]


class SpaceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(validate=True)
        self.now = 0.0
        self.disks: dict[str, Disk] = {}
        self.jobs: dict[str, Job] = {}
        self.queued: dict[str, TaskSpec] = {}
        self.stage: dict[int, TaskType] = {}
        self.count = 0
        self.moved: set[int] = set()
        #: What is fetched ahead, by task; ``accepted`` once it is there.
        self.ahead: dict[str, Job] = {}

    def tell(self, *events: Event) -> None:
        plan = self.scheduler.handle(self.now, *events)
        left: list[Event] = []
        for d in plan.decisions:
            if isinstance(d, Assigned):
                spec = self.queued.pop(d.task.id)
                self.jobs[spec.id] = Job(spec, d.worker_id, d.fetch)
                ahead = self.ahead.get(spec.id)
                if ahead is not None and ahead.worker == d.worker_id:
                    del self.ahead[spec.id]
                    self.jobs[spec.id].fetching, self.jobs[spec.id].since = ahead.fetching, ahead.since
                    if ahead.accepted:
                        left += self._drop_others(spec.sector.number, OUTPUT, d.worker_id)
            elif isinstance(d, Prefetch):
                assert d.task.id in self.queued and d.task.id not in self.ahead
                self.ahead[d.task.id] = Job(d.task, d.worker_id, d.fetch, since=self.now)
            elif isinstance(d, PrefetchOver):
                ahead = self.ahead.pop(d.task.id)
                if ahead.accepted:
                    left += self._drop(d.task.sector.number, OUTPUT, ahead.worker)
        if left or plan.wake == self.now:
            self.tell(*left)
        self._nothing_fits()

    # -- the farm ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.disks) < 3)
    @rule(p1=st.integers(0, 4), pieces=st.integers(1, 4), hold=st.integers(0, 3), ahead=st.integers(0, 2))
    def join(self, p1: int, pieces: int, hold: int, ahead: int) -> None:
        name = f"w{len(self.disks)}"
        disk = self.disks[name] = Disk(p1 * P1_SIZE + pieces * 32 * GIB)
        disk.told, disk.told_at = disk.capacity, self.now
        limits = replace(caps(p1=3, hold=hold, p2=2 - bool(ahead)), precommit2_prefetch=ahead)
        spec = WorkerSpec(name, name, name, frozenset({AP, P1, P2}), limits)
        path = PathSpec(f"{name}:path", frozenset({name}), True, False)
        self.tell(WorkerJoined(spec), PathAttached(path, disk.capacity))

    @rule(many=st.integers(1, 4))
    def pledge(self, many: int) -> None:
        for _ in range(many):
            self.count += 1
            self.stage[self.count] = AP
        self.tell(*(self._queue(n, AP) for n in range(self.count - many + 1, self.count + 1)))

    def _queue(self, number: int, kind: TaskType) -> Event:
        name = f"{kind.short}-{number}-{len(self.jobs)}-{self.now}"
        self.queued[name] = TaskSpec(name, sector(number), PROOF, kind)
        return TaskQueued(self.queued[name])

    # -- the workers ------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0, 30.0]), data=st.data())
    def time_passes(self, seconds: float, data: st.DataObject) -> None:
        self.now += seconds
        names = data.draw(st.sets(st.sampled_from(sorted(self.disks)))) if self.disks else set()
        self.tell(*(self._report(name) for name in sorted(names)))

    @precondition(lambda self: self.disks)
    @rule(data=st.data())
    def measures(self, data: st.DataObject) -> None:
        """A worker looks at its disk; the report is told some seconds later."""
        name = data.draw(st.sampled_from(sorted(self.disks)))
        self.disks[name].measured = (self.now, self._free(name))

    def _free(self, name: str) -> int:
        jobs = (*self.jobs.values(), *self.ahead.values())
        reserved = sum(self._open(job) for job in jobs if job.worker == name)
        return self.disks[name].capacity - self._used(name) - reserved

    def _report(self, name: str) -> Event:
        disk = self.disks[name]
        if disk.measured is not None and self.now - disk.measured[0] < 10:
            disk.told = disk.measured[1]
        else:
            disk.told, disk.ended = self._free(name), 0
        disk.told_at, disk.measured = self.now, None
        return PathReported(f"{name}:path", disk.told)

    def _open(self, job: Job) -> int:
        """What the worker itself keeps free for a job whose call it has accepted."""
        kept = size(job.made()) if job.accepted and job.spec.id in self.jobs else 0
        return kept + (size(job.fetch) if job.fetching else 0)

    @precondition(lambda self: any(not job.accepted for job in self.jobs.values()))
    @rule(data=st.data())
    def goes_on(self, data: st.DataObject) -> None:
        """A fetch begins, or what was fetched has arrived and the task's own call is accepted. No step is short."""
        ready = [n for n, j in self.jobs.items() if not j.accepted and self._settled(j, j.fetching)]
        if not ready:
            return
        job = self.jobs[data.draw(st.sampled_from(sorted(ready)))]
        if job.fetch and not job.fetching:
            job.fetching, job.since = True, self.now
            self.tell(TaskPreparing(job.spec.id))
            return
        events: list[Event] = []
        number = job.spec.sector.number
        if job.fetch:
            events += self._move(number, job.fetch, job.worker)
            self.moved.add(number)
            job.fetch, job.fetching = FileType.NONE, False
        job.accepted, job.since = True, self.now
        self.tell(*events, TaskRunning(job.spec.id))

    @precondition(lambda self: any(not job.accepted for job in self.ahead.values()))
    @rule(data=st.data(), comes=st.sampled_from([True, True, False]))
    def goes_on_ahead(self, data: st.DataObject, comes: bool) -> None:
        """What is fetched ahead begins to come, has come (its source stays), or fails."""
        open_ = [n for n, j in self.ahead.items() if not j.accepted and self._settled(j, j.fetching)]
        if not open_:
            return
        name = data.draw(st.sampled_from(sorted(open_)))
        job = self.ahead[name]
        if not job.fetching:
            job.fetching, job.since = True, self.now
            self.tell(TaskPreparing(name))
        elif comes:
            number, files = job.spec.sector.number, self.disks[job.worker].files
            files[number] = files.get(number, FileType.NONE) | job.fetch
            declared = FilesDeclared(f"{job.worker}:path", sector(number), job.fetch, False, job.worker)
            job.fetch, job.fetching, job.accepted = FileType.NONE, False, True
            self.tell(declared, PrefetchDone(name))
        else:
            self.disks[job.worker].ended += size(job.fetch)
            self.tell(PrefetchFailed(name, "x"))

    def _settled(self, job: Job, works: bool) -> bool:
        return not works or self.now - job.since >= 10

    def _move(self, number: int, types: FileType, to: str) -> list[Event]:
        events: list[Event] = [FilesDeclared(f"{to}:path", sector(number), types, False, to)]
        self.disks[to].files[number] = self.disks[to].files.get(number, FileType.NONE) | types
        return events + self._drop_others(number, types, to)

    def _drop_others(self, number: int, types: FileType, keep: str) -> list[Event]:
        return [event for name in self.disks if name != keep for event in self._drop(number, types, name)]

    def _drop(self, number: int, types: FileType, on: str) -> list[Event]:
        gone = self.disks[on].files.get(number, FileType.NONE) & types
        if not gone:
            return []
        self.disks[on].files[number] &= ~types
        return [FilesDropped(f"{on}:path", sector(number), gone)]

    @precondition(lambda self: any(self._settled(j, j.accepted) and j.accepted for j in self.jobs.values()))
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.SUCCESS] * 3 + [Outcome.FAILED, Outcome.AGAIN]))
    def ends(self, data: st.DataObject, outcome: Outcome) -> None:
        over = [n for n, j in self.jobs.items() if j.accepted and self._settled(j, True)]
        name = data.draw(st.sampled_from(sorted(over)))
        job = self.jobs.pop(name)
        number, kind, disk = job.spec.sector.number, job.spec.type, self.disks[job.worker]
        disk.ended += self._need_at_most(job.spec)
        events: list[Event] = []
        if outcome is Outcome.SUCCESS and job.made():
            disk.files[number] = disk.files.get(number, FileType.NONE) | job.made()
            path = f"{job.worker}:path"
            events.append(FilesDeclared(path, sector(number), job.made(), False, job.worker))
        events.append(TaskEnded(name, outcome, "" if outcome is Outcome.SUCCESS else "x"))
        if outcome is Outcome.AGAIN:
            self.queued[name] = job.spec
        elif outcome is Outcome.FAILED:
            events.append(self._queue(number, kind))
        elif kind in NEXT:
            events.append(self._queue(number, NEXT[kind]))
        else:
            self.stage.pop(number)
        self.tell(*events)

    @precondition(lambda self: any(self._sealed(d) for d in self.disks.values()))
    @rule(data=st.data())
    def is_moved_away(self, data: st.DataObject) -> None:
        """A sealed sector goes to long-term storage."""
        name = data.draw(st.sampled_from(sorted(n for n, d in self.disks.items() if self._sealed(d))))
        disk = self.disks[name]
        number = data.draw(st.sampled_from(self._sealed(disk)))
        gone = disk.files.pop(number)
        self.tell(FilesDropped(f"{name}:path", sector(number), gone))

    def _sealed(self, disk: Disk) -> list[int]:
        return sorted(n for n, types in disk.files.items() if types and n not in self.stage)

    # -- the law ----------------------------------------------------------------------------------------------------

    def _used(self, name: str) -> int:
        return sum(size(types) for types in self.disks[name].files.values())

    @invariant()
    def no_path_is_overfilled(self) -> None:
        """Even if every task that is bound writes all that it may."""
        for name, disk in self.disks.items():
            written = sum(
                size(job.made()) + size(job.fetch) for job in self.jobs.values() if job.worker == name
            )
            written += sum(size(job.fetch) for job in self.ahead.values() if job.worker == name)
            assert self._used(name) + written <= disk.capacity, f"{name} runs over"

    @invariant()
    def every_waiting_piece_has_room_for_its_p1(self) -> None:
        """Where it was added, unless a P1 that failed elsewhere has left its piece there."""
        for name, disk in self.disks.items():
            mine = [job for job in self.jobs.values() if job.worker == name]
            bound = {job.spec.sector.number for job in self.jobs.values() if job.spec.type is P1}
            pieces = [n for n, types in disk.files.items() if types == UNSEALED and n not in bound]
            pieces += [job.spec.sector.number for job in mine if job.spec.type is AP]
            if any(n in self.moved for n in disk.files):
                continue
            written = sum(size(job.made()) + size(job.fetch) for job in mine)
            assert self._used(name) + written + len(pieces) * P1_SIZE <= disk.capacity, f"{name} locks up"

    @invariant()
    def nothing_is_lost_or_placed_twice(self) -> None:
        assert {q.task.id for q in self.scheduler.queue()} == set(self.queued)
        carried = {c.task.id: w for w in self.disks for c in self._ledger(w).carried}
        assert carried == {job.spec.id: job.worker for job in self.jobs.values()}
        promised = {p.task.id: w for w in self.disks for p in self._ledger(w).promised}
        assert promised == {name: job.worker for name, job in self.ahead.items()}

    def _ledger(self, worker: str):  # type: ignore[no-untyped-def]
        ledger = self.scheduler.ledger(worker)
        assert ledger is not None
        return ledger

    @staticmethod
    def _need_at_most(spec: TaskSpec) -> int:
        return {AP: 32 * GIB + P1_SIZE, P1: 32 * GIB + P1_SIZE, P2: P1_SIZE}[spec.type]

    def _nothing_fits(self) -> None:
        """Room counted with every doubt against it; a queued task that fits even so should have been placed."""
        delayed = {q.task.id for q in self.scheduler.queue() if q.not_before > self.now}
        for name, disk in self.disks.items():
            if self.now - disk.told_at >= 50:
                continue
            ledger = self.scheduler.ledger(name)
            assert ledger is not None
            mine = [job for job in self.jobs.values() if job.worker == name]
            promised = sum(self._need_at_most(job.spec) for job in mine) + ledger.pieces * P1_SIZE
            promised += sum(P1_SIZE for job in self.ahead.values() if job.worker == name)
            room = disk.told - disk.ended - promised
            for task_id, spec in self.queued.items():
                kind = spec.type
                most = {AP: 10**9, P1: 3, P2: ledger.caps.precommit2_max}[kind]
                hold = ledger.caps.precommit1_hold_max
                full = kind is P1 and hold and ledger.held >= hold
                rests = any(rest.task is kind for rest in ledger.rests)
                if task_id in self.ahead:
                    continue
                if task_id in delayed or full or rests or sum(j.spec.type is kind for j in mine) >= most:
                    continue
                assert self._need_at_most(spec) > room, f"{task_id} fits on {name} and waits"


class AheadMachine(SpaceMachine):
    """Begins with a worker whose P2 runs while the files of the next ones lie on another."""

    @initialize(room=st.integers(2, 4), ahead=st.integers(1, 2), hold=st.integers(0, 3))
    def busy(self, room: int, ahead: int, hold: int) -> None:
        self.join(room, 2, hold, ahead)
        self.disks["w1"] = Disk(12 * P1_SIZE)
        self.disks["w1"].told = 12 * P1_SIZE
        spec = WorkerSpec("w1", "w1", "w1", frozenset({AP, P1}), caps(p1=3, hold=0))
        self.tell(
            WorkerJoined(spec),
            PathAttached(PathSpec("w1:path", frozenset({"w1"}), True, False), 12 * P1_SIZE),
        )
        self.count = 5
        for number in range(1, 6):
            self.stage[number] = P2
            self.disks["w1" if number > 1 else "w0"].files[number] = OUTPUT
        on = {n: "w1" if n > 1 else "w0" for n in range(1, 6)}
        self.now += 11
        self.tell(
            *(FilesDeclared(f"{on[n]}:path", sector(n), OUTPUT, False, on[n]) for n in on),
            *(self._report(name) for name in self.disks),
        )
        self.tell(*(self._queue(n, P2) for n in on))
        (job,) = self.jobs.values()
        job.accepted, job.since = True, self.now
        self.tell(TaskRunning(job.spec.id))

    def _nothing_fits(self) -> None:
        """Here the second worker does no P2."""


def _run(examples: int, steps: int, machine: type[SpaceMachine] = SpaceMachine) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_path_is_overfilled_and_no_queued_task_fits() -> None:
    _run(30, 40)


@pytest.mark.slow
def test_nor_on_many_more_farms() -> None:
    _run(600, 60)


def test_no_path_is_overfilled_where_files_are_fetched_ahead() -> None:
    _run(25, 40, AheadMachine)


@pytest.mark.slow
def test_nor_on_many_more_farms_where_files_are_fetched_ahead() -> None:
    _run(600, 60, AheadMachine)
