"""The miner's API: one class per noun, put together here. Methods carry Lotus's names."""

from __future__ import annotations

import asyncio

from lotus_sched_cli.miner.context import Miner

from .common import CommonAPI
from .datacid import DataCidAPI
from .explain import ExplainAPI
from .returns import ReturnsAPI
from .sealing import SealingAPI
from .sectors import SectorsAPI
from .storage import StorageAPI

__all__ = ["MinerAPI"]


class MinerAPI(CommonAPI, StorageAPI, SealingAPI, ExplainAPI, ReturnsAPI, SectorsAPI, DataCidAPI):
    """What an RpcServer serves for a miner. ``bind`` gives it the running parts, which need it themselves."""

    def __init__(self) -> None:
        self._miner: Miner
        self._pledging = asyncio.Lock()

    def bind(self, miner: Miner) -> None:
        self._miner = miner
