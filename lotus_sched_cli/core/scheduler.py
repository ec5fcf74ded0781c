"""The scheduler as its driver has it: events in, decisions out, and the time when it next wants to be called."""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop

from . import by_hand, invariants, ledger, promise, rest
from .decisions import Assigned, Plan, Refusal
from .events import (
    AssignByHand,
    Event,
    FilesDeclared,
    FilesDropped,
    PathAttached,
    PathDetached,
    PathReported,
    PrefetchDone,
    PrefetchFailed,
    PrefetchRestored,
    RestOver,
    SectorHeld,
    Settings,
    SettingsChanged,
    TaskEnded,
    TaskPrepared,
    TaskPreparing,
    TaskQueued,
    TaskRemoved,
    TaskRestored,
    TaskRunning,
    WorkerCaps,
    WorkerDrain,
    WorkerJoined,
    WorkerLeft,
    WorkerOnline,
    WorkerSpec,
    WorkerTasks,
)
from .explain import Clock, Explained, explain, explain_past
from .farm import Farm
from .ledger import Carried, Ledger, QueuedTask, Resting
from .pledge import PieceSlots, piece_slots
from .policies import POLICIES, checked
from .records import Task
from .refusals import Refusals
from .space import brings
from .story import Stories, StoryLine
from .tasks import FILE_TYPE_SETS, SectorId

__all__ = ["Carried", "Ledger", "QueuedTask", "Resting", "Scheduler", "StoryLine"]


