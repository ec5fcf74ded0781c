"""What the miner's daemon does on SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Final

from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.errors import UserError

from .context import Miner
from .reload import reload

_config_log: Final = logs.get("config")


@contextlib.contextmanager
def stop_signals(stop: asyncio.Event, caught: list[str]) -> Iterator[None]:
    """While it lasts, SIGINT and SIGTERM set ``stop``; ``caught`` gets the signals' names, as Lotus logs them."""
    loop = asyncio.get_running_loop()
    names = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated"}

    def on(name: str) -> None:
        caught.append(name)
        stop.set()

    for number, name in names.items():
        loop.add_signal_handler(number, on, name)
    try:
        yield
    finally:
        for number in names:
            loop.remove_signal_handler(number)


class Hangup:
    """SIGHUP reads config.toml again. Before the miner serves it waits for that, and when it stops it does nothing:
    a reload that comes too early or too late must not end the process, as an unhandled SIGHUP would."""

    def __init__(self) -> None:
        self._miner: Miner | None = None
        self._waits = False

    def __enter__(self) -> Hangup:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    def serves(self, miner: Miner) -> None:
        self._miner = miner
        if self._waits:
            self._on()

    def ends(self) -> None:
        self._miner, self._waits = None, False

    def _on(self) -> None:
        if self._miner is None:
            self._waits = True
            return
        try:
            reload(self._miner, self._miner.environ)
        except UserError as e:
            _config_log.error(f"config.toml read again, nothing changed: {e}")
