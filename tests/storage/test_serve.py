"""What ``/remote`` answers, held against the recordings' statuses and bodies."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import httpx
import pytest

from lotus_sched_cli.core.tasks import FileType
from lotus_sched_cli.storage.fetch import Download
from lotus_sched_cli.storage.partial import PartialFile
from lotus_sched_cli.storage.store import Store

from .farm import CACHE, TOKEN, Farm, put_sector, sector


@pytest.fixture
async def store(farm: Farm) -> Store:
    path = farm.folder("w1")
    put_sector(path, 2, bytes(range(256)) * 8)
    return await farm.store(path)


async def ask(store: Store, method: str, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, store.url + path, headers={**TOKEN, **named})


async def test_a_file_comes_with_lotus_headers(store: Store) -> None:
    answer = await ask(store, "GET", "/sealed/s-t01000-2")
    assert answer.status_code == 200 and answer.content == bytes(range(256)) * 8
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes" and answer.headers["content-length"] == "2048"
    assert answer.headers["last-modified"].endswith("GMT")
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "part"),
    [
        ("bytes=0-99", 206, "bytes 0-99/2048", slice(0, 100)),
        ("bytes=100-", 206, "bytes 100-2047/2048", slice(100, None)),
        ("bytes=2000-99999", 206, "bytes 2000-2047/2048", slice(2000, None)),
        ("bytes=-48", 206, "bytes 2000-2047/2048", slice(2000, None)),
        ("bytes=-99999", 206, "bytes 0-2047/2048", slice(None)),
        ("bytes=-0", 206, "bytes 2048-2047/2048", slice(2048, None)),
        ("bytes= 0 - 99", 206, "bytes 0-99/2048", slice(0, 100)),
        ("bytes=+1-5", 206, "bytes 1-5/2048", slice(1, 6)),
        (f"bytes={'0' * 5000}1-5", 206, "bytes 1-5/2048", slice(1, 6)),
        ("bytes=9999-,0-1,", 206, "bytes 0-1/2048", slice(0, 2)),
        ("bytes=", 200, None, slice(None)),
        ("bytes=0-1,5-6", 200, None, slice(None)),
    ],
)
async def test_ranges(store: Store, asked: str, status: int, content_range: str | None, part: slice) -> None:
    answer = await ask(store, "GET", "/sealed/s-t01000-2", Range=asked)
    assert answer.status_code == status
    assert answer.headers.get("content-range") == content_range
    assert answer.content == (bytes(range(256)) * 8)[part]


@pytest.mark.parametrize("asked", ["bytes=99999-", "bytes=2048-", f"bytes={(1 << 63) - 1}-"])
async def test_ranges_behind_the_end(store: Store, asked: str) -> None:
    answer = await ask(store, "GET", "/sealed/s-t01000-2", Range=asked)
    assert answer.status_code == 416 and answer.text == "invalid range: failed to overlap\n"
    assert answer.headers["content-range"] == "bytes */2048"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "asked",
    [
        "nonsense",
        "Bytes=0-1",
        "bytes=5-4",
        "bytes=-",
        "bytes=+-1",
        "bytes=--5",
        "bytes=0-1,x",
        f"bytes={1 << 63}-",
        f"bytes=0-{1 << 63}",
        f"bytes=-{'9' * 5000}",
    ],
)
async def test_ranges_that_are_none_leave_no_file_open(store: Store, asked: str) -> None:
    held = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        answer = await ask(store, "GET", "/sealed/s-t01000-2", Range=asked)
    assert answer.status_code == 416 and answer.text == "invalid range\n"
    assert "content-range" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(list(Path("/proc/self/fd").iterdir())) < held + 5


async def test_a_folder_is_a_flat_closed_tar(store: Store) -> None:
    answer = await ask(store, "GET", "/cache/s-t01000-2")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["transfer-encoding"] == "chunked" and "content-length" not in answer.headers
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert archive.getnames() == sorted(CACHE)
        for member in archive:
            held = archive.extractfile(member)
            assert held is not None and held.read() == CACHE[member.name]
            assert member.isreg() and member.mode == 0o644
    assert answer.content.endswith(bytes(1024)) and len(answer.content) % 512 == 0
    assert (await ask(store, "GET", "/cache/s-t01000-2", Range="bytes=0-99")).status_code == 500


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/unsealed/s-t01000-2", 500, ""),
        ("GET", "/sealed/s-t01000-99", 500, ""),
        ("GET", "/foo/s-t01000-2", 500, ""),
        ("GET", "/sealed/xyz", 500, ""),
        ("GET", "/sealed/..%2f..%2fetc", 404, "404 page not found\n"),
        ("GET", "/stat/00000000-0000-0000-0000-000000000000", 404, ""),
        ("GET", "", 404, "404 page not found\n"),
        ("GET", "/", 404, "404 page not found\n"),
        ("GET", "/a/b/c", 404, "404 page not found\n"),
        ("HEAD", "/sealed/s-t01000-2", 405, ""),
        ("POST", "/sealed/s-t01000-2", 405, ""),
        ("DELETE", "/sealed/s-t01000-99", 500, ""),
        ("GET", "/unsealed/s-t01000-2/5/allocated/0/2032", 500, ""),
        ("GET", "/sealed/s-t01000-2/5/allocated/0/2032", 500, ""),
        ("GET", "/unsealed/s-t01000-2/5/allocated/x/2032", 500, ""),
    ],
)
async def test_what_is_not_here(store: Store, method: str, path: str, status: int, text: str) -> None:
    answer = await ask(store, method, path)
    assert (answer.status_code, answer.text) == (status, text)


async def test_tokens(store: Store) -> None:
    answer = await ask(store, "GET", "/sealed/s-t01000-2", Authorization="Bearer weak")
    assert answer.status_code == 401
    assert answer.content == b'{"Error":"unauthorized: missing admin permission"}\n'
    assert answer.headers["content-length"] == "51"  # as recorded
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    answer = await ask(store, "GET", "/sealed/s-t01000-2", Authorization="Bearer abc")
    assert (answer.status_code, answer.content) == (401, b"")
    assert (await ask(store, "DELETE", "/sealed/s-t01000-2", Authorization="Bearer weak")).status_code == 401


async def test_space_of_a_path(store: Store) -> None:
    answer = await ask(store, "GET", f"/stat/{store.paths()[0].id}")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.endswith("}\n")
    assert list(json.loads(answer.text)) == [
        "Capacity",
        "Available",
        "FSAvailable",
        "Reserved",
        "Max",
        "Used",
    ]


async def test_an_undeclared_file_is_not_served(farm: Farm, store: Store) -> None:
    (store.paths()[0].root / "sealed" / "s-t01000-5").write_bytes(b"x")
    assert (await ask(store, "GET", "/sealed/s-t01000-5")).status_code == 500


async def test_a_miner_that_is_away_is_500(farm: Farm, store: Store) -> None:
    farm.index.down.add("StorageFindSector")
    assert (await ask(store, "GET", "/sealed/s-t01000-2")).status_code == 500


async def test_delete_keeps_what_it_is_told_to_keep(farm: Farm, store: Store) -> None:
    path = store.paths()[0]
    answer = await ask(store, "DELETE", f"/sealed/s-t01000-2?keep=other.{path.id}")
    assert (answer.status_code, answer.content) == (200, b"") and path.file(
        FileType.SEALED, sector(2)
    ).exists()
    assert (await ask(store, "DELETE", "/sealed/s-t01000-2?keep=other")).status_code == 200
    assert not path.file(FileType.SEALED, sector(2)).exists()
    assert farm.index.where(sector(2), FileType.SEALED) == {}


async def test_which_unsealed_ranges_are_there(farm: Farm, store: Store) -> None:
    path = store.paths()[0]
    with PartialFile.create(path.file(FileType.UNSEALED, sector(2)), 2048) as partial:
        partial.write(0, bytes(1024))
        partial.allocate(0, 1024)
    await store.declare(path.id, sector(2), FileType.UNSEALED, False)
    for asked, status in (
        ("0/1016", 200),
        ("127/889", 200),
        ("0/2032", 416),
        ("1016/127", 416),
        ("1/127", 500),
    ):
        answer = await ask(store, "GET", f"/unsealed/s-t01000-2/5/allocated/{asked}")
        assert (answer.status_code, answer.content) == (status, b""), asked


async def test_a_folder_with_a_link_is_not_sent(store: Store) -> None:
    (store.paths()[0].root / "cache" / "s-t01000-2" / "t_link").symlink_to("/etc/passwd")
    assert (await ask(store, "GET", "/cache/s-t01000-2")).status_code == 500


async def test_a_connection_serves_one_file_after_another(store: Store) -> None:
    async with httpx.AsyncClient(headers=TOKEN) as client:
        for _ in range(3):
            assert len((await client.get(store.url + "/sealed/s-t01000-2")).content) == 2048
            assert (await client.get(store.url + "/cache/s-t01000-2")).status_code == 200
            assert (await client.get(store.url + "/sealed/s-t01000-3")).status_code == 500


async def test_a_file_that_shrinks_under_way_is_seen_as_cut_short(
    farm: Farm, store: Store, tmp_path: Path
) -> None:
    path = store.paths()[0]
    file = path.file(FileType.SEALED, sector(4))
    with file.open("wb") as out:
        out.truncate(64 << 20)
    await store.declare(path.id, sector(4), FileType.SEALED, False)
    async with httpx.AsyncClient(headers=TOKEN) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", store.url + "/sealed/s-t01000-4") as answer:
                assert answer.status_code == 200
                os.truncate(file, 1 << 20)
                async for _ in answer.aiter_raw():
                    pass


async def test_a_slow_receiver_holds_up_nobody(farm: Farm, store: Store) -> None:
    path = store.paths()[0]
    with path.file(FileType.SEALED, sector(4)).open("wb") as out:
        out.truncate(64 << 20)
    await store.declare(path.id, sector(4), FileType.SEALED, False)
    async with (
        httpx.AsyncClient(headers=TOKEN) as client,
        client.stream("GET", store.url + "/sealed/s-t01000-4") as slow,
    ):
        assert slow.status_code == 200
        async with asyncio.timeout(5):
            assert (await ask(store, "GET", "/sealed/s-t01000-2")).status_code == 200


async def test_a_big_cache_arrives_whole(farm: Farm, store: Store, tmp_path: Path) -> None:
    """More than one HTTP chunk, odd sizes, an empty file."""
    folder = store.paths()[0].root / "cache" / "s-t01000-2"
    made = {
        "sc-02-data-layer-1.dat": os.urandom((40 << 20) + 12345),
        "sc-02-data-layer-2.dat": b"",
        "sc-02-data-tree-d.dat": os.urandom(777),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    transfer = Download(f"{store.url}/cache/s-t01000-2", tmp_path / "got", TOKEN)
    total = await store.paths()[0].disk.long(transfer.run)
    assert {e.name: e.read_bytes() for e in (tmp_path / "got").iterdir()} == {**CACHE, **made}
    assert total == sum(map(len, {**CACHE, **made}.values()))


async def test_whether_a_file_is_there_is_asked_where_it_lies(farm: Farm) -> None:
    """Of its disk, not of the index: that learns nothing of files that somebody else deletes."""
    there, other = farm.folder("w1", store=True), farm.folder("w2")
    put_sector(there, 2, b"sealed" * 100_000, {"tree": b"t" * (4 << 20)})
    keeper, asker = await farm.store(there), await farm.store(other)
    (path,) = keeper.paths()
    for store in (keeper, asker):
        assert await store.lies(sector(2), FileType.SEALED, path.id)
        assert await store.lies(sector(2), FileType.CACHE, path.id)
        assert not await store.lies(sector(2), FileType.CACHE, asker.paths()[0].id)
    path.file(FileType.SEALED, sector(2)).unlink()
    shutil.rmtree(path.file(FileType.CACHE, sector(2)))
    for store in (keeper, asker):
        assert not await store.lies(sector(2), FileType.SEALED, path.id)
        assert not await store.lies(sector(2), FileType.CACHE, path.id)
