"""A worker played from the recordings: what the recorded one last said of itself, and a CallID for whatever work comes.

Work on sectors comes when our miner wants it; but AddPiece and DataCid when a client does, and then the recorded CallID fits
the Return that follows.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import web

from lotus_sched_cli.lotus.methods import RETURN_OF

from .mapping import Mapping
from .recording import Exchange, timeline


@dataclass
class StandInWorker:
    """``name`` is the recorded program; ``now`` the recording's time, which the player moves on."""

    name: str
    mapping: Mapping
    now: float = 0.0
    #: Its process is gone.
    dead: bool = False
    asked: list[tuple[str, Any]] = field(default_factory=list)
    #: The CallIDs that it gave out.
    given: set[str] = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _data_cids: Iterator[Exchange] = field(default_factory=lambda: iter(()))

    async def start(self) -> None:
        begin = self.now
        self._data_cids = (e for e in self._answers() if e.method == "DataCid" and e.t >= begin)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/rpc/v0", self._rpc)
        app.router.add_get("/remote/stat/{id}", self._stat)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.mapping.ports[self.name] = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.mapping.ports[self.name]}/rpc/v0"

    def tasks(self) -> set[str]:
        """The types of task that it says it takes."""
        said = self._said("TaskTypes")
        return set(said.result or ()) if said is not None else set()

    async def _rpc(self, request: web.Request) -> web.Response:
        call = json.loads(await request.read())
        method = call["method"].removeprefix("Filecoin.")
        self.asked.append((method, call["params"]))
        answer: dict[str, Any] = {"id": call["id"], "jsonrpc": "2.0"}
        if method in RETURN_OF and method != "DataCid":
            sector = call["params"][0]["ID"]
            added = _added().get(sector["Number"]) if method == "AddPiece" else None
            answer["result"] = {"Sector": sector, "ID": added or str(uuid.uuid4())}
            self.given.add(answer["result"]["ID"])
        elif (said := self._said(method)) is None:
            answer["error"] = {"code": 1, "message": f"{method} was never recorded"}
        else:
            answer |= {"error": said.error} if said.error else {"result": said.result}
        return web.Response(
            body=self.mapping.ours(json.dumps(answer).encode()), content_type="application/json"
        )

    async def _stat(self, request: web.Request) -> web.Response:
        if self.dead and request.transport is not None:
            request.transport.close()
        said = self._last(lambda e: e.path == f"/remote/stat/{request.match_info['id']}")
        return web.Response(status=said.status if said else 404, body=said.answer if said else b"")

    def _said(self, method: str) -> Exchange | None:
        if method == "DataCid":
            return next(self._data_cids, None)
        return self._last(lambda e: e.method == method)

    def _answers(self) -> Iterator[Exchange]:
        for e in timeline():
            if (e.sender, e.to) == ("miner", self.name) and e.status in (200, 404):
                yield e

    def _last(self, wanted: Any) -> Exchange | None:
        """The last answer up to now; before the first one, the first."""
        found = [e for e in self._answers() if wanted(e)]
        past = [e for e in found if e.t <= self.now + 0.5]
        return past[-1] if past else found[0] if found else None


@cache
def _added() -> dict[int, str]:
    """Sector number → CallID of its first AddPiece, which follows its pledge."""
    asked = [e for e in timeline() if e.sender == "miner" and e.method == "AddPiece" and e.result]
    return {e.params[0]["ID"]["Number"]: e.result["ID"] for e in reversed(asked)}
