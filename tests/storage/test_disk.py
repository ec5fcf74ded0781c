"""The threads of one storage path."""

from __future__ import annotations

import asyncio
import threading

from lotus_sched_cli.storage.disk import DiskThreads


async def test_work_that_cleans_up_after_its_path_was_detached_is_not_left_waiting() -> None:
    """``lotus-worker stop`` detaches the paths, then ends the work, which still removes its files."""
    threads = DiskThreads("data")
    assert await threads.run(lambda: 1) == 1
    threads.close()
    assert await asyncio.wait_for(threads.run(lambda: 2), 20) == 2


async def test_a_call_that_hangs_holds_up_no_other() -> None:
    threads = DiskThreads("data")
    hang = threading.Event()
    waiting = asyncio.create_task(threads.run(hang.wait))
    assert await asyncio.wait_for(threads.run(lambda: "free"), 20) == "free"
    hang.set()
    assert await waiting
    threads.close()
