"""Idle while eligible: time in which a worker with a free slot stands there while a task waits that it could do.

Judged by the farm file, not by the policy: caps, hold, where files are, bound workers, room on disks. So policies are
measured with the same rule, but for one thing: where the balanced policy keeps room for what it has promised, its own word
counts.
"""

from __future__ import annotations

from collections import defaultdict

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.decisions import Why
from lotus_sched_cli.core.needs import CACHE, P1_OUTPUT, UNSEALED
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import TaskType

from .farm import AP, C1, C2, FIN, FUS, GET, P1, P2, STAGES
from .shelves import Shelves
from .things import Host, Waiting

#: What must lie on a worker for those that fetch nothing.
_THERE = {C1: P1_OUTPUT, FIN: CACHE, FUS: UNSEALED}
#: What a worker may keep from running beside each other.
_BESIDE = {P2: C2, C2: P2}
#: What a worker would have to find room for, its own files aside.
_BRINGS = {AP: UNSEALED, P1: P1_OUTPUT | UNSEALED, P2: P1_OUTPUT}


class Idle:
    """``seconds`` are worker-seconds by task type, ``total`` by worker (once, however many types wait), and ``empty``
    those of workers that carry nothing at all."""

    def __init__(self, hosts: list[Host], scheduler: Scheduler, shelves: Shelves, policy: str) -> None:
        self._scheduler = scheduler
        self._shelves = shelves
        self.policy = policy
        self._takers = {stage: [host for host in hosts if stage in host.tasks] for stage in STAGES}
        self.waiting: dict[TaskType, dict[str, Waiting]] = {stage: {} for stage in STAGES}
        self._fresh: set[TaskType] = set()
        #: Host → type → the task that it could do.
        self._could: dict[Host, dict[TaskType, str]] = defaultdict(dict)
        self._witness: dict[str, set[tuple[Host, TaskType]]] = defaultdict(set)
        self._dirty: dict[Host, None] = {}
        self._since = 0.0
        self._counts: dict[TaskType, int] = dict.fromkeys(STAGES, 0)
        self._hosts = self._bare = 0
        self._bares: set[Host] = set()
        self.seconds: dict[TaskType, float] = dict.fromkeys(STAGES, 0.0)
        self.total = 0.0
        self.empty = 0.0

    # -- what happens ------------------------------------------------------------------------------------------------

    def queued(self, task: Waiting) -> None:
        stage = task.spec.type
        if not self.waiting[stage]:
            self._fresh.add(stage)
        self.waiting[stage][task.spec.id] = task
        for disk in task.sector.files:
            self._dirty[disk.worker] = None

    def left(self, task: Waiting) -> None:
        """It waits no more."""
        if self.waiting[task.spec.type].pop(task.spec.id, None) is not None:
            for host, _ in self._witness.pop(task.spec.id, ()):
                self._dirty[host] = None

    def touched(self, hosts: dict[Host, None]) -> None:
        self._dirty.update(hosts)

    def advance(self, now: float) -> None:
        """Time passes with everything as it is."""
        span = now - self._since
        self._since = now
        if span > 0 and self._hosts:
            for stage, number in self._counts.items():
                self.seconds[stage] += number * span
            self.total += self._hosts * span
            self.empty += self._bare * span

    def look(self, now: float) -> None:
        """Find out anew who stands idle, after all that happened at this moment."""
        looked: set[tuple[Host, TaskType]] = set()
        if self._dirty:
            stages = [stage for stage in STAGES if self.waiting[stage]]
            for host in self._dirty:
                for stage in list(self._could.get(host, ())):
                    if not self.waiting[stage]:
                        self._set(host, stage, None)
                for stage in stages:
                    if stage in host.tasks:
                        looked.add((host, stage))
                        self._set(host, stage, self._candidate(host, stage, now))
            self._dirty.clear()
        for stage in self._fresh:
            if self.waiting[stage]:
                for host in self._takers[stage]:
                    if (host, stage) not in looked:
                        self._set(host, stage, self._candidate(host, stage, now))
        self._fresh.clear()

    def _set(self, host: Host, stage: TaskType, task: str | None) -> None:
        could = self._could[host]
        before = could.get(stage)
        if before == task:
            self._recount_bare(host, bool(could))
            return
        was = bool(could)
        if before is not None:
            del could[stage]
            self._counts[stage] -= 1
            if before in self._witness:
                self._witness[before].discard((host, stage))
        if task is not None:
            could[stage] = task
            self._counts[stage] += 1
            self._witness[task].add((host, stage))
        self._hosts += bool(could) - was
        self._recount_bare(host, bool(could))

    def _recount_bare(self, host: Host, could: bool) -> None:
        bare = could and not host.jobs
        self._bare += bare - (host in self._bares)
        (self._bares.add if bare else self._bares.discard)(host)

    # -- the rule ----------------------------------------------------------------------------------------------------

    def _candidate(self, host: Host, stage: TaskType, now: float) -> str | None:
        """A waiting task that the host could take now."""
        if stage not in host.tasks or not host.online or stage in host.resting:
            return None
        slots = host.slots[stage]
        if slots is not None and host.carried[stage] >= slots:
            return None
        there = _THERE.get(stage)
        for sector in host.sectors.values():
            task = sector.task
            if task is None or task.spec.type is not stage or task.spec.id not in self.waiting[stage]:
                continue
            lies = sector.on(host)
            if (lies & there if there else lies) and self._fits(host, task, now):
                return task.spec.id
        if there:
            return None
        for task in self.waiting[stage].values():
            if task.after <= now and not task.sector.on(host):
                return task.spec.id if self._fits(host, task, now) else None
        return None

    def _fits(self, host: Host, task: Waiting, now: float) -> bool:
        caps, stage, sector = host.group.caps, task.spec.type, task.sector
        if task.after > now:
            return False
        if stage is P1 and caps.precommit1_hold_max:
            held = len(host.held) - (sector.number in host.held)
            if held >= caps.precommit1_hold_max:
                return False
        if stage is P1 and now < host.p1_started + caps.precommit1_interval:
            return False
        if not caps.allow_p2_c2_parallel and stage in _BESIDE and host.carried.get(_BESIDE[stage]):
            return False
        lies = sector.on(host)
        if _bound_to(caps, stage) & ~lies:
            return False
        brings = P1_OUTPUT if stage is GET else _BRINGS.get(stage, 0) & ~lies
        if stage is C2 or not brings:
            return True
        if not any(disk.seals is not (stage is GET) for disk in host.disks.values()):
            return False
        return self._has_room(host, task, brings, now)

    def _has_room(self, host: Host, task: Waiting, brings: int, now: float) -> bool:
        if self.policy == "balanced":
            refusal = self._scheduler.judge(task.spec.id, host.id, now)
            return refusal is None or refusal.why not in (Why.SPACE, Why.STORAGE)
        final = task.spec.type is GET
        size = self._shelves.size(brings, final)
        return any(disk.available >= size for disk in host.disks.values() if disk.seals is not final)


def _bound_to(caps: Caps, stage: TaskType) -> int:
    """What must lie on a worker that is bound to its own."""
    if stage is P1:
        return UNSEALED if caps.force_p1_from_local_ap else 0
    bound = caps.force_p2_from_local_p1 if stage is P2 else stage is C2 and caps.force_c2_from_local_p2
    return P1_OUTPUT if bound else 0
