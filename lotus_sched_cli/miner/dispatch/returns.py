"""Results of calls, as workers return them (lotus-wire.md §5)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import msgspec

from lotus_sched_cli.lotus import gojson
from lotus_sched_cli.lotus.errors import shortened
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import CallError, CallID
from lotus_sched_cli.miner.records import Phase

from .ahead import Aheads
from .desk import Desk, Part
from .ends import end_waiting
from .flight import Flight

log = get("advmgr")

#: A Return may come before the answer that names its call; it waits this long for it.
ANSWER_WAIT: Final = 60.0
#: Characters of a worker's error that are kept: it goes into the sector's log, once for each attempt.
LONGEST_ERROR: Final = 20_000


class Returns:
    """Takes each Return of the wire. What is acknowledged is stored: the worker deletes its copy."""

    def __init__(self, desk: Desk, aheads: Aheads) -> None:
        self._desk = desk
        self._aheads = aheads

    async def take(self, method: str, call: CallID, result: Any, error: CallError | None) -> None:
        """Acknowledge by returning. Unknown and repeated ones too: a Go worker would retry an error for ever."""
        error = _shortened(error)
        while (found := await self._find(method, call, error)) is not None:
            flight, part = found
            if part == "fetch":
                await self._fetched(flight, error)
                return
            if flight.settling is None:
                await self._over(flight, None if error is not None else gojson.encode(result), error)
                return
            # It is being ended otherwise: whether this is still wanted shows when that is stored, or could not be.
            with contextlib.suppress(RpcError):
                await asyncio.shield(flight.settling)
        if not self._aheads.returned(call.ID):
            log.debug(f"{method} of call {call}: nobody waits for it, dropped")

    async def _over(self, flight: Flight, result: bytes | None, error: CallError | None) -> None:
        if flight.row.phase is not Phase.QUEUED:
            await self._desk.settle(flight, result, error)
            return
        log.info(
            f"{flight.row.type} of sector {flight.sector}: the result of a call that was given up has come"
        )
        await end_waiting(self._desk, self._aheads, flight, result, error)

    async def _fetched(self, flight: Flight, error: CallError | None) -> None:
        attempt = flight.attempt
        if error is None and flight.row.fetched_at is None:
            at = self._desk.clock()
            writes = self._desk.store.writes()
            writes.task(flight.row.id, fetched_at=at)
            try:
                await writes.commit()
            except Exception as e:
                raise RpcError(1, f"not stored: {e}") from e
            if flight.attempt != attempt:
                return  # while it was written the task went to another worker, whose own fetch this is not
            flight.set(fetched_at=at)
        waiter = flight.fetched
        if waiter is not None and not waiter.done():
            waiter.set_result(error)
        elif waiter is None and error is not None and flight.ahead:
            await self._aheads.failed(flight, str(error))
        elif waiter is None and error is not None:
            # Restored, and its worker has not registered yet: no courier waits.
            await self._desk.settle(flight, None, error)

    async def _find(self, method: str, call: CallID, error: CallError | None) -> tuple[Flight, Part] | None:
        desk = self._desk
        if (found := desk.calls.get(call.ID)) is not None:
            return found
        flights = desk.by_sector.get(call.Sector.id, ())
        for flight in flights:
            if flight.asking != method:
                continue
            worker = desk.worker_of(flight)
            if flight.repeated and worker is not None and not worker.stock:
                # It may be the very call that is being asked for again: with the answer its name will be known.
                if error is not None and error.Code == 101:
                    return None
                raise RpcError(1, f"call {call} is not known yet, return it again")
            await flight.answer(ANSWER_WAIT)
            if (found := desk.calls.get(call.ID)) is not None:
                return found
        for flight in flights:
            if flight.open_call == method:
                part: Part = "fetch" if method == "ReturnFetch" else "main"
                flight.open_call = ""
                desk.known_call(flight, call.ID, part)
                return flight, part
        return self._late(call, error)

    def _late(self, call: CallID, error: CallError | None) -> tuple[Flight, Part] | None:
        """A call that was given up: its result is welcome while the task still waits."""
        flight = self._desk.old_calls.get(call.ID)
        if flight is None or error is not None or flight.row.phase is not Phase.QUEUED:
            return None
        return flight, "main"


def _shortened(error: CallError | None) -> CallError | None:
    if error is None or len(error.Message) <= LONGEST_ERROR:
        return error
    return msgspec.structs.replace(error, Message=shortened(error.Message, LONGEST_ERROR))
