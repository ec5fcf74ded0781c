"""Checking the tokens of those who call this worker: the miner says what they may do.

Source: Lotus ``cli/worker/worker.go`` (the worker has no secret of its own and asks for each request).
"""

from __future__ import annotations

from lotus_sched_cli.lotus.rpc.client import Caller

#: A farm uses a handful of tokens; whoever sends made-up ones shall not fill the memory.
_MOST = 64


class MinerVerifier:
    """An RpcServer's ``verify``. With our miner good answers are remembered while its process is the same one: its
    secret cannot change in between, and a farm's heartbeats ask half as often. A stock miner is asked each time."""

    def __init__(self, miner: Caller, *, remember: bool) -> None:
        self._miner = miner
        self._remember = remember
        self._good: dict[str, frozenset[str]] = {}

    async def __call__(self, token: str) -> list[str]:
        """Raises what the miner's ``AuthVerify`` raises."""
        perms: list[str] = await self._miner.call("AuthVerify", token, result=list[str])
        if self._remember and len(self._good) < _MOST:
            self._good[token] = frozenset(perms)
        return perms

    def cached(self, token: str) -> frozenset[str] | None:
        return self._good.get(token)

    def forget(self) -> None:
        """The miner is another process now."""
        self._good.clear()
