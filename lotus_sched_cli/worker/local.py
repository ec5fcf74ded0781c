"""A worker in the miner's own process: Lotus's built-in one. No HTTP, no store of calls: they die with the process."""

from __future__ import annotations

from collections.abc import Mapping

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus import methods
from lotus_sched_cli.lotus.rpc.client import Caller, LocalCaller
from lotus_sched_cli.lotus.rpc.engine import Engine
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.storage.store import Store

from .api import WorkerAPI
from .calls import MemoryCalls
from .gpus import Gpu
from .profile import Profile
from .worker import Worker


class LocalWorker:
    """``caller`` is how the miner calls it; ``miner`` how it calls the miner (a LocalCaller of the miner's server).

    The store is the miner's own; opening its paths and reporting their health stay with the miner.
    """

    def __init__(
        self,
        *,
        miner: Caller,
        store: Store,
        sealer: Sealer,
        name: str,
        tasks: frozenset[TaskType],
        caps: Caps | None = None,
        gpus: tuple[Gpu, ...] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        profile = Profile(
            name=name,
            id="",
            tasks=tasks,
            caps=caps or Caps(),
            gpus=gpus,
            environ=environ,
            cap_aware=caps is not None,
        )
        self.worker = Worker(miner=miner, store=store, sealer=sealer, profile=profile, calls=MemoryCalls())
        self.api = WorkerAPI(self.worker, sealer, store)
        self.caller = LocalCaller(Engine(methods.WORKER, self.api))

    async def close(self) -> None:
        """End its work; the miner queues it again at its next start."""
        await self.worker.close()
