"""Arbitrary farms without lack of space: after every pass the placed tasks are those of a maximum matching in queue order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from core.oracle import Slots, best_set
from core.scene import C1, C2, CACHE, P1, P2, PROOF, SEALED, TIB, UNSEALED, caps, sector
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lotus_sched_cli.core import places
from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.decisions import Assigned, Plan, Prefetch, PrefetchOver
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
    SectorHeld,
    TaskEnded,
    TaskQueued,
    TaskRemoved,
    TaskRunning,
    TaskSpec,
    WorkerCaps,
    WorkerDrain,
    WorkerJoined,
    WorkerOnline,
    WorkerSpec,
    WorkerTasks,
)
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, TaskType

WORKERS = tuple("abcde")
KINDS = (P1, P2, C1, C2)
GROUPS = ("", "x", "y")
SHARED = "shared"
worker_ids = st.sampled_from(WORKERS)


def any_limits(p1: int, hold: int, p2: int, c2: int, bound: tuple[bool, bool, bool], ahead: int) -> Caps:
    return replace(
        caps(p1, hold, p2, c2, bound[0]),
        force_p1_from_local_ap=bound[1],
        force_c2_from_local_p2=bound[2],
        precommit2_prefetch=ahead,
    )


any_caps = st.builds(
    any_limits,
    p1=st.integers(0, 3),
    hold=st.integers(0, 3),
    p2=st.integers(0, 2),
    c2=st.integers(0, 2),
    bound=st.tuples(*[st.sampled_from([False, False, True])] * 3),
    ahead=st.sampled_from([0, 0, 1, 2]),
)
offers = st.frozensets(st.sampled_from(KINDS), min_size=1)


class MatchingMachine(RuleBasedStateMachine):
    """Events gather in a batch; ``decide`` hands it over and compares with the oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(validate=True)
        self.now = 0.0
        self.batch: list[Event] = []
        self.paths: dict[str, PathSpec] = {}
        self.workers: dict[str, WorkerSpec] = {}
        self.enabled: dict[str, dict[str, bool]] = {}
        self.files: dict[int, dict[str, FileType]] = {}
        self.specs: dict[str, TaskSpec] = {}
        self.order: dict[str, tuple[int, float, int]] = {}
        self.first: dict[str, tuple[float, int]] = {}
        self.queued: set[str] = set()
        self.bound: dict[str, str] = {}
        #: Queued P2 whose files are fetched ahead, and to whom; and those bound there that do not run yet.
        self.promised: dict[str, str] = {}
        self.ahead: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.unheld: set[int] = set()
        self.count = 0

    def say(self, *events: Event) -> None:
        self.batch += events

    @rule(
        name=worker_ids,
        tasks=offers,
        limits=any_caps,
        group=st.sampled_from(GROUPS),
        to=st.sampled_from(GROUPS),
    )
    def join(self, name: str, tasks: frozenset[TaskType], limits: object, group: str, to: str) -> None:
        spec = WorkerSpec(name, f"{name}{self.count}", name, tasks, limits, gpus=1)  # type: ignore[arg-type]
        self.count += 1
        self.workers[name] = spec
        self.enabled.setdefault(name, {"drain": False})["online"] = True
        self._attach(name, frozenset({name}), group, to)
        self.say(WorkerJoined(spec))

    @rule(
        owners=st.frozensets(worker_ids, min_size=2),
        group=st.sampled_from(GROUPS),
        to=st.sampled_from(GROUPS),
    )
    def share_a_path(self, owners: frozenset[str], group: str, to: str) -> None:
        self._attach(SHARED, owners, group, to)

    def _attach(self, name: str, owners: frozenset[str], group: str, to: str) -> None:
        spec = PathSpec(name, owners, True, False, 10, _set(group), _set(to))
        self.paths[name] = spec
        self.say(PathAttached(spec, 1000 * TIB))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), online=st.booleans(), drain=st.booleans(), sectors=st.booleans())
    def enable(self, data: st.DataObject, online: bool, drain: bool, sectors: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        self.enabled[name] = {
            "online": online,
            "drain": drain and not sectors,
            "sectors": drain and sectors,
        }
        self.say(WorkerOnline(name, online), WorkerDrain(name, drain, sectors))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), limits=any_caps, tasks=offers)
    def change(self, data: st.DataObject, limits: object, tasks: frozenset[TaskType]) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        old = self.workers[name]
        self.workers[name] = WorkerSpec(name, old.session, name, tasks, limits, gpus=1)  # type: ignore[arg-type]
        self.say(WorkerCaps(name, limits), WorkerTasks(name, tasks))  # type: ignore[arg-type]

    @precondition(lambda self: self.paths)
    @rule(
        data=st.data(),
        number=st.integers(0, 9),
        types=st.sampled_from([UNSEALED, SEALED, CACHE, SEALED | CACHE]),
    )
    def declare(self, data: st.DataObject, number: int, types: FileType) -> None:
        path = data.draw(st.sampled_from(sorted(self.paths)))
        self.files.setdefault(number, {})[path] = self.files.get(number, {}).get(path, FileType.NONE) | types
        self.say(FilesDeclared(path, sector(number), types, False, None))

    @precondition(lambda self: any(self.files.values()))
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(n for n, f in self.files.items() if f)))
        path = data.draw(st.sampled_from(sorted(self.files[number])))
        self.say(FilesDropped(path, sector(number), self.files[number].pop(path)))

    @rule(number=st.integers(0, 9), held=st.booleans())
    def hold(self, number: int, held: bool) -> None:
        """A sector that has a PreCommit1 to do has not left the pipeline."""
        if f"{P1.short}-{number}" not in self.queued | set(self.bound):
            self._hold(number, held)

    def _hold(self, number: int, held: bool) -> None:
        (self.unheld.discard if held else self.unheld.add)(number)
        if not held:
            # It has left the pipeline: what the scheduler remembered of its tasks is forgotten.
            for kind in KINDS:
                self.first.pop(f"{kind.short}-{number}", None)
        self.say(SectorHeld(sector(number), held))

    @rule(
        numbers=st.sets(st.integers(0, 9), max_size=6),
        kind=st.sampled_from(KINDS),
        priority=st.sampled_from([0, 0, 1024]),
    )
    def pledge(self, numbers: set[int], kind: TaskType, priority: int) -> None:
        for number in sorted(numbers):
            name = f"{kind.short}-{number}"
            if name in self.queued or name in self.bound or self.never_with(kind, number):
                continue
            if kind is P1 and number in self.unheld:
                self._hold(number, True)
            self.count += 1
            self.specs[name] = TaskSpec(name, sector(number), PROOF, kind, priority)
            first = self.first.setdefault(name, (self.now, self.count))
            self.order[name] = (-priority, *first)
            self.queued.add(name)
            self.say(TaskQueued(self.specs[name]))

    def never_with(self, kind: TaskType, number: int) -> bool:
        """Whether the sector has a task beside which it has no other of this kind."""
        return False

    @precondition(lambda self: self.bound and not self.batch)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        for name in data.draw(st.sets(st.sampled_from(sorted(self.bound)), min_size=1)):
            del self.bound[name]
            self.ahead.pop(name, None)
            self.first.pop(name, None)
            self.say(TaskEnded(name, Outcome.SUCCESS))

    @precondition(lambda self: self.bound and not self.batch)
    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        for name in sorted(data.draw(st.sets(st.sampled_from(sorted(self.bound)), min_size=1))):
            self.ahead.pop(name, None)
            self.say(TaskRunning(name))

    @precondition(lambda self: self.promised and not self.batch)
    @rule(data=st.data(), comes=st.booleans())
    def fetched_ahead(self, data: st.DataObject, comes: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.promised)))
        number, worker = self.specs[name].sector.number, self.promised[name]
        path = next((p for p in sorted(self.paths) if worker in self.paths[p].owners), None)
        if not comes or path is None:
            self.say(PrefetchFailed(name, "x"))
            return
        there = self.files.setdefault(number, {})
        there[path] = there.get(path, FileType.NONE) | SEALED | CACHE
        self.say(FilesDeclared(path, sector(number), SEALED | CACHE, False, None), PrefetchDone(name))

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.queued)))
        self.queued.discard(name)
        self.say(TaskRemoved(name))

    @precondition(lambda self: self.batch)
    @rule()
    def decide(self) -> None:
        self.now += 1.0
        plan = self.scheduler.handle(
            self.now, *self.batch, *(PathReported(p, 1000 * TIB) for p in self.paths)
        )
        self.batch = []
        placed = {d.task.id: d.worker_id for d in plan.decisions if isinstance(d, Assigned)}
        self._promises(plan, placed)
        assert len(placed) == sum(isinstance(d, Assigned) for d in plan.decisions), "placed twice"
        assert set(placed) <= self.queued, "placed though it did not wait"
        for kind in KINDS:
            self._compare(kind, placed)
        self.queued -= set(placed)
        self.bound |= placed
        self.promised |= self.new
        if plan.wake == self.now:
            # What promised tasks have left behind that were bound elsewhere; nothing more may come of it.
            again = self.scheduler.handle(self.now)
            for d in again.decisions:
                if isinstance(d, PrefetchOver):
                    self.left.pop(d.task.id, None)
                elif isinstance(d, Prefetch):
                    self.promised[d.task.id] = d.worker_id
                elif isinstance(d, Assigned):
                    self.queued.discard(d.task.id)
                    self.promised.pop(d.task.id, None)
                    self.bound[d.task.id] = d.worker_id
        assert {q.task.id for q in self.scheduler.queue()} == self.queued, "no task is lost"

    def _promises(self, plan: Plan, placed: dict[str, str]) -> None:
        """What was promised before the pass: kept, given up before it, or become a binding."""
        self.new: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.kept: set[str] = set()
        for d in plan.decisions:
            if isinstance(d, PrefetchOver):
                (self.new if d.task.id in self.new else self.promised).pop(d.task.id)
            elif isinstance(d, Prefetch):
                assert d.task.id in self.queued and d.task.id not in placed, (
                    "fetched ahead though it is bound"
                )
                self.new[d.task.id] = d.worker_id
        for name in [n for n in self.promised if n in placed]:
            worker = self.promised.pop(name)
            self.kept.add(name)
            (self.ahead if placed[name] == worker else self.left)[name] = worker

    def _compare(self, kind: TaskType, placed: dict[str, str]) -> None:
        """Whose files are fetched ahead waits for its worker, or is placed before others of its priority."""
        waiting = sorted(
            (n for n in self.queued if self.specs[n].type is kind and n not in self.promised),
            key=lambda n: (self.order[n][0], n not in self.kept, *self.order[n][1:]),
        )
        for name in waiting:
            if name in placed:
                assert self.may(name, placed[name]), f"{name} on {placed[name]}"
        slots = {w: self._slots(kind, w) for w in self.workers}
        expected = best_set(waiting, slots, self.may, self._holds)
        assert expected == {n for n in waiting if n in placed}

    def _slots(self, kind: TaskType, worker: str) -> Slots:
        """As they were before this pass."""
        limits = self.workers[worker].caps
        carried = sum(self.specs[n].type is kind for n, w in self.bound.items() if w == worker)
        if kind is C1:
            return Slots(1000, 1000)
        if kind is not P1:
            return Slots(
                max(0, (limits.precommit2_max if kind is P2 else limits.commit2_max) - carried), 1000
            )
        free = max(0, limits.precommit1_max - carried)
        if not limits.precommit1_hold_max:
            return Slots(free, 1000)
        return Slots(free, max(0, limits.precommit1_hold_max - len(self._held(worker))))

    def _held(self, worker: str) -> set[int]:
        return {n for n in range(10) if self._in_hold(n, worker)} - self.unheld

    def _in_hold(self, number: int, worker: str) -> bool:
        name = f"{P1.short}-{number}"
        if self.bound.get(name) == worker:
            return True
        ahead = f"{P2.short}-{number}"
        if worker in (self.promised.get(ahead), self.ahead.get(ahead), self.left.get(ahead)):
            return True
        files = self.files.get(number, {})
        return any(t & (SEALED | CACHE) and worker in self.paths[p].owners for p, t in files.items())

    def _holds(self, name: str, worker: str) -> bool:
        """Whether its sector is in the worker's hold already, so that it needs no more room there."""
        return self.specs[name].type is not P1 or self.specs[name].sector.number in self._held(worker)

    def may(self, name: str, worker: str) -> bool:
        spec, w = self.specs[name], self.workers[worker]
        state = self.enabled[worker]
        if not state["online"] or state["drain"] or spec.type not in w.tasks:
            return False
        if spec.type.kind is not None and w.caps.of(spec.type.kind) == 0:
            return False
        if spec.type is C2 and not w.caps.force_c2_from_local_p2:
            return True
        hold = w.caps.precommit1_hold_max
        if spec.type is P1 and hold and len(self._held(worker) - {spec.sector.number}) >= hold:
            return False
        files = self.files.get(spec.sector.number, {})
        need = UNSEALED if spec.type is P1 else SEALED | CACHE
        everywhere = own = FileType.NONE
        for path, types in files.items():
            everywhere |= types
            if worker in self.paths[path].owners:
                own |= types
        if spec.type is C2:
            return not need & ~own
        if spec.type is P1 and (w.caps.force_p1_from_local_ap or state.get("sectors")) and not own & UNSEALED:
            return False
        if need & ~everywhere:
            return False
        if need & ~own and not self._may_fetch(files, need, worker):
            return False
        if spec.type is C1:
            return bool(own & need)
        if spec.type is P2 and w.caps.force_p2_from_local_p1:
            return not need & ~own
        return True

    def _may_fetch(self, files: dict[str, FileType], need: FileType, worker: str) -> bool:
        sources = [self.paths[p].allow_to for p, t in files.items() if t & need]
        groups = None if not all(sources) else frozenset().union(*sources)
        return any(worker in p.owners and (groups is None or groups & p.groups) for p in self.paths.values())


