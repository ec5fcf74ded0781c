"""What a worker's own words (WorkerInfo) mean to the scheduler: caps and limits (scheduling.md A2, A3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UnsetType

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.resources import Demand, demand_of
from lotus_sched_cli.core.tasks import Kind, TaskType
from lotus_sched_cli.lotus.cap_extras import with_extras
from lotus_sched_cli.lotus.extras import CapExtras
from lotus_sched_cli.lotus.types import Resources, WorkerInfo

#: Numbers of the seal proofs (lotus-wire's abi.RegisteredSealProof), NI-PoRep included.
SEAL_PROOFS: Final = range(20)
_KINDS: Final = {
    Kind.P1: TaskType.PRECOMMIT1,
    Kind.P2: TaskType.PRECOMMIT2,
    Kind.C2: TaskType.COMMIT2,
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """``[Storage] PreCommit1Max`` and ``PreCommit1HoldMax``: the caps of a worker that states none."""

    precommit1_max: int = 7
    precommit1_hold_max: int = 25


def caps_of(info: WorkerInfo, proof: int, defaults: Defaults) -> tuple[Caps, str]:
    """The caps that count, and their source: ``worker``, ``MaxConcurrent`` or ``config``."""
    own = info.Resources
    if not isinstance(own.PreCommit1Max, UnsetType):
        extras = own.CapExtras if isinstance(own.CapExtras, CapExtras) else CapExtras()
        caps = Caps(
            precommit1_max=own.PreCommit1Max,
            precommit1_hold_max=_or(own.PreCommit1HoldMax, 25),
            precommit2_max=_or(own.PreCommit2Max, 1),
            commit2_max=_or(own.Commit2Max, 1),
            force_p2_from_local_p1=own.ForceP2FromLocalP1 is True,
        )
        return with_extras(caps, extras), "worker"
    stated = {kind: _max_concurrent(info, task, proof) for kind, task in _KINDS.items()}
    caps = Caps(
        precommit1_max=stated[Kind.P1] or defaults.precommit1_max,
        precommit1_hold_max=defaults.precommit1_hold_max,
        precommit2_max=stated[Kind.P2] or 1,
        commit2_max=stated[Kind.C2] or 1,
    )
    return caps, "MaxConcurrent" if any(stated.values()) else "config"


def limits_of(info: WorkerInfo) -> dict[tuple[TaskType, int], int]:
    """MaxConcurrent above 0 of the tasks that no cap counts."""
    capped = set(_KINDS.values())
    return {
        (TaskType(task), int(proof)): limits.MaxConcurrent
        for task, table in (info.Resources.Resources or {}).items()
        if task in _TEXTS and TaskType(task) not in capped
        for proof, limits in table.items()
        if limits.MaxConcurrent > 0
    }


def demands_of(info: WorkerInfo) -> dict[tuple[TaskType, int], Demand]:
    """What the worker's resource table states otherwise than Lotus's own; the windowed policy looks at it."""
    stated: dict[tuple[TaskType, int], Demand] = {}
    for text, table in (info.Resources.Resources or {}).items():
        if text not in _TEXTS:
            continue
        task = TaskType(text)
        for number, needs in table.items():
            demand = Demand(
                needs.MinMemory,
                needs.MaxMemory,
                needs.GPUUtilization,
                needs.MaxParallelism,
                needs.MaxParallelismGPU,
                needs.BaseMinMemory,
                max(needs.MaxConcurrent, 0),
            )
            if demand != demand_of({}, task, int(number)):
                stated[task, int(number)] = demand
    return stated


_TABLES: dict[bytes, dict[str, dict[str, Resources]]] = {}
_MOST_TABLES: Final = 64


def shared(info: WorkerInfo) -> WorkerInfo:
    """The same info with its resource table shared among workers that state the same (they mostly do)."""
    table = info.Resources.Resources
    if not table:
        return info
    key = msgspec.json.encode(table)
    if len(_TABLES) >= _MOST_TABLES and key not in _TABLES:
        return info
    known = _TABLES.setdefault(key, table)
    return msgspec.structs.replace(info, Resources=msgspec.structs.replace(info.Resources, Resources=known))


def _max_concurrent(info: WorkerInfo, task: TaskType, proof: int) -> int:
    limits = (info.Resources.Resources or {}).get(task.value, {}).get(str(proof))
    return limits.MaxConcurrent if limits is not None and limits.MaxConcurrent > 0 else 0


def _or(value: int | UnsetType, default: int) -> int:
    return default if isinstance(value, UnsetType) else value


_TEXTS: Final = frozenset(t.value for t in TaskType)
