"""Malformed requests over real HTTP, seeded from the recordings, against our miner and worker: nothing breaks.

100,000 of them with ``-m slow``; a slice of 3,000 in the quick suite.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN

from .recording import Exchange, need, timeline

pytestmark = pytest.mark.captures

#: Statuses that Lotus gives.
LOTUS = frozenset({200, 204, 206, 302, 400, 401, 404, 405, 416, 417, 500})
MOST_GROWTH = 50 << 20
AT_ONCE = 8
BITS = (
    b"null", b"[]", b"{}", b'""', b"-1", b"1e400", b"\xff", b"\xed\xa0\x80", b'"\\ud800"', b"NaN", b'"a":', b",", b"[" * 60,
    b"9" * 400, b"\x00", b"\r\n\r\n", b"18446744073709551616", b'"=="', b"../../", b"%2e%2e%2f", b"%00", b"s-t01000-", b"\r\n",
)  # fmt: skip
#: Would change what the test stands on.
_LEFT_ALONE = (
    b"Shutdown",
    b"StorageDetach",
    b"StorageAddLocal",
    b"AuthNew",
    b"SetEnabled",
    b"LogSetLevel",
    b"WaitQuiet",
    b"StorageLock",
)
TRAVERSALS = (
    "/remote/sealed/../../etc/passwd", "/remote/sealed/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/remote/cache/s-t01000-1/../../../token",
    "/remote/../token", "//remote/sealed/s-t01000-1", "/remote/sealed/s-t01000-1%00", "/remote/stat/../../../etc/passwd",
)  # fmt: skip


def seeds(side: str) -> list[Exchange]:
    """One recorded request of each kind, small ones."""
    found: dict[tuple[str, int], Exchange] = {}
    for e in timeline():
        small = e.body is not None and len(e.body) < 4000 and not any(m in e.body for m in _LEFT_ALONE)
        if (e.to == "miner") == (side == "miner") and small and not e.ws and "/streams/" not in e.path:
            found.setdefault((e.label, e.status), e)
    return list(found.values())


def mangled(chance: random.Random, e: Exchange, token: str) -> bytes:
    """The bytes of a request with something wrong: in its body, headers, method, path, ids, types or ranges."""
    body = bytearray(e.body or b"")
    path = bytearray(e.path.encode())
    verb = e.verb.encode()
    headers = [b"Host: x", b"Authorization: Bearer " + token.encode(), b"Content-Type: application/json"]
    for _ in range(chance.randint(1, 3)):
        match chance.randrange(8):
            case 0 | 1 | 2 if body:
                _spoil(chance, body)
            case 3:
                _spoil(chance, path)
            case 4:
                path[:] = chance.choice(TRAVERSALS).encode()
            case 5:
                verb = chance.choice(
                    (b"GET", b"POST", b"HEAD", b"DELETE", b"PUT", b"OPTIONS", b"PATCH", b"get")
                )
            case 6:
                headers.append(
                    b"Range: bytes="
                    + chance.choice((b"0-", b"-1", b"9-2", b"x", b"1-2,5-9", b"9" * 40 + b"-"))
                )
            case _:
                headers[chance.randrange(1, 3)] = chance.choice(
                    (b"Authorization: Bearer " + b"e" * 300, b"Authorization: Basic x", b"Content-Type: multipart/form-data",
                     b"X: " + b"y" * 5000, b"Expect: nothing", b"Content-Encoding: gzip", b"Accept-Encoding: \xff")
                )  # fmt: skip
    clean = bytes(b for b in path if b > 32 and b != 127) or b"/"
    length = len(body) if chance.random() < 0.97 else chance.choice((0, 1, -1, len(body) - 1))
    return (
        verb
        + b" "
        + clean
        + b" HTTP/1.1\r\n"
        + b"\r\n".join(headers)
        + b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % length
        + bytes(body)
    )


def _spoil(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data) + 1)
    match chance.randrange(4):
        case 0:
            data[at:at] = chance.choice(BITS)
        case 1:
            del data[at : at + chance.randint(1, 12)]
        case 2:
            data[at : at + chance.randint(1, 8)] = chance.choice(BITS)
        case _:
            data[at : at + 1] = bytes([chance.randrange(256)])


async def send(port: int, request: bytes) -> tuple[int, bytes]:
    """Status and body; status 0 where the connection was closed without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(1 << 22), 30)
        while more := await asyncio.wait_for(reader.read(1 << 22), 30):
            answer += more
    except ConnectionError:
        return 0, b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split(b" ", 2)[1]) if head else 0), body