class AheadMachine(MatchingMachine):
    """Begins with two workers whose P2 run while others wait, all files on a third: fetched ahead to them."""

    @initialize(ahead=st.tuples(st.integers(1, 2), st.integers(0, 2)), hold=st.sampled_from([0, 2, 3]))
    def busy(self, ahead: tuple[int, int], hold: int) -> None:
        self.join("e", frozenset({P1}), caps(3, 0, 0, 0), "", "")
        for name, most in zip("ab", ahead, strict=True):
            limits = replace(caps(1, hold, 1, 1), precommit2_prefetch=most)
            self.join(name, frozenset({P1, P2}), limits, "", "")
        for number in range(10):
            self.files[number] = {"e": SEALED | CACHE | (UNSEALED if number > 6 else FileType.NONE)}
            self.say(FilesDeclared("e", sector(number), self.files[number]["e"], False, None))
        self.decide()
        self.pledge(set(range(6)), P2, 0)
        self.decide()
        self.say(*(TaskRunning(name) for name in sorted(self.bound)))
        self.decide()
        assert self.promised

    def never_with(self, kind: TaskType, number: int) -> bool:
        """The pipeline ends a sector's P2 before it asks for its P1 anew: else a place in the hold that is promised to the P2
        would be one for the P1 too."""
        if kind not in (P1, P2):
            return False
        other = f"{(P2 if kind is P1 else P1).short}-{number}"
        return other in self.queued or other in self.bound

    @precondition(lambda self: self.bound and not self.batch)
    @rule(keep=st.booleans())
    def everything_runs(self, keep: bool) -> None:
        """What workers have been given has started; one more P2 waits."""
        self.ahead.clear()
        self.say(*(TaskRunning(name) for name in sorted(self.bound)))
        if not keep:
            self.decide()


def _set(name: str) -> frozenset[str]:
    return frozenset({name} if name else ())


@pytest.fixture(params=[8, 1], ids=["owners-one-by-one", "owners-as-pools"])
def many_owners(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(places, "MANY_OWNERS", request.param)
    yield


def _run(examples: int, steps: int, machine: type[MatchingMachine] = MatchingMachine) -> None:
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


def test_no_task_waits_that_another_placement_of_the_pass_could_have_placed(many_owners: None) -> None:
    _run(35, 40)


@pytest.mark.slow
def test_nor_in_many_more_farms(many_owners: None) -> None:
    _run(600, 60)


def test_the_same_where_files_are_fetched_ahead(many_owners: None) -> None:
    _run(25, 30, AheadMachine)


@pytest.mark.slow
def test_and_in_many_more_farms_where_files_are_fetched_ahead(many_owners: None) -> None:
    _run(600, 50, AheadMachine)
