"""Recordings, and a server with a small implementation behind it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import recordings
from aiohttp import web

from lotus_sched_cli.lotus import auth, methods, types
from lotus_sched_cli.lotus.rpc import server as rpc
from lotus_sched_cli.lotus.rpc.streams import Reader

SECRET = bytes(range(32))


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of recordings; skipped without it, but not in CI."""
    return recordings.need("wire").parent


def records(path: Path) -> Iterator[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def rpc_pairs(record: dict[str, Any]) -> tuple[str, str, str] | None:
    """(peer, request text, answer text) of a recorded call over HTTP or WebSocket."""
    if record["kind"] == "http" and record["path"].startswith("/rpc/v0"):
        pair = record.get("request_body"), record.get("response_body")
    elif record["kind"] == "ws-call":
        pair = record["request"], record["response"]
    else:
        return None
    if not all(isinstance(text, str) for text in pair):
        return None
    return record["to"], *pair


class FakeMiner:
    """Enough methods to see the wire by."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def Version(self) -> types.APIVersion:
        self.seen.append("Version")
        return types.APIVersion("v1.36.2-dev+simulated", types.MINER_API_VERSION, 30)

    async def ActorAddress(self) -> str:
        return "t01000"

    async def AuthVerify(self, token: str) -> list[str]:
        try:
            return auth.verify(SECRET, token)
        except auth.TokenError as error:
            raise rpc.RpcError(1, str(error)) from None

    async def SectorsStatus(self, number: int, on_chain: bool) -> types.SectorInfo:
        if number == 99:
            raise rpc.RpcError(1, "No state for /99: datastore: key not found")
        return types.SectorInfo(SectorID=number, LastErr="a <b> & c\u2028")

    async def StorageBestAlloc(self, file_types: int, size: int, path_type: str, miner: int) -> Any:
        if path_type not in ("sealing", "storage"):
            raise ValueError(f"unexpected pathType: {path_type}")
        return []

    async def StorageRedeclareLocal(self, storage_id: str | None, drop: bool) -> None:
        self.seen.append((storage_id, drop))

    async def StorageLock(self, sector: types.SectorID, read: int, write: int) -> None:
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def WorkerStats(self) -> dict[str, types.WorkerStats]:
        return {}

    async def WorkerConnect(self, url: str) -> None:
        self.seen.append((url, rpc.caller()))

    async def ReturnSealCommit1(
        self, call: types.CallID, out: bytes | None, err: types.CallError | None
    ) -> None:
        self.seen.append((call, len(out or b""), err))

    async def ComputeDataCid(self, size: int, reader: Reader) -> types.PieceInfo:
        data = b""
        while len(data) < size and (chunk := await reader.read(size - len(data))):
            data += chunk
        await reader.close()
        self.seen.append(data)
        return types.PieceInfo(len(data), None)

    async def Closing(self) -> None:
        return None


class Running:
    """A server on a port of its own."""

    def __init__(self, miner: Any, server: rpc.RpcServer, port: int) -> None:
        self.miner = miner
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}/rpc/v0"
        self.token = auth.sign(SECRET, auth.ALL)


async def start(
    miner: Any, table: methods.Table = methods.MINER, **options: Any
) -> tuple[Running, web.AppRunner]:
    server = rpc.RpcServer(table, miner, auth.LocalVerifier(SECRET), methods.MINER_ALIASES, **options)
    app = web.Application()
    server.attach(app, grace=0)
    app.router.add_route("*", "/{path:.*}", rpc.not_found)
    runner = web.AppRunner(app, access_log=None, lingering_time=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return Running(miner, server, runner.addresses[0][1]), runner


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    got, runner = await start(FakeMiner())
    yield got
    await runner.cleanup()
