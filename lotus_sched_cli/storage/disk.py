"""Threads of one storage path, so that a disk that hangs holds up nobody but those who wait for it.

The standard pool is joined when the process ends and would never end with a dead NFS mount; these are daemons.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class DiskThreads:
    """Runs blocking calls on one path: short ones in a few shared threads, long ones in a thread each."""

    def __init__(self, name: str, limit: int = 4) -> None:
        self._name = name
        self._limit = limit
        self._threads = 0
        self._pending = 0
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """A short call (stat, rename, mkdir). Cancelling stops the waiting, not the call."""
        job = _Job(call, args)
        self._pending += 1
        if self._pending > self._threads and self._threads < self._limit:
            self._threads += 1
            threading.Thread(target=self._work, name=f"disk {self._name}", daemon=True).start()
        job.future.add_done_callback(self._one_less)
        self._jobs.put(job)
        result: T = await job.future
        return result

    async def long(self, call: Callable[..., T], *args: Any) -> T:
        """A long call (a transfer, removing a tree) in a thread of its own."""
        job = _Job(call, args)
        threading.Thread(target=job, name=f"long {self._name}", daemon=True).start()
        result: T = await job.future
        return result

    def close(self) -> None:
        """Lets the idle threads end. A call that comes later (work that cleans up on a detached path) gets a new one."""
        threads, self._threads = self._threads, 0
        for _ in range(threads):
            self._jobs.put(None)

    def _one_less(self, _: asyncio.Future[Any]) -> None:
        self._pending -= 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class _Job:
    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._call = call
        self._args = args
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def __call__(self) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = self._call(*self._args)
        except BaseException as err:
            error = err
        try:
            self._loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:
            pass  # the loop is gone, and with it whoever asked

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
