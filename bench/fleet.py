"""A fleet of rehearsed stock workers in one process: they register, heartbeat, finish AddPiece and sit on PreCommit1.

``python -m bench.fleet URL TOKEN COUNT SIZE`` prints ``ready`` once all are registered and runs until it is ended.
It seals nothing: it only loads a miner as so many workers would.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import Any

import aiohttp
from aiohttp import web

ZERO_PIECE_2KIB = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy"
TASKS = (
    "addpiece",
    "precommit/1",
    "precommit/2",
    "commit/1",
    "commit/2",
    "finalize",
    "fetch",
    "finalizeunsealed",
)
PIB = 1 << 50


class Rehearsed:
    """One worker that answers at once and never computes."""

    def __init__(self, number: int, miner: Miner) -> None:
        self.number = number
        self.miner = miner
        self.session = str(uuid.uuid4())
        self.path_id = str(uuid.uuid4())
        self.port = 0
        self.jobs: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 27)
        app.router.add_post("/rpc/v0", self.serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        storage = {
            "ID": self.path_id, "URLs": [f"{self.url}/remote"], "Weight": 10, "MaxStorage": 0, "CanSeal": True,
            "CanStore": False, "Groups": None, "AllowTo": None, "AllowTypes": None, "DenyTypes": None,
            "AllowMiners": None, "DenyMiners": None,
        }  # fmt: skip
        await self.miner.call("StorageAttach", storage, self.stat())
        await self.miner.call("WorkerConnect", f"{self.url}/rpc/v0")
        self.spawn(self.heartbeat())

    def stat(self) -> dict[str, int]:
        return {"Capacity": PIB, "Available": PIB, "FSAvailable": PIB, "Reserved": 0, "Max": 0, "Used": 0}

    async def heartbeat(self) -> None:
        while True:
            await asyncio.sleep(10)
            await self.miner.call("Session")
            await self.miner.call("StorageReportHealth", self.path_id, {"Stat": self.stat(), "Err": ""})

    def spawn(self, work: Any) -> None:
        job = asyncio.create_task(work)
        self.jobs.add(job)
        job.add_done_callback(self.jobs.discard)

    async def serve(self, request: web.Request) -> web.Response:
        ask = json.loads(await request.read())
        result = self.answer(ask["method"].removeprefix("Filecoin."), ask.get("params") or [])
        return web.json_response({"id": ask["id"], "jsonrpc": "2.0", "result": result})

    def answer(self, method: str, params: list[Any]) -> Any:
        match method:
            case "Version":
                return 67328
            case "Session" | "ProcessSession":
                return self.session
            case "Info":
                gib = 1 << 30
                hardware = {
                    "MemPhysical": 256 * gib,
                    "MemUsed": gib,
                    "MemSwap": 0,
                    "MemSwapUsed": 0,
                    "CPUs": 64,
                }
                return {
                    "Hostname": f"rehearsed-{self.number:04d}", "IgnoreResources": False,
                    "Resources": {**hardware, "GPUs": ["Rehearsed"], "Resources": None},
                }  # fmt: skip
            case "TaskTypes":
                return {f"seal/v0/{task}": {} for task in TASKS}
            case "Paths":
                return [
                    {
                        "ID": self.path_id,
                        "Weight": 10,
                        "LocalPath": "/rehearsed",
                        "CanSeal": True,
                        "CanStore": False,
                    }
                ]
            case _:
                call = {"Sector": params[0]["ID"], "ID": str(uuid.uuid4())}
                if method == "AddPiece":
                    self.spawn(self.add_piece(call, params[0]["ID"]))
                return call

    async def add_piece(self, call: dict[str, Any], sector: dict[str, int]) -> None:
        await self.miner.call("StorageDeclareSector", self.path_id, sector, 1, False)
        piece = {"Size": 2048, "PieceCID": {"/": ZERO_PIECE_2KIB}}
        await self.miner.call("ReturnAddPiece", call, piece, None)


class Miner:
    """The miner as a client sees it."""

    def __init__(self, url: str, token: str, http: aiohttp.ClientSession) -> None:
        self.url, self.token, self.http = url, token, http

    async def call(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": f"Filecoin.{method}", "params": list(params)}
        async with self.http.post(
            self.url, json=body, headers={"Authorization": f"Bearer {self.token}"}
        ) as answer:
            reply = await answer.json(content_type=None)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]


async def main(url: str, token: str, count: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as http:
        miner = Miner(url, token, http)
        fleet = [Rehearsed(n, miner) for n in range(count)]
        for start in range(0, count, 20):
            await asyncio.gather(*(worker.start() for worker in fleet[start : start + 20]))
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
