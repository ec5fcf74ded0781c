"""``lotus-miner info`` and ``lotus-worker info`` (Lotus: ``cli/miner/info.go``, ``cli/worker/info.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .actor import ActorOnChain
from .states import rank_of
from .wire import order, short, unix


@dataclass(frozen=True, slots=True)
class ChainState:
    """Our miner's simulated chain: head, seconds of an epoch, and what it takes as proof (``stand-in``, ``real``)."""

    head: int | None
    block_delay: float
    proofs: str


@dataclass(frozen=True, slots=True)
class MinerInfo:
    """``age`` in seconds at the time of asking. ``states`` (state, sectors) in Lotus's order; None: not asked for.

    ``chain`` None: not our simulated one. ``on_chain`` None: it is, or the full node of the real one is not known here.
    """

    subsystems: tuple[str, ...]
    start: float | None
    age: float | None
    alerts: int
    actor: str
    sector_size: int | None
    version: str
    chain: ChainState | None
    on_chain: ActorOnChain | None
    states: tuple[tuple[str, int], ...] | None
    seal_workers: int
    window_workers: int
    winning_workers: int


def miner_view(
    *,
    subsystems: Sequence[str],
    start: str,
    alerts: Sequence[Mapping[str, Any]],
    actor: str,
    sector_size: int | None,
    version: str,
    chain: ChainState | None,
    on_chain: ActorOnChain | None,
    summary: Mapping[str, int] | None,
    stats: Mapping[str, Mapping[str, Any]],
    now: float,
) -> MinerInfo:
    """Of the answers to RuntimeSubsystems, StartTime, LogAlerts, ActorAddress, SectorsSummary and WorkerStats."""
    began = unix(start)
    kinds = [kind_of(worker.get("Tasks") or ()) for worker in stats.values() if worker["Enabled"]]
    return MinerInfo(
        subsystems=tuple(subsystems),
        start=began,
        age=None if began is None else now - began,
        alerts=sum(1 for alert in alerts if alert["Active"]),
        actor=actor,
        sector_size=sector_size,
        version=version,
        chain=chain,
        on_chain=on_chain,
        states=None if summary is None else in_order(summary),
        seal_workers=kinds.count("seal"),
        window_workers=kinds.count("window"),
        winning_workers=kinds.count("winning"),
    )


def kind_of(tasks: Sequence[str]) -> str:
    """One PoSt task puts a worker in that class; one that did not tell its tasks counts as sealing."""
    if any(task.startswith("post/v0/winning") for task in tasks):
        return "winning"
    return "window" if any(task.startswith("post/v0/window") for task in tasks) else "seal"


def in_order(summary: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(summary.items(), key=lambda item: (rank_of(item[0]), item[0])))


@dataclass(frozen=True, slots=True)
class WorkerPath:
    """One path of a worker."""

    id: str
    weight: int
    can_seal: bool
    can_store: bool
    local: str


@dataclass(frozen=True, slots=True)
class WorkerSelf:
    """What a worker says of itself; memory in bytes."""

    api_version: str
    cli_version: str
    session: str
    enabled: bool
    hostname: str
    cpus: int
    gpus: tuple[str, ...]
    mem_physical: int
    mem_swap: int
    mem_used: int
    mem_swap_used: int
    tasks: tuple[str, ...]
    paths: tuple[WorkerPath, ...]


def worker_view(
    *,
    api_version: int,
    cli_version: str,
    session: str,
    enabled: bool,
    info: Mapping[str, Any],
    tasks: Mapping[str, Any],
    paths: Sequence[Mapping[str, Any]],
) -> WorkerSelf:
    """Of the answers to Version, ProcessSession, Enabled, Info, TaskTypes and Paths."""
    has = info["Resources"]
    return WorkerSelf(
        api_version=f"{api_version >> 16}.{api_version >> 8 & 0xFF}.{api_version & 0xFF}",
        cli_version=cli_version,
        session=session,
        enabled=enabled,
        hostname=info["Hostname"],
        cpus=has["CPUs"],
        gpus=tuple(has.get("GPUs") or ()),
        mem_physical=has["MemPhysical"],
        mem_swap=has["MemSwap"],
        mem_used=has["MemUsed"],
        mem_swap_used=has["MemSwapUsed"],
        tasks=tuple(short(task) for task in sorted(tasks, key=lambda t: (order(t), t))),
        paths=tuple(
            WorkerPath(p["ID"], p["Weight"], p["CanSeal"], p["CanStore"], p["LocalPath"])
            for p in sorted(paths or (), key=lambda p: str(p["ID"]))
        ),
    )
