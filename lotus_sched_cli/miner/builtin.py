"""Lotus's built-in worker, for the miner's own paths (docs/design.md §4): in process, no HTTP, no store of calls.

It always offers C1, PR1, FIN, GET, FUS and FRU, the rest as ``[Storage]``'s Allow… keys say.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

from lotus_sched_cli.core.tasks import ALLOWS, ALWAYS_OFFERED, TaskType
from lotus_sched_cli.lotus.rpc.client import Caller
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.sealers.simconfig import SimConfig, load
from lotus_sched_cli.sealers.simspace import SimSpace
from lotus_sched_cli.storage.fsstat import SpaceModel
from lotus_sched_cli.storage.store import Store as LocalStore
from lotus_sched_cli.worker.gpus import Gpu
from lotus_sched_cli.worker.local import LocalWorker

from .config import Config
from .store import Store


def sim_config(repo: Path) -> SimConfig:
    """``simulated.toml`` of the miner's repo, where there is one. Raises UserError."""
    file = repo / "simulated.toml"
    return load(file) if file.exists() else SimConfig()


def space_model(settings: SimConfig, sector_size: int) -> SpaceModel | None:
    """Pretended capacities of the miner's own paths, where some are set."""
    return SimSpace(settings, sector_size) if settings.paths else None


async def lasting_id(store: Store) -> str:
    """The built-in worker's id, the same after every start."""
    known = await store.meta("builtin_worker")
    if known is None:
        known = str(uuid.uuid4())
        await store.set_meta("builtin_worker", known)
    return str(known)


def offered(config: Config) -> frozenset[TaskType]:
    """The task types that the built-in worker is allowed."""
    tasks = set(ALWAYS_OFFERED)
    for key, allowed in ALLOWS.items():
        if config.flag(f"Storage.{key}"):
            tasks.update(allowed)
    return frozenset(tasks)


def make(
    miner: Caller,
    store: LocalStore,
    config: Config,
    sealer: Sealer,
    gpus: tuple[Gpu, ...],
    environ: Mapping[str, str],
) -> LocalWorker:
    """The worker; registering it is the registry's business (``add_builtin``)."""
    return LocalWorker(
        miner=miner,
        store=store,
        sealer=sealer,
        name=config.text("Storage.LocalWorkerName") or socket.gethostname(),
        tasks=offered(config) & sealer.tasks(),
        gpus=gpus,
        environ=environ,
    )