def faults(status: int, body: bytes) -> Iterator[str]:
    if status and status not in LOTUS:
        yield f"status {status}"
    if status == 500 and body.startswith(b"{"):
        code = json.loads(body)["error"]["code"]
        if code not in (-32700, -32601, -32602, 0):
            yield f"status 500 with code {code}"
    if b"Traceback" in body:
        yield "a traceback"


async def fuzz(port: int, token: str, kinds: list[Exchange], count: int, seed: int) -> list[str]:
    chance, found = random.Random(seed), list[str]()
    requests = iter(range(count))

    async def one() -> None:
        for _ in requests:
            request = mangled(chance, chance.choice(kinds), token)
            status, body = await send(port, request)
            found.extend(f"{fault}: {request[:300]!r} → {body[:200]!r}" for fault in faults(status, body))

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return found


def outside(folder: Path) -> dict[str, int]:
    """Everything that is no storage path and no file of the running programs, with its size."""
    own = ("log", "db", "db-wal", "db-shm", "storage.json")
    kinds = ("unsealed", "sealed", "cache", "update", "update-cache", "piece")
    return {
        str(p): p.stat().st_size
        for p in folder.rglob("*")
        if p.is_file()
        and not p.name.endswith(own)
        and not any(k in p.parts for k in kinds)
        and "calls" not in str(p)
    }


@asynccontextmanager
async def target(farm: Farm, side: str) -> AsyncIterator[tuple[int, str, psutil.Process]]:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    proc = farm.miner()
    url, token = farm.endpoint()
    port = int(url.split(":")[2].split("/")[0])
    if side == "worker":
        (farm.root / "quick.toml").write_text("speed = 1e9\n")
        proc = farm.worker("w1", "--sealer", "simulated", "--sealer-config", str(farm.root / "quick.toml"))
        port = int((farm.root / "w1" / "api").read_text().split("/")[4])
    assert proc.popen is not None
    yield port, token, psutil.Process(proc.popen.pid)
    assert proc.alive, proc.tail()


async def run(farm: Farm, side: str, count: int) -> None:
    need()
    async with target(farm, side) as (port, token, process):
        kinds = seeds(side)
        found = await fuzz(port, token, kinds, min(count, 1000), 1)
        before, files = process.memory_info().rss, outside(farm.root)
        found += await fuzz(port, token, kinds, count - min(count, 1000), 2)
        grown = process.memory_info().rss - before
        assert not found, f"{len(found)} faults:\n" + "\n".join(found[:20])
        assert grown < MOST_GROWTH, f"memory grew by {grown >> 20} MiB"
        with contextlib.suppress(KeyError):
            print(
                f"{side}: {count} requests, memory grew by {grown / (1 << 20):.1f} MiB",
                os.environ["FUZZ_SAYS"],
            )
        assert outside(farm.root) == files
        assert not Path("/tmp/s-t01000-1").exists()


@pytest.mark.parametrize("side", ["miner", "worker"])
async def test_a_slice_of_malformed_requests(farm: Farm, side: str) -> None:
    await run(farm, side, 1500)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["miner", "worker"])
async def test_a_hundred_thousand_malformed_requests(farm: Farm, side: str) -> None:
    await run(farm, side, 50_000)
