"""Calls per second of our JSON-RPC server beside a bare aiohttp endpoint that answers the same JSON.

Both run in one process of their own each, the same load from this one, turn by turn, so that the ratio holds on a busy
machine. Prints one JSON line. Usage: ``python -m bench.rpc_server [--seconds 2] [--rounds 3] [--connections 16]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

from .rows import Row

TOKEN_SECRET = bytes(range(32))
PARAMS = [{"Miner": 1000, "Number": 15}, 6, 0, False]


def answer() -> list[dict[str, Any]]:
    """What both servers give: a sector found on two paths."""
    path = {
        "ID": "76f1988b-ef30-4d7e-b3ec-9a627f4ba5a8",
        "URLs": ["http://10.0.0.5:3456/remote/sealed/s-t01000-15"],
        "BaseURLs": ["http://10.0.0.5:3456/remote"],
        "Weight": 10,
        "CanSeal": True,
        "CanStore": False,
        "Primary": True,
        "AllowTypes": [],
        "DenyTypes": [],
        "AllowMiners": None,
        "DenyMiners": None,
    }
    return [path, path]


def serve(pipe: Connection, ours: bool) -> None:
    asyncio.run(_serve(pipe, ours))


async def _serve(pipe: Connection, ours: bool) -> None:
    from aiohttp import web

    app = web.Application()
    if ours:
        from lotus_sched_cli.lotus import auth, methods, types
        from lotus_sched_cli.lotus.rpc.server import RpcServer

        found = [types.SectorStorageInfo(**entry) for entry in answer()]

        class Impl:
            async def StorageFindSector(
                self, sector: Any, file_types: int, size: int, allow_fetch: bool
            ) -> Any:
                return found

        RpcServer(methods.MINER, Impl(), auth.LocalVerifier(TOKEN_SECRET)).attach(app)
    else:
        found_json = answer()

        async def handle(request: web.Request) -> web.Response:
            body = await request.json()
            return web.json_response({"id": body["id"], "jsonrpc": "2.0", "result": found_json})

        app.router.add_post("/rpc/v0", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pipe.send(runner.addresses[0][1])
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await runner.cleanup()


async def load(port: int, token: str, seconds: float, connections: int) -> tuple[float, float]:
    """Calls per second and the 99th percentile of a call in ms, over raw sockets so that the client costs little."""
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "Filecoin.StorageFindSector",
            "params": PARAMS,
            "meta": {"SpanContext": "AAAB"},
        }
    ).encode()
    request = (
        b"POST /rpc/v0 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer "
        + token.encode()
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )
    end = time.perf_counter() + seconds
    times: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return len(times) / seconds, statistics.quantiles(times, n=100)[98] * 1000


def measure(seconds: float = 2.0, rounds: int = 3, connections: int = 16) -> dict[str, float]:
    """Medians over the rounds: calls per second of ours and bare, their ratio, 99th percentiles in ms."""
    from lotus_sched_cli.lotus import auth

    token = auth.sign(TOKEN_SECRET, auth.ALL)
    context = multiprocessing.get_context("spawn")
    servers = []
    for ours in (True, False):
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there, ours), daemon=True)
        process.start()
        servers.append((ours, here, process, here.recv()))
    results: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    try:
        for _ in range(rounds):
            for ours, _pipe, _process, port in servers:
                results[ours].append(asyncio.run(load(port, token, seconds, connections)))
    finally:
        for _, pipe, process, _port in servers:
            pipe.send(None)
            process.join(5)
    rate = {ours: statistics.median(r[0] for r in got) for ours, got in results.items()}
    slow = {ours: statistics.median(r[1] for r in got) for ours, got in results.items()}
    return {
        "ours_calls_per_second": round(rate[True]),
        "bare_aiohttp_calls_per_second": round(rate[False]),
        "ratio": round(rate[True] / rate[False], 3),
        "ours_p99_ms": round(slow[True], 2),
        "bare_aiohttp_p99_ms": round(slow[False], 2),
    }


def run() -> list[Row]:
    """For ``make bench``."""
    got = measure()
    return [
        Row(
            "calls per second, StorageFindSector with a token",
            f"{got['ours_calls_per_second']:,.0f}",
            f"bare aiohttp JSON endpoint {got['bare_aiohttp_calls_per_second']:,.0f}, ratio {got['ratio']:.2f}",
            "≥ 60 % of bare",
            got["ratio"] >= 0.6,
        ),
        Row(
            "99th percentile of a call, 16 connections",
            f"{got['ours_p99_ms']:.1f} ms",
            f"bare aiohttp {got['bare_aiohttp_p99_ms']:.1f} ms",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    args = parser.parse_args()
    result = measure(args.seconds, args.rounds, args.connections)
    print(json.dumps({"bench": "rpc_server", "must": "ratio >= 0.6", **result}))
    return 0 if result["ratio"] >= 0.6 else 1


if __name__ == "__main__":
    sys.exit(main())
