"""One task on its way: its stored row, and what of it lives in memory only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Protocol

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.extras import TaskUsage
from lotus_sched_cli.lotus.types import CallError
from lotus_sched_cli.miner.locks import Held
from lotus_sched_cli.miner.records import Phase, TaskRow

from .wire import METHOD


class Pipeline(Protocol):
    """Who wants tasks done and takes what came of them (miner/sectors.py)."""

    async def task_done(
        self, row: TaskRow, result: bytes | None = None, error: CallError | str | None = None
    ) -> None:
        """Take a result (JSON of the wire) or a failure; deletes the row. Called at least once."""
        ...

    async def files_lost(self, row: TaskRow, types: FileType) -> None:
        """For long no path has declared these files: the sector goes back to the step that makes them."""
        ...


@dataclass(slots=True, eq=False)
class Flight:
    """``attempt`` counts bindings: whoever waited for an earlier one finds that it is over.

    ``asking`` is the method whose answer (a CallID) is awaited just now, ``answered`` is set when it has come. Most
    flights only wait in the queue, ten thousand of them at times: what only a sent one needs is made when it is sent.
    ``open_call``: it was sent, and whether it arrived is not known; its Return is taken by sector and method.
    """

    row: TaskRow
    attempt: int = 0
    courier: asyncio.Task[None] | None = None
    #: Settled by the Fetch's Return.
    fetched: asyncio.Future[CallError | None] | None = None
    asking: str = ""
    #: The question is being repeated: the worker may hold the call already.
    repeated: bool = False
    answered: asyncio.Event | None = None
    open_call: str = ""
    #: Refused connections in a row.
    refused: int = 0
    restored: bool = False
    #: The worker to which its files are fetched ahead, or were, while it waits; empty once it is bound.
    ahead: str = ""
    #: The pipeline no longer wants it: it ends without a word to the pipeline.
    cancelling: bool = False
    #: Set while its end is being stored.
    settling: asyncio.Future[None] | None = None
    lock: Held | None = None
    #: It does not start by itself once it is prepared: the scheduler says when (``turn``).
    waits: bool = False
    turn: asyncio.Event | None = None
    last_worker: str | None = None
    error: str = ""
    #: How many jobs its worker had before it, since the miner started (the tables of 2020 show it).
    number: int = 0
    #: What the task's process took so far, where its worker tells.
    usage: TaskUsage | None = None
    calls: tuple[str, ...] = ()
    old_calls: tuple[str, ...] = ()

    @property
    def sector(self) -> SectorId:
        return self.row.sector

    @property
    def main(self) -> str:
        """The worker's method for the task itself."""
        return METHOD[self.row.type]

    @property
    def on_worker(self) -> bool:
        return self.row.phase in (Phase.BOUND, Phase.PREPARING, Phase.RUNNING)

    @property
    def copied(self) -> bool:
        """The fetch of its files began before it was bound: it brings, or has brought, a copy."""
        sent, bound = self.row.fetch_sent_at, self.row.bound_at
        return sent is not None and (bound is None or sent < bound)

    @property
    def fetching(self) -> bool:
        """Its files are being brought."""
        return bool(self.row.fetch) and self.row.fetched_at is None and self.row.phase is not Phase.RUNNING

    @property
    def prepared(self) -> bool:
        """Its files are there, and it waits for its turn."""
        return self.turn is not None and not self.turn.is_set()

    @property
    def shown(self) -> TaskType:
        """As which task it is listed."""
        return TaskType.FETCH if self.fetching else self.row.type

    async def answer(self, seconds: float) -> bool:
        """Wait for the answer that is awaited just now; whether it has come in time."""
        if self.answered is not None:
            try:
                await asyncio.wait_for(self.answered.wait(), seconds)
            except TimeoutError:
                return False
        return True

    def set(self, **changes: object) -> None:
        self.row = replace(self.row, **changes)  # type: ignore[arg-type]
