"""A few hands for many small jobs: ten thousand sectors that all wake at once must not become ten thousand tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from lotus_sched_cli.lotus import logs

log = logs.get("sectors")

Job = Callable[[], Awaitable[Any]]


class Pool:
    """Runs jobs in the order of ``put``, at most ``hands`` at once. A job's error is logged and stops nobody."""

    def __init__(self, name: str, hands: int) -> None:
        self._name = name
        self._hands = hands
        self._jobs: deque[Job] = deque()
        self._at_work: set[asyncio.Task[None]] = set()
        self._closed = False

    def put(self, job: Job) -> None:
        if self._closed:
            return
        self._jobs.append(job)
        if len(self._at_work) < self._hands:
            hand = asyncio.create_task(self._work(), name=self._name)
            self._at_work.add(hand)
            hand.add_done_callback(self._at_work.discard)

    @property
    def busy(self) -> bool:
        return bool(self._jobs or self._at_work)

    async def idle(self) -> None:
        """Until there is nothing to do."""
        while self._at_work:
            await asyncio.wait(self._at_work)
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Drop what waits, break off what runs."""
        self._closed = True
        self._jobs.clear()
        for hand in self._at_work:
            hand.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)

    async def _work(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            try:
                await job()
            except Exception as error:
                log.error(f"{self._name}: {error}", exc=error)
