"""Sectors: pledge, list, status, states by hand (Lotus ``api/api_storage.go``)."""

from __future__ import annotations

import asyncio

from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus import units
from lotus_sched_cli.lotus.extras import PledgedFree, SectorBrief
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import (
    CommitBatchRes,
    NumAssignerMeta,
    PreCommitBatchRes,
    SealedRef,
    SectorID,
    SectorInfo,
)
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.pledge import pledge_free

log = get("sectors")


class SectorsAPI:
    _miner: Miner
    #: Two at the same time must count each other's sectors.
    _pledging: asyncio.Lock

    async def PledgeSector(self) -> SectorID:
        sector = await self._miner.sectors.pledge()
        return SectorID(sector.miner, sector.number)

    async def PledgeFreeSlots(self, once: bool) -> PledgedFree:
        async with self._pledging:
            return await pledge_free(self._miner, once)

    # Lotus lists sectors in the order of its datastore's keys, which are text: 1, 10, 2.
    async def SectorsList(self) -> list[int]:
        return sorted(self._miner.sectors.numbers(), key=str)

    async def SectorsListInStates(self, states: list[str] | None) -> list[int] | None:
        return sorted(self._miner.sectors.numbers(states or []), key=str) or None

    async def SectorsTable(self, with_log: bool) -> list[SectorBrief]:
        return await self._miner.sectors.briefs(with_log)

    async def SectorsSummary(self) -> dict[str, int]:
        return self._miner.sectors.summary()

    async def SectorsStatus(self, number: int, on_chain: bool) -> SectorInfo:
        return await self._miner.sectors.status(number, on_chain)

    async def SectorsUpdate(self, number: int, state: str) -> None:
        await self._miner.sectors.update_state(number, state)

    async def SectorRemove(self, number: int) -> None:
        left = any(files.types for files in self._miner.index.on(SectorId(self._miner.facts.actor, number)))
        await self._miner.sectors.remove(number, again=left)

    async def SectorsRefs(self) -> dict[str, list[SealedRef]]:
        return {}

    # -- delays and numbers --------------------------------------------------------------------------------------

    async def SectorGetSealDelay(self) -> int:
        return int(self._miner.config.seconds("Sealing.WaitDealsDelay") * units.SECOND)

    async def SectorNumAssignerMeta(self) -> NumAssignerMeta:
        sectors = self._miner.sectors
        used = sectors.numbers()
        reserved = sectors.reserved
        return NumAssignerMeta(
            Reserved=units.rle_of_runs(reserved.reserved),
            Allocated=units.rle_encode(used),
            InUse=units.rle_encode(used),
            Next=reserved.next(set(used)),
        )

    async def SectorNumReservations(self) -> dict[str, list[int]]:
        kept = self._miner.sectors.reserved.reservations
        return {name: units.rle_of_runs(runs) for name, runs in kept.items()}

    async def SectorNumReserve(self, name: str, rle: list[int] | None, force: bool) -> None:
        sectors = self._miner.sectors
        await sectors.reserved.reserve(name, units.runs_of_rle(rle), sectors.numbers(), force=force)

    async def SectorNumReserveCount(self, name: str, count: int) -> list[int]:
        sectors = self._miner.sectors
        return units.rle_of_runs(await sectors.reserved.reserve_count(name, count, set(sectors.numbers())))

    async def SectorNumFree(self, name: str) -> None:
        await self._miner.sectors.reserved.free(name)

    # -- batches: each sector sends its own message at once, so there is never one ---------------------------------

    async def SectorPreCommitPending(self) -> list[SectorID]:
        return []

    async def SectorCommitPending(self) -> list[SectorID]:
        return []

    async def SectorTerminatePending(self) -> list[SectorID]:
        return []

    async def SectorPreCommitFlush(self) -> list[PreCommitBatchRes] | None:
        return None

    async def SectorCommitFlush(self) -> list[CommitBatchRes] | None:
        return None

    async def SectorTerminateFlush(self) -> None:
        return None

    async def SectorMatchPendingPiecesToOpenSectors(self) -> None:
        return None

    async def SectorStartSealing(self, number: int) -> None:
        state = self._miner.sectors.state(number)
        if state is not None:
            raise RpcError(
                1,
                f"sector {number} is in state {state.value}: there is nothing to start, only a sector that waits for deals "
                "is started by hand, and this miner's wait for none",
            )
        # Recorded of Lotus: an unknown number succeeds (there it makes a stray record).
        log.warning(f"sector {number} was not started: there is no such sector")