class Scheduler:
    """Not thread-safe; one owner drives it. ``validate``: check every invariant after every batch (slow, for tests).

    ``quiet``: no refusals are said and no stories are kept (a simulation has no log); ``judge`` and ``explain`` answer all
    the same.

    Raises ValueError for settings that name no policy.
    """

    def __init__(
        self, settings: Settings | None = None, *, validate: bool = False, quiet: bool = False
    ) -> None:
        self._farm = Farm(checked(settings or Settings()))
        self._farm.policy = POLICIES[self._farm.settings.policy](self._farm)
        self._by_hand: list[Task] = []
        self._refusals = Refusals(self._farm)
        self._quiet = quiet
        self._stories = Stories()
        self._validating = validate

    def handle(self, now: float, *events: Event) -> Plan:
        """Take in a batch of events and decide, in one pass. ``now`` is in seconds and does not go back.

        Events about workers, paths or tasks that are not known are left aside.
        """
        farm = self._farm
        farm.now = max(farm.now, now)
        now = farm.now
        farm.decisions = []
        if farm.broken:
            promise.sweep(farm)
        for event in events:
            if isinstance(event, PathReported):
                # By far the most frequent: every path's health loop, all day long. It is in no task's story.
                farm.path_reported(event.path_id, event.available, event.error, now)
                continue
            if not self._quiet:
                self._stories.event(now, event)
            self._take(event, now)
        sweep = self._run_timers(now)
        if self._validating:
            invariants.before_pass(farm)
        done = farm.policy.run(now)
        if self._by_hand:
            done, self._by_hand = [*self._by_hand, *done], []
        for task in done:
            assert task.worker is not None
            farm.decisions.append(
                Assigned(
                    task.spec,
                    task.worker.id,
                    FILE_TYPE_SETS[brings(task, task.worker)],
                    task.laid,
                    task.reasons,
                    task.waits,
                )
            )
        if sweep:
            farm.decisions += self._refusals.due(now)
        if events and not self._quiet:
            self._refusals.plan(now)
        for decision in () if self._quiet else farm.decisions:
            self._stories.decision(now, decision)
        if self._validating:
            self.validate()
        return Plan(tuple(farm.decisions), farm.timers[0][0] if farm.timers else None)

    def _run_timers(self, now: float) -> bool:
        farm, sweep = self._farm, False
        while farm.timers and farm.timers[0][0] <= now:
            _, _, what, ref = heappop(farm.timers)
            if what == "sweep":
                sweep = True
            elif what == "worker":
                farm.due(ref)
            elif what != "policy" and (task := farm.tasks.get(ref)) is not None:
                farm.retry_due(task, now) if what == "retry" else farm.missing_due(task, now)
        return sweep

    def _take(self, event: Event, now: float) -> None:
        farm = self._farm
        match event:
            case TaskQueued(task, queued_at):
                farm.task_queued(task, now, queued_at)
            case TaskEnded(task_id, outcome, error):
                farm.task_ended(task_id, outcome, error, now)
                self._over(task_id)
            case FilesDeclared(path_id, sector, types, primary, by):
                farm.files_declared(path_id, sector, int(types), primary, by, now)
            case FilesDropped(path_id, sector, types):
                farm.files_dropped(path_id, sector, int(types), now)
            case TaskRunning(task_id):
                farm.task_running(task_id, now)
            case TaskPreparing(task_id):
                farm.task_preparing(task_id, now)
            case TaskPrepared(task_id):
                farm.task_prepared(task_id, now)
            case TaskRemoved(task_id):
                farm.task_removed(task_id, now)
                self._over(task_id)
            case TaskRestored(task, worker_id, queued_at, accepted_at):
                farm.task_restored(task, worker_id, now, queued_at, accepted_at)
            case PrefetchDone(task_id):
                promise.done(farm, task_id, now)
            case PrefetchFailed(task_id, error):
                promise.failed(farm, task_id, error, now)
            case PrefetchRestored(task_id, worker_id, since, done):
                promise.restored(farm, task_id, worker_id, since, done, now)
            case SectorHeld(sector, held):
                farm.sector_held(sector, held)
            case SettingsChanged(settings):
                self._change(settings)
            case PathAttached(path, available, capacity):
                farm.path_attached(path, available, capacity, now)
            case PathDetached(path_id):
                farm.path_detached(path_id, now)
            case _:
                self._take_worker(event)

    def _take_worker(self, event: Event) -> None:
        farm = self._farm
        match event:
            case WorkerJoined(worker):
                farm.worker_joined(worker)
            case WorkerTasks(worker_id, tasks):
                farm.worker_tasks(worker_id, tasks)
            case WorkerCaps(worker_id, caps, limits):
                farm.worker_caps(worker_id, caps, limits)
            case WorkerOnline(worker_id, online):
                farm.worker_online(worker_id, online)
            case WorkerDrain(worker_id, draining, sectors_only):
                farm.worker_drain(worker_id, draining, sectors_only)
            case WorkerLeft(worker_id):
                farm.worker_left(worker_id)
            case RestOver(worker_id, task):
                rest.over(farm, worker_id, task)
            case AssignByHand(task_id, worker_id, force):
                by_hand.assign(farm, task_id, worker_id, force, self._by_hand)
            case _:
                raise TypeError(f"no event of the scheduler: {event!r}")

    def _over(self, task_id: str) -> None:
        if task_id not in self._farm.tasks:
            self._stories.over(task_id)

    def _change(self, settings: Settings) -> None:
        """New settings: the waiting tasks are planned anew, what is bound stays.

        A policy that is the same goes on: the windowed one would else take all windows back for a change of a delay.
        """
        farm, before = self._farm, self._farm.settings
        farm.settings = checked(settings)
        first, most = settings.retry_delay, settings.retry_delay_max
        if replace(before, retry_delay=first, retry_delay_max=most) == settings:
            return
        promise.end_all(farm, "the policy was switched")
        waiting = [task for task in farm.tasks.values() if task.waiting]
        for task in waiting:
            farm.policy.task_removed(task)
            task.pools, task.specials = (), ()
        farm.policy.close()
        policy = farm.policy = POLICIES[settings.policy](farm)
        for worker in farm.workers.values():
            farm.reshaped(worker)
        for task in sorted(waiting, key=lambda t: t.key):
            policy.task_changed(task)
        for task in farm.tasks.values():
            if task.state == "prepared" and task.waits:
                policy.task_prepared(task)

    # -- questions --------------------------------------------------------------------------------------------------

    def judge(self, task_id: str, worker_id: str, now: float) -> Refusal | None:
        """The first reason why the worker does not take this queued task at ``now``; None if it would.

        Raises KeyError for a task or worker that is not known, ValueError for a task that is bound already.
        """
        worker = self._farm.workers[worker_id]
        return self._farm.policy.judge(self._queued(task_id), worker, now)

    def explain(self, task_id: str, now: float) -> dict[str, Refusal | None]:
        """``judge`` for every worker that is known. Raises as ``judge`` does."""
        task, policy = self._queued(task_id), self._farm.policy
        return {w.id: policy.judge(task, w, now) for w in self._farm.workers.values() if w.known}

    def explained(self, task_id: str, now: float, clock: Clock = str) -> Explained:
        """Why a task waits, worker by worker, or why it stands where it stands; also for a while after its end.

        ``clock`` words times. Raises KeyError for a task that is not known (any more).
        """
        task = self._farm.tasks.get(task_id)
        story = self._stories.of(task_id)
        if task is not None:
            return explain(self._farm, task, story, now, clock)
        found = explain_past(story, self._farm.settings.policy)
        if found is None:
            raise KeyError(task_id)
        return found

    def tasks_of(self, sector: SectorId) -> list[str]:
        """Ids of the sector's tasks that wait or are carried, in the order of their coming."""
        known = self._farm.sectors.get(sector)
        return [task.spec.id for task in known.tasks] if known is not None else []

    def _queued(self, task_id: str) -> Task:
        task = self._farm.tasks[task_id]
        if task.state != "queued":
            assert task.worker is not None
            raise ValueError(f"task {task_id} is on worker {task.worker.id} already")
        return task

    def queue(self) -> list[QueuedTask]:
        """The tasks that wait for a worker, in a window or for their time, in the order of the queue."""
        policy = self._farm.policy
        waiting = [task for task in self._farm.tasks.values() if task.state == "queued"]
        return [ledger.queued(task, policy.window_of(task)) for task in sorted(waiting, key=policy.order)]

    def open_windows(self) -> list[str] | None:
        """Ids of the workers that ask for tasks, one for each open window; None for a policy without windows."""
        return self._farm.policy.open_windows()

    @property
    def settings(self) -> Settings:
        return self._farm.settings

    def ledger(self, worker_id: str) -> Ledger | None:
        """What a worker carries and holds; None if it is not known."""
        worker = self._farm.workers.get(worker_id)
        if worker is None:
            return None
        held = tuple(sorted(s for s in worker.hold_refs if self._farm.sectors[s].held))
        return ledger.ledger(worker, held)

    def workers(self) -> list[WorkerSpec]:
        return [worker.spec for worker in self._farm.workers.values() if worker.known]

    def piece_slots(self, miner: int, proof: int) -> PieceSlots:
        """How many new sectors of this actor and seal proof the workers have room to begin, as of the last batch."""
        return piece_slots(self._farm, miner, proof)

    def story(self, task_id: str) -> list[StoryLine]:
        """A task's life so far (the last 64 lines), also for a while after its end; empty if nothing is known."""
        return self._stories.of(task_id)

    def validate(self) -> None:
        """Raises AssertionError that names the invariant that broke."""
        invariants.check(self._farm)
