"""The parts of a running miner, made and joined; nothing of them is started here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from lotus_sched_cli.core.pipeline.states import State
from lotus_sched_cli.core.proofs import seal_proof
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus import auth, methods
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.repo import Repo
from lotus_sched_cli.lotus.rpc.client import LocalCaller
from lotus_sched_cli.lotus.rpc.server import RpcServer
from lotus_sched_cli.sealers import prover
from lotus_sched_cli.sealers.simconfig import SimConfig
from lotus_sched_cli.sealers.verify import RealVerifier, StandInVerifier
from lotus_sched_cli.storage.index import RpcIndex
from lotus_sched_cli.storage.store import Store as LocalStore

from . import builtin
from .alerts import Alerts
from .api import MinerAPI
from .chain import Chain, ChainSettings
from .clock import Clock
from .config import Config
from .context import Facts, Miner
from .dial import Dialer
from .dispatch import Dispatch
from .dispatch.desk import Patience
from .endpoint import Address
from .index import SectorIndex
from .init import STORE
from .leftovers import Leftovers
from .reload import default_caps
from .removals import Removals
from .sectors import Sectors
from .store import Store
from .workers import Registry


@dataclass(frozen=True)
class Given:
    """What a miner is made of: its repo, what stands in it, and where it is to serve. ``heartbeat`` is in seconds."""

    repo: Repo
    config: Config
    environ: Mapping[str, str]
    store: Store
    facts: Facts
    settings: SimConfig
    address: Address
    clock: Clock
    alerts: Alerts
    heartbeat: float
    stop: asyncio.Event


async def assemble(given: Given, stack: AsyncExitStack) -> tuple[Miner, RpcServer]:
    """The miner and the server that answers for it. Raises UserError for a store or chain that cannot be used."""
    config, clock, store, facts = given.config, given.clock, given.store, given.facts
    proof = seal_proof(facts.sector_size)
    chain = await _chain(given)
    workers = Registry(
        store,
        clock=clock,
        dial=Dialer(auth.sign(facts.secret, ["admin"])),
        defaults=default_caps(config),
        proof=proof,
        heartbeat=given.heartbeat,
    )
    api = MinerAPI()
    server = RpcServer(methods.MINER, api, auth.LocalVerifier(facts.secret), aliases=methods.MINER_ALIASES)
    local = _local(given, server)
    stack.push_async_callback(local.close)
    dispatch, index, removals = _dispatch(given, workers, local)
    sectors = Sectors(
        store,
        chain,
        dispatch,
        config.pipeline(),
        miner=facts.actor,
        proof=proof,
        max_sealing=config.number("Sealing.MaxSealingSectors"),
        first_number=await store.meta("first_sector") or 0,
        clock=clock,
    )
    removals.state = sectors.state
    miner = Miner(
        facts=facts,
        repo=given.repo,
        config=config,
        clock=clock,
        store=store,
        chain=chain,
        alerts=given.alerts,
        index=index,
        workers=workers,
        dispatch=dispatch,
        sectors=sectors,
        local=local,
        stop=given.stop,
        environ=given.environ,
    )
    api.bind(miner)
    return miner, server


async def _chain(given: Given) -> Chain:
    config = given.config
    settings = ChainSettings(
        config.seconds("Chain.BlockDelaySecs"),
        config.number("Chain.PreCommitChallengeDelay"),
        config.number("Chain.MessageConfidence"),
    )
    try:
        real = await given.store.meta("chain.proofs") == "real"
        program = prover.need(given.environ, "a chain that verifies real proofs") if real else None
        verifier = StandInVerifier() if program is None else RealVerifier(program, given.environ)
        return await Chain.open(given.store, settings, verifier, given.clock)
    except ValueError as e:
        raise UserError(f"{given.repo.path / STORE}: {e}") from e


def _local(given: Given, server: RpcServer) -> LocalStore:
    """The miner's own paths, which its built-in worker works on; they declare over the miner's own methods."""
    return LocalStore(
        RpcIndex(LocalCaller(server)),
        given.address.remote_url,
        headers={"Authorization": f"Bearer {auth.sign(given.facts.secret, ['admin'])}"},
        space=builtin.space_model(given.settings, given.facts.sector_size),
        parallel_fetch=given.config.number("Storage.ParallelFetchLimit"),
    )


def _dispatch(given: Given, workers: Registry, local: LocalStore) -> tuple[Dispatch, SectorIndex, Removals]:
    """Dispatch and index, joined with each other, with the workers and with what clears away files that nobody needs.

    Dispatch asks the index where files lie, the index tells dispatch what changes: ``confirm`` and ``lacking`` are called
    only after both are there.
    """
    store, config, clock = given.store, given.config, given.clock

    async def confirm(worker_id: str) -> None:
        await index.drop_unconfirmed(worker_id)
        await leftovers.joined(worker_id)
        removals.deliver()

    def cancelled(sector: SectorId) -> None:
        if removals.state(sector.number) is State.REMOVED:
            dispatch.desk.spawn(removals.wipe(sector), "files of a removed sector")

    async def remove(sector: SectorId, types: FileType, keep: Iterable[str], only: Iterable[str]) -> None:
        await local.remove(sector, types, keep=keep, only=only)

    def present(worker_id: str) -> bool:
        worker = workers.by_id.get(worker_id)
        return worker is not None and worker.online

    dispatch = Dispatch(
        store,
        Scheduler(config.scheduler()),
        workers,
        clock=clock,
        patience=Patience(lost_after=config.seconds("Storage.LostAfter")),
        confirm=confirm,
        remove_files=lambda sector: removals.wipe(sector),
        lacking=lambda sector, types, worker_id: index.lacking(sector, types, worker_id),
    )
    index = SectorIndex(
        store,
        clock=clock,
        emit=dispatch.post,
        owners=workers,
        makers=dispatch.desk.makers,
        alerts=given.alerts,
    )
    desk = dispatch.desk
    leftovers = Leftovers(store, index, remove, desk.spawn)
    removals = Removals(
        store,
        index,
        remove,
        desk.spawn,
        busy=lambda sector: sector in desk.by_sector,
        present=present,
        lies=local.lies,
    )
    index.judge, desk.made = leftovers.judge, leftovers.made
    desk.adopted, desk.disown, desk.unwanted = leftovers.adopted, leftovers.disown, leftovers.unwanted
    desk.done, desk.submitted, desk.clear = removals.done, removals.submitted, removals.clear
    desk.cancelled, desk.online = cancelled, removals.deliver
    index.recovered = removals.deliver
    workers.listen(dispatch, reown=index.reown, moved=index.moved)
    return dispatch, index, removals
