"""A fetch between two stores over loopback beside ``cp`` of the same file to the same disk, in turns.

Serving and fetching are separate processes, as on a farm; the fetching one's memory is its own high-water mark. A fetch
keeps two cores busy where ``cp`` keeps one: on two cores, other work or the kernel's write-back of big files lowers the ratio,
so the load is printed with it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .rows import Row

SIZES = (1 << 20, 16 << 20, 256 << 20, 1 << 30, 4 << 30)

#: Serves one path until its input ends; prints its URL.
SERVE = """
import asyncio, sys
from pathlib import Path
from aiohttp import web
from bench.fetch import Index, authorize
from lotus_sched_cli.storage.serve import routes
from lotus_sched_cli.storage.store import Store

async def main():
    index = Index()
    store = Store(index)
    app = web.Application()
    app.add_routes(routes(store, authorize))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    store.url = f"http://127.0.0.1:{runner.addresses[0][1]}/remote"
    index.path = await store.open_path(Path(sys.argv[1]))
    print(store.url, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""

#: For each line "url dest durable" on its input: fetches and prints seconds and the memory high-water mark in KiB.
FETCH = """
import json, resource, sys, time
from pathlib import Path
from lotus_sched_cli.storage.fetch import Download

for line in sys.stdin:
    url, dest, durable = line.split()
    began = time.perf_counter()
    Download(url, Path(dest), {}, durable=durable == "1").run()
    took = time.perf_counter() - began
    print(json.dumps([took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]), flush=True)
"""


class Index:
    """Knows one path, which has everything."""

    path = None

    async def StorageAttach(self, *_):  # type: ignore[no-untyped-def]
        return None

    async def StorageDeclareSector(self, *_):  # type: ignore[no-untyped-def]
        return None

    async def StorageFindSector(self, *_):  # type: ignore[no-untyped-def]
        return [self.path.info("")] if self.path else []


async def authorize(request):  # type: ignore[no-untyped-def]
    """Everybody may."""

    class All:
        perms = frozenset({"admin"})

    return All()


def run(folder: Path | None = None) -> list[Row]:
    """One row per size, one for a cache folder, one for memory."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-fetch-") as made:
        return _run(Path(made))


def _run(root: Path) -> list[Row]:
    source = root / "source"
    (source / "sealed").mkdir(parents=True)
    (source / "cache" / "s-t01000-99").mkdir(parents=True)
    (source / "sectorstore.json").write_text('{"ID":"bench","Weight":10,"CanSeal":true}')
    for number, size in enumerate(SIZES):
        _fill(source / "sealed" / f"s-t01000-{number}", size)
    for layer in (1, 2):
        _fill(source / "cache" / "s-t01000-99" / f"sc-02-data-layer-{layer}.dat", 256 << 20)
    os.sync()  # what was just written is not to be written back while we measure
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(source)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    client = subprocess.Popen(
        [sys.executable, "-c", FETCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        return _measure(root, source, url, client)
    finally:
        for process in (client, server):
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def _measure(root: Path, source: Path, url: str, client: subprocess.Popen[str]) -> list[Row]:
    rows: list[Row] = []
    memory: list[int] = []
    load = os.getloadavg()[0]
    cases = [(f"{size >> 20} MiB file", f"sealed/s-t01000-{n}", size) for n, size in enumerate(SIZES)]
    cases.append(("512 MiB cache folder", "cache/s-t01000-99", 512 << 20))
    for what, name, size in cases:
        for durable in (False, True) if size == 1 << 30 else (False,):
            rounds = 3 if size >= 1 << 30 else 9
            ours, cp = [], []
            for _ in range(rounds + 1):
                took, high = _fetch(client, f"{url}/{name}", root / "got", durable)
                ours.append(took)
                cp.append(_cp(source / name, root / "got", durable))
                memory.append(high)
            ratio = statistics.median(b / a for a, b in zip(ours[1:], cp[1:], strict=True))
            rate, beside = (size / statistics.median(t[1:]) / (1 << 20) for t in (ours, cp))
            rows.append(
                Row(
                    f"{what}{', synced' if durable else ''}",
                    f"{rate:,.0f} MiB/s, {ratio:.0%} of cp",
                    f"cp {beside:,.0f} MiB/s",
                    "70%" if size >= 16 << 20 else "",
                    ratio >= 0.7 if size >= 16 << 20 else None,
                )
            )
    rows.append(
        Row(
            "load of the machine before · after",
            f"{load:.1f} · {os.getloadavg()[0]:.1f}",
            f"{os.cpu_count()} cores",
        )
    )
    grown = (memory[-1] - memory[0]) / 1024
    rows.append(
        Row(
            "memory of the fetching process",
            f"{memory[-1] / 1024:.0f} MiB",
            f"{grown:+.1f} MiB from first to last",
            "flat",
            grown < 4,
        )
    )
    return rows


def _fetch(client: subprocess.Popen[str], url: str, dest: Path, durable: bool) -> tuple[float, int]:
    assert client.stdin is not None and client.stdout is not None
    client.stdin.write(f"{url} {dest} {int(durable)}\n")
    client.stdin.flush()
    took, high = json.loads(client.stdout.readline())
    _clear(dest)
    return took, high


def _cp(source: Path, dest: Path, durable: bool) -> float:
    began = time.perf_counter()
    subprocess.run(["cp", "-r", source, dest], check=True)
    if durable:
        subprocess.run(["sync", dest], check=True)
    took = time.perf_counter() - began
    _clear(dest)
    return took


def _clear(dest: Path) -> None:
    if dest.is_dir():
        shutil.rmtree(dest)
    else:
        dest.unlink(missing_ok=True)


def _fill(file: Path, size: int) -> None:
    block = os.urandom(1 << 20)
    with file.open("wb") as out:
        for _ in range(size >> 20):
            out.write(block)


if __name__ == "__main__":
    for row in run():
        print(
            f"{row.what:32} {row.figure:32} {row.beside:24} {'' if row.met is None else 'met' if row.met else 'MISSED'}"
        )
