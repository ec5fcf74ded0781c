"""Signals, and waits that a signal ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TypeVar

from lotus_sched_cli.lotus.errors import UserError

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM or SIGHUP sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T:
    """The work's result. A stop meanwhile ends it and raises UserError with Lotus's text."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise UserError("Interrupted by user")
        return task.result()
    finally:
        stopped.cancel()
        await end(task)


async def end(task: asyncio.Future[Any]) -> None:
    """Cancel and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
