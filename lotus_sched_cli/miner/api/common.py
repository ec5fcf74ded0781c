"""Who and what this miner is: version, tokens, logs, shutdown (Lotus ``api/api_common.go``)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lotus_sched_cli.core.proofs import SIZE_NAMES
from lotus_sched_cli.lotus import auth, discover, logs, methods, units
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.extras import ChainFacts, ConfigChanges
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import MINER_API_VERSION, AddressConfig, Alert, APIVersion
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.reload import reload


class CommonAPI:
    _miner: Miner

    async def Version(self) -> APIVersion:
        delay = self._miner.chain.settings.block_delay
        return APIVersion(self._miner.facts.version, MINER_API_VERSION, max(1, round(delay)))

    async def Session(self) -> str:
        return self._miner.facts.session

    async def StartTime(self) -> str:
        return units.go_time(self._miner.facts.started)

    async def Shutdown(self) -> None:
        self._miner.stop.set()

    async def Closing(self) -> None:
        return None

    @cached_property
    def _description(self) -> dict[str, Any]:
        return discover.document(methods.MINER, version=self._miner.facts.version.split("+")[0])

    async def Discover(self) -> dict[str, Any]:
        return self._description

    # -- tokens --------------------------------------------------------------------------------------------------

    async def AuthNew(self, perms: list[str] | None) -> bytes:
        return auth.sign(self._miner.facts.secret, perms or []).encode()

    async def AuthVerify(self, token: str) -> list[str]:
        try:
            return auth.verify(self._miner.facts.secret, token)
        except auth.TokenError as e:
            raise RpcError(1, str(e)) from None

    async def StorageAuthVerify(self, token: str) -> list[str]:
        return await self.AuthVerify(token)

    # -- logs ----------------------------------------------------------------------------------------------------

    async def LogList(self) -> list[str]:
        return logs.names()

    async def LogSetLevel(self, system: str, level: str) -> None:
        try:
            logs.set_level(system, level)
        except logs.LogConfigError as e:
            raise RpcError(1, str(e)) from None

    async def LogAlerts(self) -> list[Alert]:
        return self._miner.alerts.list()

    async def ConfigReload(self) -> ConfigChanges:
        """Read config.toml again; SIGHUP does the same."""
        try:
            return reload(self._miner, self._miner.environ)
        except UserError as e:
            raise RpcError(1, str(e)) from None

    # -- the actor -----------------------------------------------------------------------------------------------

    async def RuntimeSubsystems(self) -> list[str]:
        config = self._miner.config
        names = ("Mining", "Sealing", "SectorStorage")
        return [name for name in names if config.flag(f"Subsystems.Enable{name}")]

    async def SimulatedChain(self) -> ChainFacts:
        """What `info` and the epochs of `sectors list` are told by; a real chain has a node to ask."""
        chain = self._miner.chain
        s = chain.settings
        return ChainFacts(chain.head(), s.block_delay, s.challenge_delay, s.message_confidence, chain.proofs)

    async def ActorAddress(self) -> str:
        return self._miner.facts.address

    async def ActorSectorSize(self, address: str) -> int:
        facts = self._miner.facts
        if address[1:] != facts.address[1:]:
            raise RpcError(
                1, f"failed to load miner actor {address}: this miner is {facts.address} ({self._size})"
            )
        return facts.sector_size

    @property
    def _size(self) -> str:
        return SIZE_NAMES[self._miner.facts.sector_size]

    async def ActorAddressConfig(self) -> AddressConfig:
        values = self._miner.config.values

        def listed(name: str) -> list[str] | None:
            return list(values[f"Addresses.{name}"]) or None

        return AddressConfig(
            listed("PreCommitControl"),
            listed("CommitControl"),
            listed("TerminateControl"),
            listed("DealPublishControl"),
            bool(values["Addresses.DisableOwnerFallback"]),
            bool(values["Addresses.DisableWorkerFallback"]),
        )
