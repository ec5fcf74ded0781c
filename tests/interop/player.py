"""Plays a scenario's requests to our program, in their order and side by side where they were, and holds the answers.

A request goes out when everything that the recorded farm had been answered before it has been answered here too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from lotus_sched_cli.miner.daemon import VERSION

from .compare import NIL, fits, same
from .compare import told as told_by_lotus
from .mapping import Mapping
from .openrpc import undescribed
from .recording import Exchange

#: Methods whose values follow from what was asked and told before.
FOLLOWS = frozenset(
    {
        "ActorAddress", "ActorSectorSize", "AuthVerify", "StorageAuthVerify", "StorageInfo", "StorageFindSector",
        "StorageBestAlloc", "StorageList", "StorageLocal", "StorageTryLock", "PledgeSector",
        "SectorsList", "RuntimeSubsystems",
    }
)  # fmt: skip
#: Members of a sector that the recorded chain told, and how often it was tried.
OF_CHAIN = frozenset(
    {
        "SealProof", "Activation", "Expiration", "DealWeight", "VerifiedDealWeight", "InitialPledge", "OnTime", "Early", "Retries",
    }
)  # fmt: skip
#: Lists in random order, or in that of the free space at a moment that is on no wire.
UNORDERED = frozenset({"StorageFindSector", "StorageList", "StorageBestAlloc"})
THEIR_VERSION = b"v1.36.2-dev+2k+git.b835fab70"
#: How long an answer may take here, seconds; shapes are made in the same process meanwhile.
PATIENCE = 60.0
#: How long no answer may come where the recorded client left without one, seconds.
UNANSWERED = 1.0
_NOT_SENT = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """Our answer, in the recordings' words."""

    status: int
    headers: dict[str, str]
    body: bytes


class Player:
    """One client per recorded connection kind: HTTP by POST, WebSockets by connection."""

    def __init__(self, url: str, mapping: Mapping) -> None:
        self._url = url
        self._mapping = mapping
        # every command is a connection of its own; hundreds stay open in a scenario
        pool = aiohttp.TCPConnector(limit=0)
        patience = aiohttp.ClientTimeout(PATIENCE)
        self._http = aiohttp.ClientSession(connector=pool, auto_decompress=False, timeout=patience)
        self._sockets: dict[int, _Talk] = {}

    async def close(self) -> None:
        for talk in self._sockets.values():
            await talk.close()
        await self._http.close()

    async def play(
        self,
        asked: Iterable[Exchange],
        at: Callable[[Exchange], Awaitable[None]],
        differs: Callable[[Exchange, Heard], Iterable[str]],
    ) -> list[str]:
        """The differences, each with the exchange that it is of. What hangs is the last that is asked."""
        running: dict[asyncio.Task[list[str]], Exchange] = {}
        found: list[str] = []
        hanging: list[Exchange] = []

        async def one(e: Exchange) -> list[str]:
            try:
                heard = await self.ask(e)
            except TimeoutError:
                hanging.append(e)
                return [f"{_name(e)}: no answer in {PATIENCE:.0f} s, what comes after it was not asked"]
            except (aiohttp.ClientError, LookupError) as why:
                return [f"{_name(e)}: no answer ({why!r})"]
            if e.result is not None and "error" not in (told := _json(heard.body)):
                self._mapping.learn(e.method, e.result, told.get("result"))
            return [f"{_name(e)}: {text}" for text in differs(e, heard)]

        for e in asked:
            if hanging:
                break
            due = [task for task, other in running.items() if other.done <= e.t]
            if due:
                await asyncio.wait(due)
                for task in due:
                    del running[task]
                    found += task.result()
            await at(e)
            running[asyncio.create_task(one(e))] = e
            await asyncio.sleep(0)
        if running:
            for task in running:
                found += await task
        return found

    async def say(self, method: str, headers: dict[str, str], *params: object) -> None:
        """A call of the test's own."""
        body = {"jsonrpc": "2.0", "id": 1, "method": f"Filecoin.{method}", "params": params}
        async with self._http.post(self._url + "/rpc/v0", json=body, headers=headers) as answer:
            told = await answer.json()
        assert told.get("error") is None, told

    async def ask(self, e: Exchange) -> Heard:
        assert e.body is not None
        body = self._mapping.ours(e.body)
        if e.ws:
            talk = self._sockets.get(e.conn)
            if talk is None:
                talk = self._sockets[e.conn] = await _Talk.open(
                    self._http, self._url + self._path(e), self._headers(e)
                )
            waits = PATIENCE if e.answer is not None else UNANSWERED
            try:
                answer = await talk.ask(json.loads(body)["id"], body.decode(), waits)
            except TimeoutError:
                if e.answer is not None:
                    raise
                answer = b""
            return Heard(200, {}, self._mapping.theirs(answer))
        async with self._http.request(
            e.verb, self._url + self._path(e), data=body or None, headers=self._headers(e), allow_redirects=False,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
        ) as answer:  # fmt: skip
            got = await answer.read()
            names = {k.lower(): self._mapping.theirs(v.encode()).decode() for k, v in answer.headers.items()}
            return Heard(answer.status, names, self._mapping.theirs(got))

    def _path(self, e: Exchange) -> str:
        return self._mapping.ours(e.path.encode()).decode()

    def _headers(self, e: Exchange) -> list[tuple[str, str]]:
        kept = [(k, v) for k, v in e.headers if k.lower() not in _NOT_SENT]
        return [(k, self._mapping.ours(v.encode()).decode()) for k, v in kept]


