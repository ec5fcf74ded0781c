"""A farm in virtual time: what happens goes to the scheduler as events, what it decides happens.

The scheduler is the one of the daemon, called as the daemon calls it: a batch per moment, and at the times it asks for.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from lotus_sched_cli.core.decisions import (
    Assigned,
    Decision,
    FilesMissing,
    Prefetch,
    PrefetchOver,
    RestBegan,
    RestEnded,
    Start,
)
from lotus_sched_cli.core.events import (
    Event,
    PathAttached,
    PathReported,
    Settings,
    SettingsChanged,
    WorkerJoined,
)
from lotus_sched_cli.core.scheduler import Scheduler

from .clock import Clock
from .farm import FarmSpec
from .idle import Idle
from .labour import Labour, chance
from .line import Line
from .quantities import duration
from .shelves import Shelves
from .things import Host
from .trace import Trace

#: Seconds between the health reports of a path.
REPORT: Final = 10.0
#: Seconds after a change from which on a report shows it without a doubt: what was reserved for it may be forgotten.
SETTLED: Final = 11.0
#: Of the reports of a path that always changes one in so many seconds is passed on.
CHANGING: Final = 30.0
#: Seconds in which no task ends well after which a farm is stuck, however busy it is.
BARREN: Final = 30 * 86400.0
#: Called now and then with the virtual time, the sectors that are done, and those in all.
Progress = Callable[[float, int, int], None]


def simulate(farm: FarmSpec, policy: str, progress: Progress | None = None) -> Trace:
    """Run the farm under a policy. Raises ValueError for a policy that the scheduler does not have."""
    collecting = gc.isenabled()
    # A farm is one graph that lives to the end; searching it for garbage again and again finds none.
    gc.disable()
    try:
        return Simulation(farm, policy, progress=progress).run()
    finally:
        if collecting:
            gc.enable()


class Simulation:
    """One run of a farm under one policy. ``validate``: the scheduler checks itself after every batch (slow)."""

    def __init__(
        self, farm: FarmSpec, policy: str, *, progress: Progress | None = None, validate: bool = False
    ) -> None:
        self.farm = farm
        self.hosts = [Host(group, number) for group in farm.groups for number in range(group.count)]
        for index, host in enumerate(self.hosts):
            host.number = index
        self.scheduler = Scheduler(_settings(farm, policy), validate=validate, quiet=True)
        self.trace = Trace(farm, policy, self.hosts)
        self._by_id = {host.id: host for host in self.hosts}
        self._progress = progress
        self._clock = Clock()
        #: Seconds without anything happening after which a farm is stuck: longer than any delay of the scheduler.
        self._patience = max(3600.0, 2 * farm.retry_delay_max)
        self._inbox: list[Event] = []
        self._later: list[Event] = []
        self._touched: dict[Host, None] = {}
        self._wakes: set[float] = set()
        self._shelves = Shelves(farm.sector_size, self._clock, self._inbox, self._touched)
        self._idle = Idle(self.hosts, self.scheduler, self._shelves, policy)
        self._line = Line(farm, self._clock, self._inbox, self.hosts, self._shelves, self._idle, self.trace)
        self._labour = Labour(
            farm,
            self._clock,
            self._inbox,
            self._later if policy == "balanced" and not farm.switches else self._inbox,
            self._touched,
            self._shelves,
            self.trace,
            self._line,
        )

    def run(self) -> Trace:
        """Until everything is sealed, ``run_for`` is over, or nothing can happen any more."""
        self._open()
        clock, total = self._clock, self.farm.sectors
        end = self.farm.run_for or float("inf")
        turns = 0
        while self._line.done < total and (at := clock.next()) is not None:
            if at > end:
                clock.now = end
                break
            if at - clock.moved > self._patience and self._nothing_ahead():
                self.trace.stuck = self._why_stuck()
                break
            if at - clock.gained > BARREN and not self._line.ahead:
                self.trace.stuck = self._why_barren()
                break
            self._idle.advance(at)
            clock.step()
            self._decide()
            turns += 1
            if self._progress is not None and turns % 500 == 0:
                self._progress(clock.now, self._line.done, total)
        return self._close()

    def _decide(self) -> None:
        """Let the scheduler decide about what has happened, until nothing follows from it at this moment.

        That a worker has accepted a call makes no difference to what the balanced policy decides now, but for a PC2 where
        workers prefetch: other such news wait for the next batch.
        """
        now = self._clock.now
        due = now in self._wakes
        self._wakes.discard(now)
        while self._inbox or due:
            events = (*self._later, *self._inbox)
            self._later.clear()
            self._inbox.clear()
            plan = self.scheduler.handle(now, *events)
            for decision in plan.decisions:
                self._carry_out(decision)
            due = plan.wake is not None and plan.wake <= now
            if plan.wake is not None and not due and plan.wake not in self._wakes:
                self._wakes.add(plan.wake)
                self._clock.at(plan.wake, _nothing)
        if self._touched:
            self._idle.touched(self._touched)
            self._touched.clear()
        self._idle.look(now)

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Assigned():
                task = self._line.tasks[decision.task.id]
                self._labour.begin(decision, task, self._by_id[decision.worker_id])
            case Prefetch():
                task = self._line.tasks[decision.task.id]
                self._labour.fetch_ahead(decision, task, self._by_id[decision.worker_id])
            case PrefetchOver(task, _):
                self._labour.leave_ahead(task.id)
            case Start(task, worker_id):
                self._labour.start(self._by_id[worker_id], task.id)
            case RestBegan(worker_id, kind):
                self._by_id[worker_id].resting.add(kind)
                self._touched[self._by_id[worker_id]] = None
            case RestEnded(worker_id, kind):
                self._by_id[worker_id].resting.discard(kind)
                self._touched[self._by_id[worker_id]] = None
            case FilesMissing():
                raise AssertionError(f"the simulation lost files of {decision.task.id}")

    # -- opening and closing -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        for host in self.hosts:
            self._inbox.append(WorkerJoined(host.spec()))
            for disk in host.disks.values():
                self._inbox.append(PathAttached(disk.spec(), disk.capacity, disk.capacity))
            every = host.group.restart_every
            if every:
                first = every * chance("restart", self.farm.seed, host.id)
                self._clock.at(first, self._labour.restart, host)
        for switch in self.farm.switches:
            self._clock.at(switch.at, self._switch, switch.policy)
        self._line.open()
        self._clock.at(REPORT, self._report)

    def _switch(self, policy: str) -> None:
        """The operator goes over to another policy while the farm works."""
        self._inbox.append(SettingsChanged(_settings(self.farm, policy)))
        self._idle.policy = policy

    def _report(self) -> None:
        """What the workers' health loops say that is news to the scheduler, in one batch."""
        now, unsettled = self._clock.now, self._shelves.unsettled
        for disk in list(unsettled):
            settled = disk.changed <= now - SETTLED
            if (settled or now - disk.reported >= CHANGING) and disk.worker.online:
                if settled:
                    del unsettled[disk]
                disk.reported = now
                self._inbox.append(PathReported(disk.id, max(0, disk.available)))
                self._touched[disk.worker] = None
        self._clock.at(now + REPORT, self._report)

    def _close(self) -> Trace:
        now, trace = self._clock.now, self.trace
        self._idle.advance(now)
        for host in self.hosts:
            for job in host.jobs.values():
                trace.record(job, now, "running")
        if self.farm.run_for and self._line.done < self.farm.sectors:
            trace.end = now
        trace.idle = dict(self._idle.seconds)
        trace.idle_total, trace.idle_empty = self._idle.total, self._idle.empty
        for task in self._line.tasks.values():
            stage = task.spec.type.short
            trace.unfinished[stage] = trace.unfinished.get(stage, 0) + 1
        return trace

    def _nothing_ahead(self) -> bool:
        """No worker works or is away, and no sector waits for its time."""
        return not self._line.ahead and all(host.online and not host.jobs for host in self.hosts)

    def _why_stuck(self) -> str:
        queue = self.scheduler.queue()
        if not queue:
            return "nothing waits and nothing runs"
        first = queue[0].task
        reasons = self.scheduler.explain(first.id, self._clock.now)
        texts = sorted({f"{worker}: {why.text}" for worker, why in reasons.items() if why is not None})
        return (
            f"nothing can go on: {len(queue)} tasks wait; "
            f"first {first.type.short} of sector {first.sector.number}: " + "; ".join(texts[:3])
        )

    def _why_barren(self) -> str:
        """Work is begun again and again, and none ends well: it takes longer than its worker is ever up, mostly."""
        jobs = [job for host in self.hosts for job in host.jobs.values()]
        text = f"no task has ended well for {duration(BARREN)}"
        if not jobs:
            return f"{text}; {self._why_stuck()}"
        job = max(jobs, key=lambda job: job.work)
        text += f"; {job.task.spec.type.short} of sector {job.task.sector.number} takes {duration(job.work)} or more"
        every = job.host.group.restart_every
        return text + (f" and {job.host.id} restarts every {duration(every)}" if every else "")


def _settings(farm: FarmSpec, policy: str) -> Settings:
    """``windowed:ASSIGNER`` names an assigner of the windowed policy."""
    name, _, assigner = policy.partition(":")
    settings = Settings(
        policy=name,
        spread_by=farm.spread_by,
        retry_delay=farm.retry_delay,
        retry_delay_max=farm.retry_delay_max,
    )
    return replace(settings, assigner=assigner) if assigner else settings


def _nothing() -> None:
    """Time to call the scheduler again: it asked for that."""
