"""``sectors mypledge``: as many new sectors as the farm has free AP slots, never more however often it is run."""

from __future__ import annotations

from lotus_sched_cli.core.pipeline.states import State
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.extras import PledgedFree
from lotus_sched_cli.lotus.rpc.errors import RpcError

from .context import Miner
from .records import Phase


async def pledge_free(miner: Miner, once: bool) -> PledgedFree:
    """Pledge into every free slot, or one sector a worker. One at a time: the caller sees to that."""
    slots = miner.dispatch.scheduler.piece_slots(miner.facts.actor, miner.facts.proof)
    wanted = slots.for_new(pending(miner), once)
    numbers: list[int] = []
    stopped = ""
    for _ in range(wanted):
        try:
            numbers.append((await miner.sectors.pledge()).number)
        except RpcError as e:
            stopped = str(e)
            break
    return PledgedFree(numbers, wanted, stopped)


def pending(miner: Miner) -> int:
    """Sectors that have begun and whose AP no worker has yet."""
    begun = miner.sectors.numbers([State.PACKING.value])
    placed = {
        flight.sector.number
        for flights in miner.dispatch.desk.by_sector.values()
        for flight in flights
        if flight.row.type is TaskType.ADD_PIECE and flight.row.phase is not Phase.QUEUED
    }
    return sum(number not in placed for number in begun)
