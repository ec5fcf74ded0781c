"""Us as the client: what our miner asks a stock worker, and our worker a stock miner, is what Lotus's own asked."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

from .peers import StockMiner
from .recording import Exchange, exchanges, need, timeline
from .tap import Heard, Taps
from .test_mixed_farm import stock_worker
from .test_stock_miner import Worker, miner, worker  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.captures, pytest.mark.slow]

#: The one header that is ours: a file is written as it comes, so nobody may compress it on the way.
PLAIN_FILES = {"Accept-Encoding": "identity"}


def recorded(side: str, to: str) -> list[Exchange]:
    """What Lotus's miner or workers asked, over HTTP."""
    return [e for e in timeline() if not e.ws and e.sender.startswith(side) and e.to.startswith(to)]


def shape(value: Any) -> Any:
    """Member names and JSON types; what a list has, once."""
    if isinstance(value, dict):
        return tuple(sorted((name, shape(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("list", *sorted({str(shape(item)) for item in value}))
    return "number" if type(value) in (int, float) else type(value).__name__


def strangers(heard: Iterable[Heard], known: list[Exchange]) -> Counter[str]:
    """Requests that no stock program made: an unknown method or path, parameters of another shape, other headers."""
    shapes = {(e.method, str(shape(e.params))) for e in known if e.method}
    paths = {(e.label, query_of(e.path)) for e in known if not e.method}
    headers = {(e.label if not e.method else "rpc", headers_of(dict(e.headers))) for e in known}
    members = {tuple(json.loads(e.body or b"{}")) for e in known if e.method}
    found: Counter[str] = Counter()
    for h in heard:
        if h.method:
            asked = (h.method, str(shape(h.call["params"])))
            if asked not in shapes:
                found[f"parameters: {asked}"] += 1
            if tuple(h.call) not in members:
                found[f"members: {tuple(h.call)}"] += 1
            assert type(h.call["id"]) is int
            assert set(h.call["meta"]) == {"SpanContext"} and len(h.call["meta"]["SpanContext"]) == 40
        elif (h.label, query_of(h.path)) not in paths:
            found[f"path: {h.verb} {h.path}"] += 1
        told = dict(h.headers)
        if h.path.startswith("/remote/") and not h.path.startswith("/remote/stat/"):
            assert told.items() >= PLAIN_FILES.items()
            told["Accept-Encoding"] = "gzip"
        kind = "rpc" if h.method else h.label
        if (kind, headers_of(told)) not in headers:
            found[f"headers of {kind}: {headers_of(told)}"] += 1
    return found


def headers_of(headers: dict[str, str]) -> str:
    """Names, and the values that say no address, length or token."""
    own = {"Host": "", "Content-Length": "", "Authorization": headers.get("Authorization", "")[:7]}
    return str(sorted((headers | {k: v for k, v in own.items() if k in headers}).items()))


def query_of(path: str) -> str:
    """``keep=ID.ID`` without which."""
    return re.sub(r"[0-9a-f-]{36}", "ID", path.partition("?")[2])


@pytest.fixture
async def taps(farm: Farm) -> AsyncIterator[Taps]:
    """Our miner, with a tap before it and before each of its workers."""
    need()
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    await asyncio.to_thread(farm.miner)
    url, _ = farm.endpoint()
    async with Taps(url.removesuffix("/rpc/v0")) as taps:
        yield taps


async def test_our_miner_asks_stock_workers_what_lotuss_miner_asks_them(farm: Farm, taps: Taps) -> None:
    for name in ("stock-1", "stock-2"):
        await asyncio.to_thread(stock_worker, farm, name, "-work", "20ms", miner=f"{taps.url}/rpc/v0")
    for _ in range(4):
        await asyncio.to_thread(farm.call, "PledgeSector")
    await asyncio.to_thread(farm.wait_for, farm.all_proving(4), 60, "four sectors to prove")

    tokens = {h.headers["Authorization"] for h in taps.calls() if h.method}
    heard = [
        h for h in taps.calls() if h.headers["Authorization"] in tokens
    ]  # not a stock worker's at another
    assert strangers(heard, recorded("miner", "worker")) == Counter()
    stock = [e.method for e in exchanges("s02-worker-start") if e.sender == "miner" and e.method]
    for host in {h.to for h in heard}:
        assert [h.method for h in heard if h.to == host and h.method][:4] == stock[:4]
    assert work(heard, 0) == stock_work(2)


def work(heard: Iterable[Heard], number: int) -> list[str]:
    """The calls of a sector, in order, without those that bring files where they lie already."""
    return [h.method for h in heard if h.method and sector_of(h.call["params"]) == number and done(h.method)]


def stock_work(number: int) -> list[str]:
    return [
        e.method
        for e in exchanges("s04-pledge-to-proving")
        if e.sender == "miner" and e.method and sector_of(e.params) == number and done(e.method)
    ]


def done(method: str) -> bool:
    return method not in ("Fetch", "MoveStorage")


def sector_of(params: Any) -> int | None:
    first = params[0] if params else None
    return first["ID"]["Number"] if isinstance(first, dict) and "ID" in first else None


async def test_our_worker_asks_a_stock_miner_what_lotuss_workers_ask_it(
    miner: StockMiner,  # noqa: F811
    worker: Worker,  # noqa: F811
    tmp_path: Path,
) -> None:
    need()
    async with Taps(miner.url.removesuffix("/rpc/v0")) as taps:
        port = taps.url.rpartition(":")[2]
        worker.start(environ={"MINER_API_INFO": f"{miner.token}:/ip4/127.0.0.1/tcp/{port}/http"}, heartbeat=1)
        await worker.connected()
        await worker.tell("seal 0")
        await taps.until("StorageReportHealth", 20)
        heard = taps.calls("miner")
        assert strangers(heard, recorded("worker", "miner")) == Counter()
        stock = [
            e.method
            for e in exchanges("s02-worker-start")
            if e.sender == "worker-1" and e.method != "AuthVerify"
        ]
        assert [h.method for h in heard if h.method != "AuthVerify"][: len(stock[:8])] == stock[:8]


async def test_files_go_between_hosts_by_the_calls_that_lotus_makes(farm: Farm, taps: Taps) -> None:
    port, token = taps.url.rpartition(":")[2], farm.endpoint()[1]
    env = {"MINER_API_INFO": f"{token}:/ip4/127.0.0.1/tcp/{port}/http"}
    settings = sealer(farm, AP=0.05, PC1=0.05, PC2=0.05, C1=0.05, C2=0.05, FIN=0.05)
    for name, tasks in {
        "first": ("--precommit2=false", "--commit=false"),
        "second": ("--addpiece=false", "--precommit1=false", "--unseal=false"),
    }.items():
        flags = (*tasks, "--sealer", "simulated", "--sealer-config", settings)
        await asyncio.to_thread(farm.worker, name, *flags, env=env)
    await asyncio.to_thread(farm.call, "PledgeSector")
    await asyncio.to_thread(farm.wait_for, farm.all_proving(1), 60, "the sector to prove")

    heard = taps.calls()
    assert strangers(heard, recorded("miner", "worker") + recorded("worker", "worker")) == Counter()
    ours = [(h.method, moved(h)) for h in heard if sector_of(h.call.get("params")) == 0]
    lotus = [
        (e.method, e.params[1:] if e.method == "Fetch" else [])
        for e in exchanges("s04-pledge-to-proving")
        if e.sender == "miner" and sector_of(e.params) == 2
    ]
    assert ("Fetch", [6, "sealing", "move"]) in ours
    assert is_part(ours, lotus), (ours, lotus)  # Lotus fetches what is there already, too
    files = [(h.label, h.path.split("/")[2]) for h in heard if h.path.startswith("/remote/s")]
    assert files[:2] == [("GET /remote/sealed", "sealed"), ("DELETE /remote/sealed", "sealed")]


def moved(h: Heard) -> Any:
    return h.call["params"][1:] if h.method == "Fetch" else []


def is_part(some: list[Any], all_: list[Any]) -> bool:
    """Whether all of ``some`` stand in ``all_``, in this order."""
    rest = iter(all_)
    return all(item in rest for item in some)
