"""A farm in virtual time: what happens goes to the scheduler as events, what it decides happens.

The scheduler is the one of the daemon, called as the daemon calls it: a batch per moment, and at the times it asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

from lotus_sched_cli.core.decisions import Assigned, Decision, FilesMissing, RestBegan, RestEnded
from lotus_sched_cli.core.events import (
    Event,
    Outcome,
    PathAttached,
    PathReported,
    SectorHeld,
    Settings,
    TaskEnded,
    TaskPreparing,
    TaskQueued,
    TaskRunning,
    TaskSpec,
    WorkerJoined,
    WorkerOnline,
)
from lotus_sched_cli.core.needs import CACHE, P1_OUTPUT, SEALED, UNSEALED
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, TaskType

from .farm import AP, C2, FIN, FUS, GET, P1, P2, Batch, FarmSpec
from .idle import Idle
from .sharing import Share, Transfer
from .shelves import Shelves, hold, unhold
from .things import Disk, Host, Job, Sector, Waiting, bits
from .trace import Trace

#: Seconds between the health reports of a path on which something changes, and of one on which nothing does.
REPORT: Final = 10.0
STILL: Final = 40.0
#: Seconds without anything happening after which a farm is stuck: longer than any delay of the scheduler.
PATIENCE: Final = 2 * 3600.0
#: Files that a batch's sectors have when they begin with a stage.
_BEFORE: Final = {AP: 0, P1: UNSEALED, FIN: P1_OUTPUT, GET: P1_OUTPUT}
_MADE: Final = {AP: UNSEALED, P1: SEALED | CACHE}
_MOVED: Final = FileType(P1_OUTPUT)

Progress = Callable[[float, int, int], None]


class Simulation:
    """One run of a farm under one policy. ``progress`` is called now and then with time, sectors done, sectors in all."""

    def __init__(
        self, farm: FarmSpec, policy: str, *, progress: Progress | None = None, validate: bool = False
    ) -> None:
        self.farm = farm
        settings = Settings(
            policy=policy,
            spread_by=farm.spread_by,
            retry_delay=farm.retry_delay,
            retry_delay_max=farm.retry_delay_max,
        )
        self.scheduler = Scheduler(settings, validate=validate)
        self.now = 0.0
        self.hosts: list[Host] = []
        for group in farm.groups:
            self.hosts += [Host(group, number, len(self.hosts) + number) for number in range(group.count)]
        for index, host in enumerate(self.hosts):
            host.number = index
        self.by_id = {host.id: host for host in self.hosts}
        self.disks = [disk for host in self.hosts for disk in host.disks.values()]
        self.trace = Trace(farm, policy, self.hosts)
        self._progress = progress
        self._inbox: list[Event] = []
        self._touched: dict[Host, None] = {}
        self._shelves = Shelves(farm.sector_size, self._inbox, self._touched)
        self._idle = Idle(self.hosts, self.scheduler)
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self._wakes: set[float] = set()
        self._tasks: dict[str, Waiting] = {}
        self._sectors = 0
        self._done = 0
        self._pieces: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._moved = 0.0

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> Trace:
        """Until everything is sealed, ``run_for`` is over, or nothing can happen any more."""
        self._open()
        farm, heap, total = self.farm, self._heap, self.farm.sectors
        end = farm.run_for or float("inf")
        turns = 0
        while self._done < total and heap:
            at = heap[0][0]
            if at > end:
                self.now = end
                break
            if at - self._moved > PATIENCE and not self._under_way():
                self._say_stuck()
                break
            self._idle.advance(at)
            self.now = at
            while heap and heap[0][0] <= at:
                _, _, act, args = heappop(heap)
                act(*args)
            self._flush()
            turns += 1
            if self._progress is not None and turns % 500 == 0:
                self._progress(self.now, self._done, total)
        self._idle.advance(self.now)
        return self._finish()

    def at(self, time: float, act: Callable[..., None], *args: Any) -> None:
        self._order += 1
        heappush(self._heap, (time, self._order, act, args))

    def _flush(self) -> None:
        """Let the scheduler decide about what has happened, until nothing follows from it at this moment."""
        due = self.now in self._wakes
        self._wakes.discard(self.now)
        while self._inbox or due:
            due = False
            events = tuple(self._inbox)
            self._inbox.clear()
            plan = self.scheduler.handle(self.now, *events)
            self.trace.passes += 1
            for decision in plan.decisions:
                self._carry_out(decision)
            wake = plan.wake
            if wake is not None:
                wake = max(wake, self.now)
                if wake == self.now:
                    due = True
                elif wake not in self._wakes:
                    self._wakes.add(wake)
                    self.at(wake, _nothing)
        if self._touched:
            self._idle.touched(self._touched)
            self._touched.clear()
        self._idle.look(self.now)

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Assigned():
                self._begin(decision)
            case RestBegan(worker_id, task, _, _, _):
                self.by_id[worker_id].resting.add(task)
                self._touched[self.by_id[worker_id]] = None
            case RestEnded(worker_id, task):
                self.by_id[worker_id].resting.discard(task)
                self._touched[self.by_id[worker_id]] = None
            case FilesMissing():
                raise AssertionError(f"the simulation lost files of {decision.task.id}")

    def _under_way(self) -> bool:
        return any(host.jobs for host in self.hosts)

    def _say_stuck(self) -> None:
        queue = self.scheduler.queue()
        if not queue:
            self.trace.stuck = "nothing waits and nothing runs"
            return
        first = queue[0].task
        reasons = self.scheduler.explain(first.id, self.now)
        texts = sorted({f"{worker}: {why.text}" for worker, why in reasons.items() if why is not None})
        self.trace.stuck = (
            f"nothing can go on: {len(queue)} tasks wait; first {first.type.short} of sector {first.sector.number}: "
            + "; ".join(texts[:3])
        )

    # -- opening and closing -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        for host in self.hosts:
            self._inbox.append(WorkerJoined(host.spec()))
            for disk in host.disks.values():
                self._inbox.append(PathAttached(disk.spec(), disk.capacity, disk.capacity))
                disk.reported, disk.dirty = 0.0, False
        for index, batch in enumerate(self.farm.batches):
            self._left[index] = batch.count
            self._pieces[index] = 0
            if batch.keep:
                self.at(batch.first, self._refill, index)
            else:
                self.at(batch.first, self._arrive, index)
        for host in self.hosts:
            every = host.group.restart_every
            if every:
                self.at(Random(f"{self.farm.seed} {host.id}").uniform(0, every), self._restart, host)
        self.at(REPORT, self._report)

    def _finish(self) -> Trace:
        trace = self.trace
        for host in self.hosts:
            for job in list(host.jobs.values()):
                trace.record(job, self.now, "running")
        trace.end = self.now if self.farm.run_for and self._done < self.farm.sectors else trace.end
        trace.copied = self._shelves.copied
        trace.idle = dict(self._idle.seconds)
        trace.idle_total, trace.idle_empty = self._idle.total, self._idle.empty
        for task in self._tasks.values():
            stage = task.spec.type.short
            trace.unfinished[stage] = trace.unfinished.get(stage, 0) + 1
        return trace

    def _report(self) -> None:
        """What every worker's health loop says, in one batch."""
        now = self.now
        for disk in self.disks:
            if disk.worker.online and (disk.dirty or now - disk.reported >= STILL):
                # Said once more after the last change: by then reservations have settled.
                disk.dirty = disk.dirty and now - disk.reported < STILL and bool(disk.worker.jobs)
                disk.reported = now
                self._inbox.append(PathReported(disk.id, max(0, disk.available)))
                self._touched[disk.worker] = None
        self.at(now + REPORT, self._report)

    # -- sectors -----------------------------------------------------------------------------------------------------

    def _arrive(self, index: int) -> None:
        batch = self.farm.batches[index]
        self._come(index)
        while self._left[index] and not batch.every:
            self._come(index)
        if self._left[index]:
            self.at(batch.first + (batch.count - self._left[index]) * batch.every, self._arrive, index)

    def _refill(self, index: int) -> None:
        while self._left[index] and self._pieces[index] < self.farm.batches[index].keep:
            self._come(index)

    def _come(self, index: int) -> None:
        batch = self.farm.batches[index]
        self._left[index] -= 1
        self._pieces[index] += 1
        sector = Sector(self._sectors, batch, self.now)
        sector.index = index
        self._sectors += 1
        self._moved = self.now
        self.trace.came[sector.number] = self.now
        self._inbox.append(SectorHeld(sector.id, True))
        if batch.on:
            on = [host for host in self.hosts if host.group.name == batch.on]
            host = on[(batch.count - self._left[index] - 1) % len(on)]
            disk = next(disk for disk in host.disks.values() if disk.seals)
            types = _BEFORE.get(batch.start, P1_OUTPUT | UNSEALED)
            self._shelves.put(sector, types, disk, job=None)
        self._queue(sector)

    def _queue(self, sector: Sector) -> None:
        stage, batch = sector.stage, sector.batch
        name = f"{stage.short}-{sector.number}" + (f"-{sector.tries}" if sector.tries else "")
        files = _MOVED if stage is GET else FileType.NONE
        spec = TaskSpec(name, sector.id, self.farm.proof, stage, batch.priority, files)
        task = sector.task = self._tasks[name] = Waiting(spec, sector, self.now)
        self._idle.queued(task)
        self._inbox.append(TaskQueued(spec))

    def _next(self, sector: Sector) -> None:
        """A step is done."""
        was = sector.stage
        sector.step += 1
        sector.tries = sector.again = 0
        if sector.step == len(sector.batch.stages):
            sector.done = self.now
            self.trace.done[sector.number] = self.now
            self._done += 1
            if was is GET:
                self._inbox.append(SectorHeld(sector.id, False))
                for disk in sector.files:
                    disk.worker.held.pop(sector.number, None)
                sector.files = {}
            return
        wait = {P2: self.farm.wait_seed, C2: self.farm.commit_wait}.get(was, 0.0)
        if wait:
            self.at(self.now + wait, self._queue, sector)
        else:
            self._queue(sector)

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _begin(self, decision: Assigned) -> None:
        task, host = self._tasks[decision.task.id], self.by_id[decision.worker_id]
        stage, sector = task.spec.type, task.sector
        self._idle.left(task)
        laid: dict[int, Disk] = {}
        need: dict[Disk, int] = {}
        for part in decision.laid:
            disk = host.disks[part.path_id]
            need[disk] = need.get(disk, 0) + part.bytes
            laid |= dict.fromkeys(bits(int(part.types)), disk)
        job = Job(task, host, self.now, laid)
        host.jobs[task.spec.id] = job
        host.carried[stage] += 1
        self._touched[host] = None
        self._moved = self.now
        draw = Random(f"{self.farm.seed} {sector.number} {stage.short} {sector.tries}")
        spread = self.farm.jitter * (2 * draw.random() - 1)
        job.work = host.group.durations.get(stage, 0.0) * (1 + spread)
        job.fails = draw.random() < host.group.failures.get(stage, 0.0)
        if stage is P1:
            hold(host, sector.number, "P1")
            index = sector.index
            self._pieces[index] -= 1
            if sector.batch.keep:
                self._refill(index)
        if not need:
            need, job.laid = self._lay(host, sector, stage, int(decision.fetch))
        if not self._shelves.reserve(job, need):
            self.trace.no_space += 1
            self._end(job, Outcome.NO_SPACE)
        elif decision.fetch:
            self._inbox.append(TaskPreparing(task.spec.id))
            self._fetch(job, int(decision.fetch), lambda: self._work(job))
        else:
            self._work(job)

    def _lay(
        self, host: Host, sector: Sector, stage: TaskType, fetch: int
    ) -> tuple[dict[Disk, int], dict[int, Disk]]:
        """Where a worker lays what the scheduler has laid nowhere: on the disk of the right kind."""
        types = (fetch | _MADE.get(stage, 0)) & ~sector.on(host) if stage is not GET else 0
        if not types:
            return {}, {}
        disk = next(disk for disk in host.disks.values() if disk.seals)
        return {disk: self._shelves.size(types)}, dict.fromkeys(bits(types), disk)

    def _fetch(self, job: Job, types: int, then: Callable[[], None]) -> None:
        """Bring files from wherever they lie; a transfer for each host that has some."""
        sector, host = job.task.sector, job.host
        sources: dict[Host, int] = {}
        for disk, files in sector.files.items():
            if disk.worker is not host or (job.task.spec.type is GET and disk.seals):
                sources[disk.worker] = sources.get(disk.worker, 0) + sum(
                    s for b, s in files.items() if b & types
                )
        open_ = {source for source, size in sources.items() if size}

        def arrived(source: Host, size: int) -> None:
            open_.discard(source)
            if source is not host:
                self._shelves.copied += size
                self.trace.copies += 1
            if not open_:
                job.moving = []
                for bit in bits(types):
                    target = job.laid.get(bit)
                    if target is not None:
                        self._shelves.bring(sector, bit, target, job)
                then()

        if not open_:
            then()
            return
        for source, size in sources.items():
            if size:
                transfer = Transfer(source.card, host.card, size, lambda s=source, n=size: arrived(s, n))
                job.moving.append(transfer)
                self._aim(transfer.start(self.now))

    def _aim(self, transfers: dict[Transfer, None]) -> None:
        for transfer in transfers:
            due = transfer.due(self.now)
            self.at(due, self._land, transfer, transfer.version)

    def _land(self, transfer: Transfer, version: int) -> None:
        if transfer.version == version:
            self._aim(transfer.stop(self.now))
            transfer.done()

    def _work(self, job: Job) -> None:
        """Its files are there: the task itself."""
        stage, host = job.task.spec.type, job.host
        job.ran = self.now
        self._moved = self.now
        self._inbox.append(TaskRunning(job.task.spec.id))
        work = job.work / 2 if job.fails else job.work
        if stage is GET:
            self._fetch(job, P1_OUTPUT, lambda: self._end(job, Outcome.SUCCESS))
            return
        if stage is P1:
            job.share = host.memory
        elif stage in (P2, C2) and host.gpus:
            job.share = min(host.gpus, key=len)
        if job.share is None:
            self.at(self.now + work, self._over, job, job.token)
        else:
            job.share.add(self.now, work, job)
            self._aim_share(job.share)

    def _aim_share(self, share: Share) -> None:
        due = share.due()
        if due is not None:
            self.at(max(due, self.now), self._share_due, share, share.version)

    def _share_due(self, share: Share, version: int) -> None:
        if share.version == version:
            job = share.finish(self.now)
            job.share = None
            self._aim_share(share)
            self._over(job, job.token)

    def _over(self, job: Job, token: int) -> None:
        if job.token == token:
            self._end(job, Outcome.FAILED if job.fails else Outcome.SUCCESS)

    def _end(self, job: Job, outcome: Outcome) -> None:
        task, host = job.task, job.host
        sector, stage = task.sector, task.spec.type
        job.token += 1
        self._moved = self.now
        if outcome is Outcome.SUCCESS:
            self._effect(job)
        self._stop(job)
        self._shelves.release(job)
        del host.jobs[task.spec.id]
        host.carried[stage] -= 1
        if stage is P1:
            unhold(host, sector.number, "P1")
        self._touched[host] = None
        self.trace.record(job, self.now, outcome.value)
        error = "" if outcome is Outcome.SUCCESS else "simulated failure"
        self._inbox.append(TaskEnded(task.spec.id, outcome, error))
        if outcome in (Outcome.AGAIN, Outcome.NO_SPACE):
            self._wait_again(task)
            return
        del self._tasks[task.spec.id]
        sector.task = None
        if outcome is Outcome.SUCCESS:
            self._next(sector)
        else:
            delay = min(self.farm.retry_delay * 2.0 ** min(sector.tries, 60), self.farm.retry_delay_max)
            sector.tries += 1
            if stage is P1:
                self._pieces[sector.index] += 1
            self.at(self.now + delay, self._queue, sector)

    def _effect(self, job: Job) -> None:
        sector, stage = job.task.sector, job.task.spec.type
        if stage in _MADE:
            for bit in bits(_MADE[stage]):
                disk = job.laid.get(bit)
                if disk is None:
                    disk = next(d for d in sector.files if d.worker is job.host and d.seals)
                self._shelves.put(sector, bit, disk, job=job)
        elif stage is FUS:
            self._shelves.release_unsealed(sector)
        elif stage is FIN:
            self._shelves.shrink_cache(sector)

    def _wait_again(self, task: Waiting) -> None:
        """The scheduler has it in its queue again; at once the first time, then after its growing delays."""
        sector = task.sector
        sector.again += 1
        if task.spec.type is P1:
            self._pieces[sector.index] += 1
        task.since = self.now
        steps = sector.again - 2
        task.after = (
            self.now
            if steps < 0
            else self.now + min(self.farm.retry_delay * 2.0 ** min(steps, 60), self.farm.retry_delay_max)
        )
        self._idle.queued(task)

    def _stop(self, job: Job) -> None:
        if job.share is not None:
            job.share.remove(self.now, job)
            self._aim_share(job.share)
            job.share = None
        for transfer in job.moving:
            self._aim(transfer.stop(self.now))
        job.moving = []

    # -- restarts ----------------------------------------------------------------------------------------------------

    def _restart(self, host: Host) -> None:
        """The worker's process goes; its host keeps serving files, as a stopped worker's storage on NFS would."""
        host.online = False
        self._touched[host] = None
        for job in host.jobs.values():
            job.token += 1
            self._stop(job)
        self._inbox.append(WorkerOnline(host.id, False))
        self.at(self.now + host.group.restart_lasts, self._back, host)

    def _back(self, host: Host) -> None:
        host.online = True
        host.session += 1
        self._inbox += [WorkerJoined(host.spec()), WorkerOnline(host.id, True)]
        for disk in host.disks.values():
            disk.dirty = True
        for job in list(host.jobs.values()):
            self._end(job, Outcome.AGAIN)
        self.at(self.now + host.group.restart_every, self._restart, host)


def _nothing() -> None:
    """Time to call the scheduler again: it asked for that."""


def simulate(farm: FarmSpec, policy: str, progress: Progress | None = None) -> Trace:
    """Run the farm under a policy. Raises ValueError for a policy that the scheduler does not have."""
    return Simulation(farm, policy, progress=progress).run()


__all__ = ["Batch", "Progress", "Simulation", "simulate"]