class _Talk:
    """A WebSocket on which several calls wait for their answers."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._waiting: dict[Any, asyncio.Future[bytes]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, headers: list[tuple[str, str]]) -> _Talk:
        return cls(await http.ws_connect(url, headers=headers, max_msg_size=0))

    async def close(self) -> None:
        self._reader.cancel()
        await self._ws.close()

    async def ask(self, id_: Any, text: str, patience: float) -> bytes:
        answer = self._waiting[id_] = asyncio.get_running_loop().create_future()
        await self._ws.send_str(text)
        return await asyncio.wait_for(answer, patience)

    async def _read(self) -> None:
        async for message in self._ws:
            told = json.loads(message.data)
            waiting = self._waiting.pop(told.get("id"), None)
            if waiting is not None:
                waiting.set_result(message.data.encode())


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def differences(e: Exchange, heard: Heard) -> Iterator[str]:
    """How our answer differs from the recorded one; nothing if it does not."""
    if heard.status != e.status:
        yield f"status {heard.status}, Lotus has {e.status}: {heard.body[:300]!r}"
        return
    if not e.ws:
        yield from _headers(e, heard)
    if e.method and (e.status == 200 or e.error):
        yield from _rpc(e, heard)
    elif e.path.startswith("/remote/stat/") and e.status == 200:
        # free space is the machine's
        ours, theirs = json.loads(heard.body), json.loads(e.answer or b"null")
        if {k: type(v) for k, v in ours.items()} != {k: type(v) for k, v in theirs.items()}:
            yield f"{ours}, Lotus has {theirs}"
    elif e.answer is not None and _text(e):
        # which program it is, is said on purpose
        ours = heard.body.replace(VERSION.encode(), THEIR_VERSION)
        if ours != e.answer:
            yield from _bodies(ours, e.answer)


def _headers(e: Exchange, heard: Heard) -> Iterator[str]:
    """Names of all, values of those that follow. A length and chunks are both a body's framing."""

    def names(found: Iterable[str]) -> set[str]:
        return {"framing" if n in ("content-length", "transfer-encoding") else n for n in found}

    theirs = {k.lower(): v for k, v in e.answer_headers}
    if names(heard.headers) != names(theirs):
        yield f"headers {sorted(heard.headers)}, Lotus has {sorted(theirs)}"
    for name in ("content-type", "accept-ranges", "content-range", "x-content-type-options"):
        if heard.headers.get(name) != theirs.get(name):
            yield f"{name}: {heard.headers.get(name)}, Lotus has {theirs.get(name)}"


