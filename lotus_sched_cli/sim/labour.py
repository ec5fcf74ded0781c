"""Tasks on workers: files are fetched, machines work on them, results and failures come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final, Protocol

from lotus_sched_cli.core.decisions import Assigned, Prefetch
from lotus_sched_cli.core.events import (
    Event,
    Outcome,
    PrefetchDone,
    PrefetchFailed,
    TaskEnded,
    TaskPrepared,
    TaskPreparing,
    TaskRunning,
    WorkerJoined,
    WorkerOnline,
)
from lotus_sched_cli.core.needs import CACHE, P1_OUTPUT, SEALED, UNSEALED
from lotus_sched_cli.core.tasks import TaskType

from .clock import Clock
from .farm import AP, C2, FIN, FUS, GET, P1, P2, FarmSpec
from .sharing import Share, Transfer
from .shelves import Shelves, hold, unhold
from .things import Disk, Host, Job, Sector, Waiting, bits
from .trace import Trace

_MADE: Final = {AP: UNSEALED, P1: SEALED | CACHE}


class Pipeline(Protocol):
    """Who is told what becomes of the tasks."""

    def began(self, task: Waiting) -> None: ...
    def succeeded(self, task: Waiting) -> None: ...
    def failed(self, task: Waiting) -> None: ...
    def queued_again(self, task: Waiting) -> None: ...


class Labour:
    """``inbox`` takes the events for the scheduler, ``accepted`` those that only say that a call has arrived, ``touched``
    the hosts on which something has changed."""

    def __init__(
        self,
        farm: FarmSpec,
        clock: Clock,
        inbox: list[Event],
        accepted: list[Event],
        touched: dict[Host, None],
        shelves: Shelves,
        trace: Trace,
        pipeline: Pipeline,
    ) -> None:
        self._farm = farm
        self._clock = clock
        self._inbox = inbox
        self._accepted = accepted
        self._touched = touched
        self._shelves = shelves
        self._trace = trace
        self._pipeline = pipeline
        #: Jobs whose files are fetched ahead, by task.
        self._ahead: dict[str, Job] = {}

    # -- a task's way ------------------------------------------------------------------------------------------------

    def begin(self, decision: Assigned, task: Waiting, host: Host) -> None:
        """The scheduler has bound the task to the host: bring its files, then run it."""
        ahead = self._ahead.get(task.spec.id)
        if ahead is not None and ahead.host is host:
            self._begin_ahead(ahead)
            return
        self.leave_ahead(task.spec.id)
        job, need = self._take_on(decision, task, host)
        self._pipeline.began(task)
        if not self._shelves.reserve(job, need):
            self._trace.no_space += 1
            self._end(job, Outcome.NO_SPACE)
            return
        then = self._prepared if decision.waits else self._run
        if decision.fetch:
            self._arrived(task).append(TaskPreparing(task.spec.id))
            self._fetch(job, int(decision.fetch), lambda: then(job))
        else:
            then(job)

    def _arrived(self, task: Waiting) -> list[Event]:
        """Where news goes that a call has arrived: to who fetches ahead while PC2 run, that is news."""
        news = task.spec.type is P2 and self._farm.prefetches
        return self._inbox if news else self._accepted

    def start(self, host: Host, task_id: str) -> None:
        """The turn of a prepared task has come."""
        job = host.jobs.get(task_id)
        if job is not None and job.ran is None:
            self._run(job)

    # -- files fetched ahead -----------------------------------------------------------------------------------------

    def fetch_ahead(self, decision: Prefetch, task: Waiting, host: Host) -> None:
        """The task waits on; its files are copied to the host."""
        laid, need = self._laid(decision, host)
        job = self._ahead[task.spec.id] = Job(task, host, self._clock.now, laid, False)
        job.ahead = True
        if not self._shelves.reserve(job, need):
            self._trace.no_space += 1
            del self._ahead[task.spec.id]
            self._inbox.append(PrefetchFailed(task.spec.id, "no space"))
            return
        hold(host, task.sector.number, "ahead")
        self._arrived(task).append(TaskPreparing(task.spec.id))
        self._fetch(job, int(decision.fetch), lambda: self._came_ahead(job))

    def _came_ahead(self, job: Job) -> None:
        job.there = True
        if job.ahead:
            self._inbox.append(PrefetchDone(job.task.spec.id))
        else:
            self._start_ahead(job)

    def _begin_ahead(self, job: Job) -> None:
        """It is bound where its files are, or come: the source goes once they are there."""
        task = job.task
        del self._ahead[task.spec.id]
        job.ahead, job.bound = False, self._clock.now
        self._enter(job)
        self._pipeline.began(task)
        if job.there:
            self._start_ahead(job)

    def _start_ahead(self, job: Job) -> None:
        sector = job.task.sector
        self._shelves.drop_others(sector, P1_OUTPUT, job.host)
        unhold(job.host, sector.number, "ahead")
        self._run(job)

    def leave_ahead(self, task_id: str) -> None:
        """The promise is off: what is on its way stops, and the copy goes."""
        job = self._ahead.pop(task_id, None)
        if job is None:
            return
        sector, host = job.task.sector, job.host
        self._stop(job)
        self._shelves.release(job)
        unhold(host, sector.number, "ahead")
        if job.there and any(disk.worker is not host for disk in sector.files):
            for disk in job.laid.values():
                self._shelves.drop(sector, P1_OUTPUT, disk)
        self._touched[host] = None

    # -- a task's way, its parts -------------------------------------------------------------------------------------

    @staticmethod
    def _laid(decision: Assigned | Prefetch, host: Host) -> tuple[dict[int, Disk], dict[Disk, int]]:
        """Which file type goes on which disk, and how many bytes each needs."""
        laid: dict[int, Disk] = {}
        need: dict[Disk, int] = {}
        for part in decision.laid:
            disk = host.disks[part.path_id]
            need[disk] = need.get(disk, 0) + part.bytes
            laid |= dict.fromkeys(bits(int(part.types)), disk)
        return laid, need

    def _take_on(self, decision: Assigned, task: Waiting, host: Host) -> tuple[Job, dict[Disk, int]]:
        laid, need = self._laid(decision, host)
        if not need:
            need, laid = self._lay(host, task.sector, task.spec.type, int(decision.fetch))
        job = Job(task, host, self._clock.now, laid, decision.waits)
        self._enter(job)
        return job, need

    def _enter(self, job: Job) -> None:
        """The host carries it from now on."""
        task, host = job.task, job.host
        stage, sector = task.spec.type, task.sector
        host.jobs[task.spec.id] = job
        host.carried[stage] += 1
        self._touched[host] = None
        self._clock.moved = self._clock.now
        draw = (self._farm.seed, sector.number, stage.short, sector.tries)
        spread = self._farm.jitter * (2 * chance("time", *draw) - 1) if self._farm.jitter else 0.0
        job.work = host.group.durations.get(stage, 0.0) * (1 + spread)
        share = host.group.failures.get(stage, 0.0)
        job.fails = share > 0 and chance("failure", *draw) < share
        if stage is P1:
            hold(host, sector.number, "P1")
            host.p1_started = self._clock.now

    def _lay(
        self, host: Host, sector: Sector, stage: TaskType, fetch: int
    ) -> tuple[dict[Disk, int], dict[int, Disk]]:
        """Where a worker lays what the scheduler has laid nowhere: on the disk of the right kind."""
        types = (fetch | _MADE.get(stage, 0)) & ~sector.on(host) if stage is not GET else 0
        if not types:
            return {}, {}
        disk = next(disk for disk in host.disks.values() if disk.seals)
        return {disk: self._shelves.size(types)}, dict.fromkeys(bits(types), disk)

    def _prepared(self, job: Job) -> None:
        self._inbox.append(TaskPrepared(job.task.spec.id))

    def _run(self, job: Job) -> None:
        """Its files are there: the task itself."""
        stage, host = job.task.spec.type, job.host
        job.ran = self._clock.moved = self._clock.now
        self._arrived(job.task).append(TaskRunning(job.task.spec.id))
        work = job.work / 2 if job.fails else job.work
        if stage is GET:
            self._fetch(job, P1_OUTPUT, lambda: self._end(job, Outcome.SUCCESS))
            return
        if stage is P1:
            job.share = host.memory
        elif stage in (P2, C2) and host.gpus:
            job.share = min(host.gpus, key=len)
        if job.share is None:
            self._clock.at(self._clock.now + work, self._over, job, job.token)
        else:
            job.share.add(self._clock.now, work, job)
            self._aim_share(job.share)

    def _over(self, job: Job, token: int) -> None:
        if job.token == token:
            self._end(job, Outcome.FAILED if job.fails else Outcome.SUCCESS)

    def _end(self, job: Job, outcome: Outcome) -> None:
        task, host, now = job.task, job.host, self._clock.now
        job.token += 1
        self._clock.moved = now
        if outcome is Outcome.SUCCESS:
            self._clock.gained = now
            self._effect(job)
        self._stop(job)
        self._shelves.release(job)
        del host.jobs[task.spec.id]
        host.carried[task.spec.type] -= 1
        if task.spec.type is P1:
            unhold(host, task.sector.number, "P1")
        elif task.spec.type is P2:
            unhold(host, task.sector.number, "ahead")
        self._touched[host] = None
        self._trace.record(job, now, outcome.value)
        error = "" if outcome is Outcome.SUCCESS else "simulated failure"
        self._inbox.append(TaskEnded(task.spec.id, outcome, error))
        if outcome is Outcome.SUCCESS:
            self._pipeline.succeeded(task)
        elif outcome is Outcome.FAILED:
            self._pipeline.failed(task)
        else:
            self._pipeline.queued_again(task)

    def _effect(self, job: Job) -> None:
        sector, stage = job.task.sector, job.task.spec.type
        if stage in _MADE:
            here = next((d for d in sector.files if d.worker is job.host and d.seals), None)
            for disk, types in _by_disk(job.laid, _MADE[stage], here).items():
                self._shelves.put(sector, types, disk, job=job)
        elif stage is FUS:
            self._shelves.release_unsealed(sector)
        elif stage is FIN:
            self._shelves.shrink_cache(sector)

    # -- fetching ----------------------------------------------------------------------------------------------------

    def _fetch(self, job: Job, types: int, then: Callable[[], None]) -> None:
        """Bring files from wherever they lie; a transfer for each host that has some."""
        host = job.host
        sources = self._sources(job, types)
        open_ = set(sources)

        def all_there() -> None:
            job.moving = []
            for target, part in _by_disk(job.laid, types).items():
                move = self._shelves.copy if job.ahead else self._shelves.bring
                move(job.task.sector, part, target, job)
            then()

        def arrived(source: Host, size: int) -> None:
            open_.discard(source)
            if source is not host:
                self._trace.copied += size
                self._trace.copies += 1
            if not open_:
                all_there()

        if not sources:
            all_there()
        for source, size in sources.items():
            transfer = Transfer(source.card, host.card, size, lambda s=source, n=size: arrived(s, n))
            job.moving.append(transfer)
            self._aim(transfer.start(self._clock.now))

    def _sources(self, job: Job, types: int) -> dict[Host, int]:
        """Bytes to bring by host; a move to storage takes them from its own host's sealing disk too."""
        sources: dict[Host, int] = {}
        for disk, files in job.task.sector.files.items():
            if disk.worker is not job.host or (job.task.spec.type is GET and disk.seals):
                size = sum(size for bit, size in files.items() if bit & types)
                if size:
                    sources[disk.worker] = sources.get(disk.worker, 0) + size
        return sources

    def _aim(self, transfers: dict[Transfer, None]) -> None:
        for transfer in transfers:
            due = transfer.due(self._clock.now)
            self._clock.at(due, self._land, transfer, transfer.version)

    def _land(self, transfer: Transfer, version: int) -> None:
        if transfer.version == version:
            self._aim(transfer.stop(self._clock.now))
            transfer.done()

    # -- shared machines ---------------------------------------------------------------------------------------------

    def _aim_share(self, share: Share) -> None:
        due = share.due()
        if due is not None:
            self._clock.at(due, self._share_due, share, share.version)

    def _share_due(self, share: Share, version: int) -> None:
        if share.version == version:
            job = share.finish(self._clock.now)
            job.share = None
            self._aim_share(share)
            self._over(job, job.token)

    def _stop(self, job: Job) -> None:
        if job.share is not None:
            job.share.remove(self._clock.now, job)
            self._aim_share(job.share)
            job.share = None
        for transfer in job.moving:
            if transfer.under_way:
                self._aim(transfer.stop(self._clock.now))
        job.moving = []

    # -- restarts ----------------------------------------------------------------------------------------------------

    def restart(self, host: Host) -> None:
        """The worker's process goes; its host keeps serving files, as a stopped worker's storage on NFS would."""
        host.online = False
        self._touched[host] = None
        for job in host.jobs.values():
            job.token += 1
            self._stop(job)
        self._inbox.append(WorkerOnline(host.id, False))
        self._clock.at(self._clock.now + host.group.restart_lasts, self._back, host)

    def _back(self, host: Host) -> None:
        host.online = True
        host.session += 1
        self._inbox += [WorkerJoined(host.spec()), WorkerOnline(host.id, True)]
        for disk in host.disks.values():
            disk.changed = self._clock.now
            self._shelves.unsettled[disk] = None
        for job in list(host.jobs.values()):
            self._end(job, Outcome.AGAIN)
        self._clock.at(self._clock.now + host.group.restart_every, self.restart, host)


def chance(*what: object) -> float:
    """A number from 0 to below 1 that depends on ``what`` alone: the same task has the same luck under every policy."""
    return int.from_bytes(blake2b(repr(what).encode(), digest_size=6).digest()) / (1 << 48)


def _by_disk(laid: Mapping[int, Disk], types: int, otherwise: Disk | None = None) -> dict[Disk, int]:
    """Which of the types go on which disk; those that were laid nowhere go ``otherwise``, or are left out."""
    found: dict[Disk, int] = {}
    for bit in bits(types):
        disk = laid.get(bit, otherwise)
        if disk is not None:
            found[disk] = found.get(disk, 0) | bit
    return found
