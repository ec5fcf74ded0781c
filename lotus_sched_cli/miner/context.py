"""The parts of a running miner, as the API's methods need them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from lotus_sched_cli.core.proofs import seal_proof
from lotus_sched_cli.lotus.repo import Repo
from lotus_sched_cli.storage.store import Store as LocalStore

from .alerts import Alerts
from .chain import Chain
from .clock import Clock
from .config import Config
from .dispatch import Dispatch
from .index import SectorIndex
from .sectors import Sectors
from .store import Store
from .workers import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What `init` laid down, and what this process is."""

    actor: int
    sector_size: int
    secret: bytes
    session: str
    started: float
    version: str

    @property
    def address(self) -> str:
        return f"t0{self.actor}"

    @property
    def proof(self) -> int:
        """The seal proof of new sectors."""
        return seal_proof(self.sector_size)


@dataclass(slots=True, kw_only=True)
class Miner:
    """Everything that runs. ``local`` are the miner's own paths."""

    facts: Facts
    repo: Repo
    config: Config
    clock: Clock
    store: Store
    chain: Chain
    alerts: Alerts
    index: SectorIndex
    workers: Registry
    dispatch: Dispatch
    sectors: Sectors
    local: LocalStore
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    #: What config.toml is overridden by.
    environ: Mapping[str, str] = field(default_factory=dict)
