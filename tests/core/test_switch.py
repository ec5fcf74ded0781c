"""The policy is switched while the farm works: what runs goes on, what waits is planned anew, nothing is lost or doubled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.scene import AP, C1, C2, CACHE, GIB, P1, P2, PROOF, SEALED, TIB, UNSEALED, caps, sector, task
from core.windows import Windows, windowed
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lotus_sched_cli.core.decisions import Assigned, Prefetch, PrefetchOver, Start
from lotus_sched_cli.core.events import (
    Event,
    FilesDeclared,
    Outcome,
    PathAttached,
    PathReported,
    PathSpec,
    PrefetchDone,
    PrefetchFailed,
    PrefetchRestored,
    Settings,
    SettingsChanged,
    TaskEnded,
    TaskPrepared,
    TaskPreparing,
    TaskQueued,
    TaskRemoved,
    TaskRestored,
    TaskRunning,
    TaskSpec,
    WorkerDrain,
    WorkerJoined,
    WorkerLeft,
    WorkerOnline,
    WorkerSpec,
)
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.core.windowed import ASSIGNERS

WORKERS = tuple("abcd")
KINDS = (P1, P2, C1, C2, AP)
POLICIES = [Settings(), Settings(spread_by="share"), *(windowed(name) for name in ASSIGNERS if name)]
worker_ids = st.sampled_from(WORKERS)


def test_switched_to_windowed_and_back_under_load() -> None:
    farm = Windows(Settings())
    for name in ("w1", "w2"):
        farm.machine(name, [P1], limits=caps(p1=2))
    for n in range(12):
        farm.files(n, UNSEALED, "w1", by="w1")
    farm.queue(*(task(n, P1) for n in range(12)))
    before = dict(farm.where)
    assert len(before) == 4 and len(farm.in_queue()) == 8

    farm.tell(SettingsChanged(windowed()))
    assert farm.where == before, "what runs goes on where it is"
    farm.wait(3)
    assert farm.assigned() and len(farm.waiting()) + sum(farm.carried(P1).values()) == 12

    farm.tell(SettingsChanged(Settings()))
    assert farm.assigned() == {}, "no windows any more"
    assert farm.prepared == set(), "what waited for its turn runs"
    assert len(farm.waiting()) + sum(farm.carried(P1).values()) == 12
    done = 0
    while farm.started or farm.fetching:
        for name in sorted(farm.fetching):
            farm.fetched(task(int(name.split("-")[1]), P1))
        for name in sorted(farm.started):
            farm.started.discard(name)
            farm.end(task(int(name.split("-")[1]), P1))
            done += 1
    assert done == 12 and farm.waiting() == []


def test_a_task_that_fetches_while_the_policy_changes_starts_by_the_new_one() -> None:
    farm = Windows()
    farm.machine("w", [P1])
    farm.ready()
    farm.stored(*(task(n, P1) for n in range(3)))
    farm.queue(task(0, P1), task(1, P1))
    assert farm.fetching == {"PC1-0", "PC1-1"}
    farm.tell(SettingsChanged(Settings()))
    farm.fetched(task(0, P1))
    assert "PC1-0" in farm.started


def test_what_the_balanced_policy_has_bound_fills_the_windowed_ledgers() -> None:
    farm = Windows(Settings())
    farm.machine("w", [P1])
    for n in range(6):
        farm.files(n, UNSEALED, "w", by="w")
    farm.queue(task(0, P1), task(1, P1))
    assert len(farm.started) == 2
    farm.tell(SettingsChanged(windowed()))
    farm.wait(3)
    farm.queue(task(2, P1))
    assert farm.prepared == {"PC1-2"}, "the memory is full"
    farm.end(task(0, P1))
    assert "PC1-2" in farm.started


def test_another_delay_takes_no_window_back() -> None:
    farm = Windows()
    farm.machine("w", [P1])
    farm.ready()
    for n in range(8):
        farm.files(n, UNSEALED, "w", by="w")
    farm.queue(*(task(n, P1) for n in range(8)))
    before = farm.assigned()
    assert len(before) == 4
    farm.tell(SettingsChanged(windowed(retry_delay=5.0)))
    assert farm.assigned() == before
    farm.tell(SettingsChanged(windowed("spread", retry_delay=5.0)))
    assert farm.assigned() == {}, "another assigner plans anew"
    farm.wait(3)
    assert len(farm.assigned()) == 4


class SwitchMachine(RuleBasedStateMachine):
    """Each rule is one batch. ``carried`` is what the workers were given, by their own account."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(validate=True)
        self.now = 0.0
        self.count = 0
        self.settings = Settings()
        self.workers: dict[str, WorkerSpec] = {}
        self.paths: list[str] = []
        self.specs: dict[str, TaskSpec] = {}
        self.queued: set[str] = set()
        self.carried: dict[str, str] = {}
        #: Carried tasks: to be prepared (it is told at some time), waiting for a Start, running.
        self.state: dict[str, str] = {}
        self.waits: set[str] = set()
        self.files: list[FilesDeclared] = []
        #: Where files are fetched ahead.
        self.promised: dict[str, str] = {}

    def tell(self, *events: Event) -> None:
        self.now += 0.5
        reports = [PathReported(p, 1000 * TIB) for p in self.paths]
        plan = self.scheduler.handle(self.now, *events, *reports)
        for decision in plan.decisions:
            if isinstance(decision, Assigned):
                name = decision.task.id
                assert name in self.queued, f"{name} is given out though it does not wait"
                self.queued.discard(name)
                self.carried[name] = decision.worker_id
                self.state[name] = "bound"
                if decision.waits:
                    self.waits.add(name)
                if self.promised.get(name) == decision.worker_id:
                    del self.promised[name]
            elif isinstance(decision, Prefetch):
                assert self.settings.policy == "balanced" and decision.task.id in self.queued
                assert self.promised.setdefault(decision.task.id, decision.worker_id) == decision.worker_id
            elif isinstance(decision, PrefetchOver):
                assert self.promised.pop(decision.task.id) == decision.worker_id
            elif isinstance(decision, Start):
                name = decision.task.id
                assert self.state.get(name) == "prepared", f"{name} starts in state {self.state.get(name)}"
                assert self.carried[name] == decision.worker_id
                self.waits.discard(name)
                self.state[name] = "started"
        if plan.wake == self.now:
            self.now -= 0.5
            self.tell()
            return
        assert {q.task.id for q in self.scheduler.queue()} == self.queued, "none is lost, none is doubled"
        assert set(self.promised) <= self.queued
        assert not self.promised or self.settings.policy == "balanced", "windowed promises nothing"
        for name in self.workers:
            ledger = self.scheduler.ledger(name)
            assert ledger is not None
            mine = {t for t, w in self.carried.items() if w == name}
            assert {c.task.id for c in ledger.carried} == mine, "what runs goes on where it is"
            ahead = {t for t, w in self.promised.items() if w == name}
            assert {p.task.id for p in ledger.promised} == ahead, "what is fetched ahead"

    @rule(name=worker_ids, tasks=st.frozensets(st.sampled_from(KINDS), min_size=1), memory=st.integers(60, 400),
          ignore=st.booleans(), gpus=st.integers(0, 2), ahead=st.integers(0, 2))  # fmt: skip
    def join(
        self, name: str, tasks: frozenset[TaskType], memory: int, ignore: bool, gpus: int, ahead: int
    ) -> None:
        self.count += 1
        limits = replace(caps(p1=3, p2=1, c2=1), precommit2_prefetch=ahead)
        spec = WorkerSpec(
            name, f"{name}{self.count}", name, tasks, limits, cpus=32, gpus=gpus,
            mem_physical=memory * GIB, mem_swap=200 * GIB, cap_aware=memory % 2 == 0, ignore_resources=ignore,
        )  # fmt: skip
        self.workers[name] = spec
        if name not in self.paths:
            self.paths.append(name)
        path = PathSpec(name, frozenset({name}), True, True)
        self.tell(WorkerJoined(spec), PathAttached(path, 1000 * TIB))

    @rule(index=st.integers(0, len(POLICIES) - 1))
    def switch(self, index: int) -> None:
        self.settings = POLICIES[index]
        self.tell(SettingsChanged(self.settings))

    @rule(seconds=st.sampled_from([1.0, 3.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.tell()

    @precondition(lambda self: self.paths)
    @rule(
        data=st.data(),
        numbers=st.sets(st.integers(0, 40), min_size=1, max_size=12),
        kind=st.sampled_from(KINDS),
    )
    def pledge(self, data: st.DataObject, numbers: set[int], kind: TaskType) -> None:
        events: list[Event] = []
        for number in sorted(numbers):
            name = f"{kind.short}-{number}"
            if name in self.queued or name in self.carried:
                continue
            on = data.draw(st.sampled_from(self.paths))
            types = {P1: UNSEALED, AP: FileType.NONE, C2: FileType.NONE}.get(kind, SEALED | CACHE)
            if types:
                self.files.append(FilesDeclared(on, sector(number), types, False, on))
                events.append(self.files[-1])
            self.specs[name] = TaskSpec(name, sector(number), PROOF, kind)
            self.queued.add(name)
            events.append(TaskQueued(self.specs[name]))
        self.tell(*events)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), online=st.booleans(), drain=st.booleans())
    def enable(self, data: st.DataObject, online: bool, drain: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        self.tell(WorkerOnline(name, online), WorkerDrain(name, drain))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Gone for good; what it carries is counted until the miner knows what became of it."""
        name = data.draw(st.sampled_from(sorted(self.workers)))
        del self.workers[name]
        self.tell(WorkerLeft(name))

    @precondition(lambda self: "bound" in self.state.values())
    @rule(data=st.data(), fetches=st.booleans())
    def go_on(self, data: st.DataObject, fetches: bool) -> None:
        """A worker has accepted a fetch or the call itself, or it is prepared."""
        bound = sorted(n for n, s in self.state.items() if s == "bound")
        name = data.draw(st.sampled_from(bound))
        if fetches:
            self.tell(TaskPreparing(name))
        elif name in self.waits:
            self.state[name] = "prepared"
            self.tell(TaskPrepared(name))
        else:
            self.state[name] = "started"
            self.tell(TaskRunning(name))

    @precondition(lambda self: self.promised)
    @rule(data=st.data(), how=st.sampled_from(["begins", "comes", "fails"]))
    def fetched_ahead(self, data: st.DataObject, how: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.promised)))
        if how == "begins":
            self.tell(TaskPreparing(name))
        elif how == "fails":
            self.tell(PrefetchFailed(name, "x"))
        else:
            on = self.promised[name]
            self.files.append(FilesDeclared(on, self.specs[name].sector, SEALED | CACHE, False, on))
            self.tell(self.files[-1], PrefetchDone(name))

    @precondition(lambda self: "started" in self.state.values())
    @rule(
        data=st.data(),
        outcome=st.sampled_from([Outcome.SUCCESS, Outcome.FAILED, Outcome.AGAIN, Outcome.CANCELLED]),
    )
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        started = sorted(n for n, s in self.state.items() if s == "started")
        name = data.draw(st.sampled_from(started))
        self._over(name, outcome)

    def _over(self, name: str, outcome: Outcome) -> None:
        del self.carried[name], self.state[name]
        if outcome is Outcome.AGAIN:
            self.queued.add(name)
        self.tell(TaskEnded(name, outcome))

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.queued)))
        self.queued.discard(name)
        self.tell(TaskRemoved(name))

    @precondition(lambda self: self.workers)
    @rule()
    def restart_the_miner(self) -> None:
        """Everything is told anew to a scheduler that knows nothing, tasks on workers first."""
        self.scheduler = Scheduler(self.settings, validate=True)
        events: list[Event] = []
        for name, on in self.carried.items():
            accepted = self.now if self.state[name] == "started" else None
            events.append(TaskRestored(self.specs[name], on, 0.0, accepted))
            if accepted is None:
                self.state[name] = "bound"
                self.waits.add(name)
        events += [WorkerJoined(spec) for spec in self.workers.values()]
        events += [PathAttached(PathSpec(p, frozenset({p}), True, True), 1000 * TIB) for p in self.paths]
        events += self.files
        events += [TaskQueued(self.specs[name]) for name in sorted(self.queued)]
        promised, known = dict(self.promised), set(self.workers)
        events += [PrefetchRestored(n, w, self.now, False) for n, w in promised.items() if w in known]
        self.promised = {n: w for n, w in promised.items() if w in known}
        self.tell(*events)

    def teardown(self) -> None:
        """In the end everything that some worker can do is done, once."""
        if not self.workers:
            return
        for name in self.workers:
            self.tell(WorkerOnline(name, True), WorkerDrain(name, False))
        for _ in range(400):
            self.now += 2000.0
            self.tell()
            if not self.carried:
                break
            for name in sorted(self.carried):
                if name not in self.carried:
                    continue
                if self.state[name] == "bound" and name in self.waits:
                    self.state[name] = "prepared"
                    self.tell(TaskPrepared(name))
                elif self.state[name] == "bound":
                    self.state[name] = "started"
                    self.tell(TaskRunning(name))
                if self.state.get(name) == "started":
                    self._over(name, Outcome.SUCCESS)
        assert not self.carried, f"never done: {self.state}"


class AheadMachine(SwitchMachine):
    """Begins with a worker whose P2 runs while the files of the next ones are fetched to it."""

    @initialize(ahead=st.integers(1, 2))
    def busy(self, ahead: int) -> None:
        self.join("a", frozenset({P2}), 400, True, 1, ahead)
        self.join("b", frozenset({P1}), 400, True, 1, 0)
        for number in range(5):
            on = "b" if number else "a"
            self.files.append(FilesDeclared(on, sector(number), SEALED | CACHE, False, on))
            self.specs[f"PC2-{number}"] = TaskSpec(f"PC2-{number}", sector(number), PROOF, P2)
            self.queued.add(f"PC2-{number}")
        self.tell(*self.files, *(TaskQueued(spec) for spec in self.specs.values()))
        (name,) = self.carried
        self.state[name] = "started"
        self.tell(TaskRunning(name))
        assert len(self.promised) == ahead


def _run(examples: int, steps: int, machine: type[SwitchMachine] = SwitchMachine) -> None:
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


def test_no_task_is_lost_or_doubled_however_policies_change() -> None:
    _run(30, 40)


@pytest.mark.slow
def test_nor_in_many_more_farms() -> None:
    _run(800, 60)


def test_nor_where_files_are_fetched_ahead() -> None:
    _run(25, 30, AheadMachine)


@pytest.mark.slow
def test_nor_in_many_more_farms_where_files_are_fetched_ahead() -> None:
    _run(800, 60, AheadMachine)