def _rpc(e: Exchange, heard: Heard) -> Iterator[str]:
    try:
        ours, theirs = json.loads(heard.body or b"null"), json.loads(e.answer or b"null")
    except ValueError:
        yield f"no JSON: {heard.body[:200]!r}"
        return
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        if ours != theirs:
            yield f"{heard.body[:200]!r}, Lotus has {(e.answer or b'')[:200]!r}"
        return
    if list(ours) != list(theirs):
        yield f"members {list(ours)}, Lotus has {list(theirs)}: {heard.body[:300]!r}"
        return
    if heard.body.endswith(b"\n") != (e.answer or b"").endswith(b"\n"):
        yield f"the line ends with {heard.body[-1:]!r}, Lotus's with {(e.answer or b'')[-1:]!r}"
    if ours["id"] != theirs["id"] or type(ours["id"]) is not type(theirs["id"]):
        yield f"id {ours['id']!r}, Lotus has {theirs['id']!r}"
    if e.error is not None:
        told = dict(ours["error"])
        if str(told["message"]).startswith(f"{e.error['message']}; "):
            # Lotus's text, and then what to do
            told["message"] = e.error["message"]
        yield from same(told, e.error, "error")
    elif "result" in theirs:
        result, recorded = ours["result"], theirs["result"]
        yield from sorted(undescribed(e.to, e.method, result))
        if e.method in ("Discover", "rpc.discover"):
            yield from _description(result, recorded)
        elif e.method in FOLLOWS:
            if e.method in UNORDERED:
                result, recorded = _sorted(result), _sorted(recorded)
            yield from same(result, recorded)
        elif recorded is None and e.method not in ("SectorsListInStates",):
            yield from same(result, None)
        else:
            yield from fits(result, told_by_lotus(e.to, e.method))
            if e.method == "WorkerJobs":
                yield from _jobs(result)
            elif e.method == "SectorsStatus" and _at_rest(result) == _at_rest(recorded):
                told = recorded | {name: result[name] for name in OF_CHAIN & result.keys()}
                yield from same(result, told)


def _at_rest(sector: dict[str, Any]) -> object:
    """State and history: a sector in which they are equal was laid as it was shown, and is to be shown as it was laid.

    Ours are committed capacity, so that those with deals or an update are not among them.
    """
    deals = [piece["DealInfo"] for piece in sector["Pieces"] or ()]
    history = [(line["Kind"], line["Timestamp"]) for line in sector["Log"] or ()]
    return sector["State"], history, any(deals), sector["ReplicaUpdateMessage"]


def _jobs(jobs: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """What goes together in Lotus's jobs (lotus-wire.md §8): state, CallID, session, and the host: Lotus names it where there is no session, we always do."""
    for session, job in ((session, job) for session, of in jobs.items() for job in of or ()):
        wait, call = job["RunWait"], job["ID"]["ID"]
        called, alone = wait <= 0, wait < 0
        if (call != NIL) != called or (session == NIL) != alone or not job.get("Hostname"):
            yield f"at RunWait {wait}: call {call}, session {session}, host {job.get('Hostname')!r}"


def _description(ours: Any, theirs: Any) -> Iterator[str]:
    """The outline; that methods and parameters are Lotus's is held in tests/lotus. Ours links to no source text."""
    if set(ours) != set(theirs):
        yield f"members {sorted(ours)}, Lotus has {sorted(theirs)}"
    outline = set(theirs["methods"][0]) - {"externalDocs"}
    for method in ours["methods"]:
        if set(method) != outline:
            yield f"{method['name']}: members {sorted(method)}, Lotus has {sorted(outline)}"


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(v) if isinstance(v, list) else v for k, v in value.items()}
    return sorted(value, key=lambda v: json.dumps(v, sort_keys=True)) if isinstance(value, list) else value


def _text(e: Exchange) -> bool:
    kind = e.answer_header("Content-Type") or ""
    return (
        (kind.startswith("text/plain") and "version=" not in kind)
        or not e.answer
        or e.path.startswith("/rpc")
    )


def _bodies(ours: bytes, theirs: bytes) -> Iterator[str]:
    try:
        a, b = json.loads(ours), json.loads(theirs)
    except ValueError:
        a = b = None
    if a is None or b is None:
        yield f"body {ours[:200]!r}, Lotus has {theirs[:200]!r}"
    else:
        yield from same(a, b)


def _name(e: Exchange) -> str:
    shown = json.dumps(e.params)[:120] if e.method else e.path[:120]
    return f"{e.scenario} {e.sender}→{e.to} {e.label} {shown}"


@asynccontextmanager
async def playing(url: str, mapping: Mapping) -> AsyncIterator[Player]:
    player = Player(url, mapping)
    try:
        yield player
    finally:
        await player.close()
