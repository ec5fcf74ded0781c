"""The sectors' way: they come as the farm file says, and go from stage to stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from lotus_sched_cli.core.events import Event, SectorHeld, TaskQueued, TaskSpec
from lotus_sched_cli.core.needs import P1_OUTPUT, UNSEALED
from lotus_sched_cli.core.tasks import FileType, TaskType

from .clock import Clock
from .farm import AP, C2, FIN, GET, P1, P2, FarmSpec
from .idle import Idle
from .shelves import Shelves
from .things import Host, Sector, Waiting
from .trace import Trace

_T = TypeVar("_T")

#: Files that a batch's sectors have when they begin with a stage.
_BEFORE: Final = {AP: 0, P1: UNSEALED, FIN: P1_OUTPUT, GET: P1_OUTPUT}
_MOVED: Final = FileType(P1_OUTPUT)


class Line:
    """``tasks`` are those that wait or run, by id; ``done`` counts sectors."""

    def __init__(
        self,
        farm: FarmSpec,
        clock: Clock,
        inbox: list[Event],
        hosts: list[Host],
        shelves: Shelves,
        idle: Idle,
        trace: Trace,
    ) -> None:
        self._farm = farm
        self._clock = clock
        self._inbox = inbox
        self._hosts = hosts
        self._shelves = shelves
        self._idle = idle
        self._trace = trace
        self.tasks: dict[str, Waiting] = {}
        self.done = 0
        #: Sectors, or groups of them, that wait for their time: to come, for the chain, to be tried again.
        self.ahead = 0
        self._sectors = 0
        #: By number of the batch: sectors that have not come yet, and pieces that wait for their PC1.
        self._left = [batch.count for batch in farm.batches]
        self._pieces = [0] * len(farm.batches)

    def open(self) -> None:
        for index, batch in enumerate(self._farm.batches):
            come: Callable[[int], None] = self._refill if batch.keep else self._arrive
            self._at(batch.first, come, index)

    def _at(self, time: float, act: Callable[[_T], None], what: _T) -> None:
        self.ahead += 1
        self._clock.at(time, self._now, act, what)

    def _now(self, act: Callable[[_T], None], what: _T) -> None:
        self.ahead -= 1
        act(what)

    # -- how sectors come --------------------------------------------------------------------------------------------

    def _arrive(self, index: int) -> None:
        batch = self._farm.batches[index]
        self._come(index)
        while self._left[index] and not batch.every:
            self._come(index)
        if self._left[index]:
            come = batch.count - self._left[index]
            self._at(batch.first + come * batch.every, self._arrive, index)

    def _refill(self, index: int) -> None:
        while self._left[index] and self._pieces[index] < self._farm.batches[index].keep:
            self._come(index)

    def _come(self, index: int) -> None:
        batch = self._farm.batches[index]
        self._left[index] -= 1
        self._pieces[index] += 1
        sector = Sector(self._sectors, batch, self._clock.now)
        sector.index = index
        self._sectors += 1
        self._clock.moved = self._clock.now
        self._trace.came[sector.number] = self._clock.now
        self._inbox.append(SectorHeld(sector.id, True))
        if batch.on:
            on = [host for host in self._hosts if host.group.name == batch.on]
            host = on[(batch.count - self._left[index] - 1) % len(on)]
            disk = next(disk for disk in host.disks.values() if disk.seals)
            types = _BEFORE.get(batch.start, P1_OUTPUT | UNSEALED)
            self._shelves.put(sector, types, disk, job=None)
        self._queue(sector)

    # -- from stage to stage -----------------------------------------------------------------------------------------

    def _queue(self, sector: Sector) -> None:
        stage, batch = sector.stage, sector.batch
        name = f"{stage.short}-{sector.number}" + (f"-{sector.tries}" if sector.tries else "")
        files = _MOVED if stage is GET else FileType.NONE
        spec = TaskSpec(name, sector.id, self._farm.proof, stage, batch.priority, files)
        task = sector.task = self.tasks[name] = Waiting(spec, sector, self._clock.now)
        self._idle.queued(task)
        self._inbox.append(TaskQueued(spec))

    def began(self, task: Waiting) -> None:
        """A worker has it."""
        self._idle.left(task)
        if task.spec.type is P1:
            self._count_piece(task.sector, -1)

    def succeeded(self, task: Waiting) -> None:
        """A step is done; the next one follows, at once or when the chain is so far."""
        sector = task.sector
        self._leave(task)
        was = sector.stage
        sector.step += 1
        sector.tries = sector.again = 0
        if sector.step == len(sector.batch.stages):
            self._finish(sector, was)
            return
        wait = {P2: self._farm.wait_seed, C2: self._farm.commit_wait}.get(was, 0.0)
        if wait:
            self._at(self._clock.now + wait, self._queue, sector)
        else:
            self._queue(sector)

    def failed(self, task: Waiting) -> None:
        """Tried again after the growing delays of the pipeline."""
        sector = task.sector
        self._leave(task)
        delay = self._delay(sector.tries)
        sector.tries += 1
        if task.spec.type is P1:
            self._count_piece(sector, 1)
        self._at(self._clock.now + delay, self._queue, sector)

    def queued_again(self, task: Waiting) -> None:
        """The scheduler has it in its queue again; at once the first time, then after its growing delays."""
        sector, now = task.sector, self._clock.now
        sector.again += 1
        if task.spec.type is P1:
            self._count_piece(sector, 1)
        task.since = now
        task.after = now if sector.again < 2 else now + self._delay(sector.again - 2)
        self._idle.queued(task)

    def _delay(self, before: int) -> float:
        return min(self._farm.retry_delay * 2.0 ** min(before, 60), self._farm.retry_delay_max)

    def _count_piece(self, sector: Sector, change: int) -> None:
        self._pieces[sector.index] += change
        if change < 0 and sector.batch.keep:
            self._refill(sector.index)

    def _leave(self, task: Waiting) -> None:
        del self.tasks[task.spec.id]
        task.sector.task = None

    def _finish(self, sector: Sector, last: TaskType) -> None:
        self._trace.done[sector.number] = self._clock.now
        self.done += 1
        if last is GET:
            self._inbox.append(SectorHeld(sector.id, False))
            for disk in sector.files:
                disk.worker.held.pop(sector.number, None)
            sector.files = {}
