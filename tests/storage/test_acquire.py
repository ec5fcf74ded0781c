"""Getting sector files to where a job runs, as wire facts 7.5 tell it."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest
from aiohttp import web

from lotus_sched_cli.core.tasks import AcquireMode, FileType, PathType
from lotus_sched_cli.lotus.types import SectorStorageInfo, StorageInfo
from lotus_sched_cli.storage import body, tars
from lotus_sched_cli.storage.acquire import SectorPaths
from lotus_sched_cli.storage.errors import AllocateSpaceError, NotFoundError, StorageError
from lotus_sched_cli.storage.fsstat import DiskSpace, Volume, fs_stat
from lotus_sched_cli.storage.store import Store

from .farm import CACHE, Farm, left_in_fetching, put_sector, ref, sector

REPLICA = FileType.SEALED | FileType.CACHE


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


async def two_workers(farm: Farm, **options: object) -> tuple[Store, Store, Path, Path]:
    """One with sector 7 after its P1, one that is to do its P2."""
    here, there = farm.folder("w1"), farm.folder("w2", weight=100)
    put_sector(here, 7, b"\x01\x02" * 1024)
    return await farm.store(here), await farm.store(there, **options), here, there


async def test_p2_gets_the_files_of_a_p1_made_elsewhere_and_the_source_goes(farm: Farm) -> None:
    _, w2, here, there = await two_workers(farm)
    id = w2.paths()[0].id
    async with w2.acquire(ref(7), REPLICA, mode=AcquireMode.MOVE) as files:
        assert files.sealed == there / "sealed" / "s-t01000-7"
        assert files.sealed.read_bytes() == b"\x01\x02" * 1024
        assert contents(files.cache) == CACHE
        assert files.ids == {FileType.SEALED: id, FileType.CACHE: id}
    assert farm.index.where(sector(7), FileType.SEALED) == {id: True}
    assert farm.index.where(sector(7), FileType.CACHE) == {id: True}
    assert not (here / "sealed" / "s-t01000-7").exists() and not (here / "cache" / "s-t01000-7").exists()
    assert left_in_fetching(there) == []
    assert (await w2.stat(id)).Reserved == 0


async def test_the_source_is_asked_to_go_only_after_the_copy_is_declared(farm: Farm) -> None:
    _, w2, _, _ = await two_workers(farm)
    async with w2.acquire(ref(7), FileType.SEALED, mode=AcquireMode.MOVE):
        pass
    calls = [(c[0], c[1]) for c in farm.index.said if c[0] in ("StorageDeclareSector", "StorageDropSector")]
    declared, dropped = calls[-2:]
    assert declared == ("StorageDeclareSector", w2.paths()[0].id)
    assert dropped[0] == "StorageDropSector"


async def test_a_copy_leaves_the_source_and_is_not_primary(farm: Farm) -> None:
    w1, w2, here, _ = await two_workers(farm)
    async with w2.acquire(ref(7), REPLICA, mode=AcquireMode.COPY):
        pass
    assert (here / "sealed" / "s-t01000-7").exists()
    assert farm.index.where(sector(7), FileType.SEALED) == {w1.paths()[0].id: False, w2.paths()[0].id: False}


@pytest.mark.parametrize("mode", [AcquireMode.MOVE, AcquireMode.COPY, None])
async def test_what_the_miner_has_fetched_is_on_the_disk_before_it_is_declared(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, mode: AcquireMode | None
) -> None:
    """The source of a copy is removed, too, once the miner counts on the copy."""
    _, w2, _, _ = await two_workers(farm)
    synced: set[int] = set()
    fsync = os.fsync

    def seen(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", seen)
    async with w2.acquire(ref(7), REPLICA, mode=mode) as files:
        fetched = {path.stat().st_ino for path in (files.sealed, *files.cache.iterdir())}
    assert fetched & synced == (fetched if mode is not None else set())


async def test_files_that_are_here_are_not_fetched(farm: Farm) -> None:
    w1, _, here, _ = await two_workers(farm)
    before = len(farm.index.said)
    async with w1.acquire(ref(7), REPLICA, mode=AcquireMode.MOVE) as files:
        assert files.cache == here / "cache" / "s-t01000-7"
    assert {c[0] for c in farm.index.said[before:]} == {"StorageFindSector"}


async def test_a_copy_the_miner_did_not_hear_of_keeps_its_source(farm: Farm) -> None:
    _, w2, here, _ = await two_workers(farm)
    farm.index.down.add("StorageDeclareSector")
    async with w2.acquire(ref(7), FileType.SEALED, mode=AcquireMode.MOVE) as files:
        assert files.sealed.exists()
    assert (here / "sealed" / "s-t01000-7").exists()
    farm.index.down.clear()
    await w2.report()
    assert farm.index.where(sector(7), FileType.SEALED)[w2.paths()[0].id] is True


async def test_a_fetch_replaces_what_stood_there(farm: Farm) -> None:
    _, w2, _, there = await two_workers(farm)
    old = there / "cache" / "s-t01000-7"
    old.mkdir()
    (old / "stale").write_bytes(b"old")
    (there / "sealed" / "s-t01000-7").write_bytes(b"old")
    async with w2.acquire(ref(7), REPLICA, mode=AcquireMode.MOVE) as files:
        assert contents(files.cache) == CACHE
        assert files.sealed.read_bytes() == b"\x01\x02" * 1024
    assert left_in_fetching(there) == []


async def test_allocated_files_are_declared_when_the_job_ends_well_or_badly(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"))
    id = store.paths()[0].id
    async with store.acquire(ref(8), allocate=REPLICA) as files:
        files.sealed.write_bytes(b"x")
        files.cache.mkdir()
        assert (await store.stat(id)).Reserved > 0
    assert farm.index.where(sector(8), FileType.CACHE) == {id: False}
    with pytest.raises(RuntimeError):
        async with store.acquire(ref(9), allocate=REPLICA) as files:
            files.sealed.write_bytes(b"half")
            raise RuntimeError("the sealer died")
    assert farm.index.where(sector(9), FileType.SEALED) == {id: False}
    assert farm.index.where(sector(9), FileType.CACHE) == {}  # never made: not declared
    assert (await store.stat(id)).Reserved == 0


async def test_a_killed_job_still_declares_and_gives_its_space_back(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"))
    ready = asyncio.Event()

    async def job() -> None:
        async with store.acquire(ref(8), allocate=FileType.SEALED) as files:
            files.sealed.write_bytes(b"half")
            ready.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(job())
    await ready.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert farm.index.where(sector(8), FileType.SEALED) == {store.paths()[0].id: False}
    assert (await store.stat(store.paths()[0].id)).Reserved == 0


async def test_finding_and_allocating_the_same_type_is_refused(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"))
    with pytest.raises(StorageError, match="can't both find and allocate a sector"):
        async with store.acquire(ref(7), FileType.SEALED, FileType.SEALED):
            pass


async def test_a_sector_that_nobody_has(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"))
    with pytest.raises(
        NotFoundError, match=r"^failed to acquire sector \{1000 6\} from remote\(8\): sector not found$"
    ):
        async with store.acquire(ref(6), FileType.UPDATE):
            pass


async def test_a_declared_file_that_is_gone_is_fetched_from_who_has_it(farm: Farm) -> None:
    _, w2, _, _ = await two_workers(farm)
    await w2.declare(w2.paths()[0].id, sector(7), FileType.SEALED, False)
    async with w2.acquire(ref(7), FileType.SEALED) as files:
        assert files.sealed.read_bytes() == b"\x01\x02" * 1024


# -- space ---------------------------------------------------------------------------------------------------


class Pretended(DiskSpace):
    """A disk of a given size on which a file counts as ``full`` bytes."""

    def __init__(self, available: int, full: int | None = None) -> None:
        self.available = available
        self.full = full

    def volume(self, root: Path) -> Volume:
        return Volume(1 << 40, self.available)

    def usage(self, path: Path) -> int:
        if self.full is None:
            return super().usage(path)
        return self.full if path.exists() else 0


async def test_no_room_is_code_102_with_lotus_text(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"), space=Pretended(30_000))
    path = store.paths()[0]
    with pytest.raises(AllocateSpaceError) as error:
        async with store.acquire(ref(7), allocate=REPLICA):
            pass
    assert error.value.code == 102
    assert (
        str(error.value) == f"can't reserve 28876 bytes in '{path.root}' (id:{path.id}), only 27952 available"
    )
    assert (await path.stat()).Reserved == 0  # the first of the two is given back


async def test_three_p1_do_not_pass_one_check(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"), space=Pretended(70_000))  # two times 30,924
    running, go = [], asyncio.Event()

    async def p1(number: int) -> None:
        async with store.acquire(ref(number), allocate=REPLICA):
            running.append(number)
            await go.wait()

    tasks = [asyncio.create_task(p1(n)) for n in range(3)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert isinstance(done.pop().exception(), AllocateSpaceError)
    go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(running) == 2


async def test_bytes_already_on_disk_count_as_the_reservation(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"), space=Pretended(100_000, full=1500))
    id = store.paths()[0].id
    async with store.acquire(ref(7), allocate=FileType.SEALED) as files:
        assert (await store.stat(id)).Reserved == 2048
        files.sealed.write_bytes(b"stand-in")
        stat = await store.stat(id)
        assert (stat.Reserved, stat.Available) == (548, 99_452)


async def test_a_retry_onto_files_that_are_there_needs_only_the_rest(farm: Farm) -> None:
    store = await farm.store(farm.folder("w1"), space=Pretended(600, full=1500))
    path = store.paths()[0]
    (path.root / "sealed" / "s-t01000-7").write_bytes(b"x")
    async with store.acquire(ref(7), allocate=FileType.SEALED):
        pass


async def test_the_second_path_takes_what_the_first_has_no_room_for(farm: Farm) -> None:
    class Small(DiskSpace):
        def volume(self, root: Path) -> Volume:
            return Volume(1 << 30, 1000 if root.name == "full" else 1 << 20)

    store = await farm.store(farm.folder("full", weight=1000), farm.folder("empty"), space=Small())
    async with store.acquire(ref(7), allocate=REPLICA) as files:
        assert files.sealed.parent.parent.name == "empty"


async def test_no_path_of_mine_fits(farm: Farm) -> None:
    await farm.store(farm.folder("other"))
    store = await farm.store(farm.folder("long", seal=False, store=True))
    with pytest.raises(AllocateSpaceError, match=r"^couldn't find a suitable path for a sector$"):
        async with store.acquire(ref(7), allocate=FileType.SEALED):
            pass


def test_filters_of_a_path_hold_for_new_files(tmp_path: Path) -> None:
    from lotus_sched_cli.lotus.types import LocalStorageMeta
    from lotus_sched_cli.storage.disk import DiskThreads
    from lotus_sched_cli.storage.path import LocalPath

    def takes(type: FileType, path_type: PathType = PathType.SEALING, **meta: object) -> bool:
        made = LocalStorageMeta(**{"ID": "x", "CanSeal": True, **meta})  # type: ignore[arg-type]
        path = LocalPath(tmp_path, made, DiskSpace(), DiskThreads("x"), 1)
        return path.takes(type, sector(1), path_type)

    assert takes(FileType.SEALED)
    assert not takes(FileType.SEALED, PathType.STORAGE)
    assert not takes(FileType.SEALED, AllowTypes=["cache"])
    assert not takes(FileType.SEALED, DenyTypes=["sealed"])
    assert takes(FileType.SEALED, AllowTypes=["nonsense"])  # as Lotus: only unknown names allow all
    assert not takes(FileType.SEALED, AllowMiners=["t01001"])
    assert takes(FileType.SEALED, AllowMiners=["f01000"])
    assert not takes(FileType.SEALED, DenyMiners=["t01000"])


def test_available_is_never_below_zero_and_max_storage_binds() -> None:
    assert fs_stat(Volume(100, 10), outstanding=30).Available == 0
    stat = fs_stat(Volume(1000, 900), outstanding=50, limit=200, used=100)
    assert (stat.Available, stat.FSAvailable, stat.Max, stat.Used) == (50, 900, 200, 100)
    assert fs_stat(Volume(1000, 900), outstanding=0, limit=200, used=300).Available == 0


async def test_max_storage_counts_what_lies_under_the_path(farm: Farm) -> None:
    path = farm.folder("w1", max_storage=1 << 20)
    put_sector(path, 7)
    store = await farm.store(path)
    stat = await store.stat(store.paths()[0].id)
    assert stat.Max == 1 << 20 and stat.Used >= 4096 * 6  # five cache files, one sealed, sectorstore.json
    assert stat.Available == (1 << 20) - stat.Used


# -- when things go wrong on the way -------------------------------------------------------------------------


def remote(farm: Farm, url: str, id: str = "remote", weight: int = 5) -> None:
    """Makes the index believe that a file lies at ``url``."""
    farm.index.infos[id] = StorageInfo(ID=id, URLs=[f"http://{url}/remote"], Weight=weight, CanSeal=True)
    farm.index.decls[sector(7), FileType.SEALED][id] = False


async def broken_server(farm: Farm, answer: object) -> str:
    """A peer whose answer is the handler's."""
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)  # type: ignore[arg-type]
    return await farm.listen(app)


async def test_a_source_that_breaks_off_leaves_nothing_behind(farm: Farm) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(
            headers={"Content-Length": "100000", "Content-Type": "application/octet-stream"}
        )
        await answer.prepare(request)
        await answer.write(b"x" * 70_000)
        assert request.transport is not None
        request.transport.close()
        return answer

    address = await broken_server(farm, cut)
    there = farm.folder("w2")
    store = await farm.store(there)
    remote(farm, address)
    with pytest.raises(StorageError) as error:
        async with store.acquire(ref(7), FileType.SEALED):
            pass
    dest = there / "sealed" / "fetching" / "s-t01000-7"
    url = f"http://{address}/remote/sealed/s-t01000-7"
    text = str(error.value)
    assert text.startswith(
        f"failed to acquire sector {{1000 7}} from remote (tried [{{remote [{url}] [http://{address}/remote] 5 true"
        f" false false [] [] [] []}}]): 1 error occurred:\n\t* fetch error {url} (storage remote) -> {dest}: unexpected EOF"
    )
    assert text.endswith("\n\n")
    assert left_in_fetching(there) == [] and not (there / "sealed" / "s-t01000-7").exists()
    assert (await store.stat(store.paths()[0].id)).Reserved == 0


@pytest.mark.parametrize(
    ("status", "kind", "why"),
    [
        (500, "application/octet-stream", "non-200 code: 500"),
        (206, "application/octet-stream", "non-200 code: 206"),
        (200, "text/html", "unknown content type: 'text/html'"),
    ],
)
async def test_answers_that_are_no_sector_file(farm: Farm, status: int, kind: str, why: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=b"x", headers={"Content-Type": kind})

    store = await farm.store(farm.folder("w2"))
    remote(farm, await broken_server(farm, answer))
    with pytest.raises(StorageError, match=why):
        async with store.acquire(ref(7), FileType.SEALED):
            pass


async def test_the_lightest_source_goes_first_and_the_next_one_helps(farm: Farm) -> None:
    asked = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=500)

    _, w2, _, _ = await two_workers(farm)
    remote(farm, await broken_server(farm, refuse))  # weight 5, worker 1 has 10
    async with w2.acquire(ref(7), FileType.SEALED) as files:
        assert files.sealed.stat().st_size == 2048
    assert asked == ["/remote/sealed/s-t01000-7"]


async def test_nobody_listens_at_the_source(farm: Farm) -> None:
    store = await farm.store(farm.folder("w2"))
    remote(farm, "127.0.0.1:1")
    with pytest.raises(StorageError, match=r"dial tcp 127\.0\.0\.1:1: Connection refused"):
        async with store.acquire(ref(7), FileType.SEALED):
            pass


async def test_a_full_disk_is_one_clear_line_and_temporary(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, w2, here, there = await two_workers(farm)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(body, "_write_all", full)
    with pytest.raises(AllocateSpaceError) as error:
        async with w2.acquire(ref(7), FileType.SEALED, mode=AcquireMode.MOVE):
            pass
    assert str(error.value) == (
        f"writing {there}/sealed/fetching/s-t01000-7: no space left on device; free some space on that disk"
    )
    assert left_in_fetching(there) == [] and (here / "sealed" / "s-t01000-7").exists()


async def test_an_aborted_fetch_ends_at_once_and_cleans_up(farm: Farm) -> None:
    started = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(
            headers={"Content-Length": str(1 << 40), "Content-Type": "application/octet-stream"}
        )
        await answer.prepare(request)
        await answer.write(b"x" * 1_000_000)
        started.set()
        await asyncio.Event().wait()
        return answer

    there = farm.folder("w2")
    store = await farm.store(there)
    remote(farm, await broken_server(farm, endless))

    async def job() -> None:
        async with store.acquire(ref(7), FileType.SEALED):
            pass

    task = asyncio.create_task(job())
    await started.wait()
    async with asyncio.timeout(10):
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled() and left_in_fetching(there) == []
    assert (await store.stat(store.paths()[0].id)).Reserved == 0


async def test_no_more_downloads_at_once_than_the_limit(farm: Farm) -> None:
    now, most = 0, 0

    async def count(_: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _turn in range(20):
            await asyncio.sleep(0)
        now -= 1
        return web.Response(body=b"x" * 2048)

    store = await farm.store(farm.folder("w2"), parallel_fetch=2)
    remote(farm, await broken_server(farm, count))
    for number in range(20, 28):
        farm.index.decls[sector(number), FileType.SEALED]["remote"] = False

    async def get(number: int) -> SectorPaths:
        async with store.acquire(ref(number), FileType.SEALED) as files:
            return files

    await asyncio.gather(*(get(n) for n in range(20, 28)))
    assert most <= 2


async def test_one_acquisition_per_sector_at_a_time(farm: Farm) -> None:
    asked = 0

    async def slow(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(body=b"x" * 2048)

    store = await farm.store(farm.folder("w2"))
    remote(farm, await broken_server(farm, slow))

    async def get() -> None:
        async with store.acquire(ref(7), FileType.SEALED):
            pass

    await asyncio.gather(get(), get(), get())
    assert asked == 1


async def test_progress_is_told(farm: Farm) -> None:
    _, w2, _, _ = await two_workers(farm)
    told: list[tuple[FileType, int, int | None]] = []
    async with w2.acquire(ref(7), FileType.SEALED, progress=lambda *now: told.append(now)):
        pass
    assert told[-1] == (FileType.SEALED, 2048, 2048)


async def test_a_cache_with_tree_c_of_a_small_sector_is_refused_as_lotus_does(farm: Farm) -> None:
    here, there = farm.folder("w1"), farm.folder("w2")
    put_sector(here, 7, cache={**CACHE, "sc-02-data-tree-c.dat": b"c" * 2336})
    await farm.store(here)
    store = await farm.store(there)
    with pytest.raises(StorageError, match=r'tar file "sc-02-data-tree-c.dat" isn.t expected'):
        async with store.acquire(ref(7), FileType.CACHE, mode=AcquireMode.MOVE):
            pass
    assert (here / "cache" / "s-t01000-7" / "t_aux").exists() and left_in_fetching(there) == []


# -- moving and removing -------------------------------------------------------------------------------------


async def test_a_finished_sector_moves_to_the_long_term_path_of_its_worker(farm: Farm) -> None:
    seal, long = farm.folder("seal"), farm.folder("long", seal=False, store=True)
    put_sector(seal, 7)
    store = await farm.store(seal, long)
    ids = {p.root: p.id for p in store.paths()}
    await store.move_storage(ref(7), REPLICA)
    assert contents(long / "cache" / "s-t01000-7") == CACHE
    assert not (seal / "cache" / "s-t01000-7").exists()
    assert farm.index.where(sector(7), FileType.CACHE) == {ids[long]: True}
    assert farm.index.where(sector(7), FileType.SEALED) == {ids[long]: True}
    await store.move_storage(ref(7), REPLICA)  # again: nothing to do
    assert contents(long / "cache" / "s-t01000-7") == CACHE


async def test_a_move_over_an_older_try_replaces_it(farm: Farm) -> None:
    seal, long = farm.folder("seal"), farm.folder("long", seal=False, store=True)
    put_sector(seal, 7)
    store = await farm.store(seal, long)
    (long / "cache" / "s-t01000-7").mkdir()
    (long / "cache" / "s-t01000-7" / "stale").touch()
    await store.move_storage(ref(7), REPLICA)
    assert contents(long / "cache" / "s-t01000-7") == CACHE and left_in_fetching(long) == []


async def test_a_move_to_another_disk_copies_and_then_removes(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal, long = farm.folder("seal"), farm.folder("long", seal=False, store=True)
    put_sector(seal, 7)
    store = await farm.store(seal, long)
    rename = Path.rename

    def other_disk(self: Path, target: Path) -> Path:
        if self.is_relative_to(seal):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", other_disk)
    await store.move_storage(ref(7), REPLICA)
    assert contents(long / "cache" / "s-t01000-7") == CACHE
    assert not (seal / "sealed" / "s-t01000-7").exists() and left_in_fetching(long) == []


async def test_a_copy_that_fails_halfway_leaves_the_sector_where_it_was(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal, long = farm.folder("seal"), farm.folder("long", seal=False, store=True)
    put_sector(seal, 7)
    store = await farm.store(seal, long)

    def other_disk(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", other_disk)
    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(
        AllocateSpaceError, match=f"copying {seal}/sealed/s-t01000-7 to {long}/sealed/s-t01000-7"
    ):
        await store.move_storage(ref(7), FileType.SEALED)
    assert (seal / "sealed" / "s-t01000-7").exists() and left_in_fetching(long) == []
    assert not (long / "sealed" / "s-t01000-7").exists()


async def test_move_storage_fetches_from_another_worker_too(farm: Farm) -> None:
    here, long = farm.folder("w1"), farm.folder("long", seal=False, store=True)
    put_sector(here, 7)
    await farm.store(here)
    store = await farm.store(long)
    await store.move_storage(ref(7), REPLICA)
    assert contents(long / "cache" / "s-t01000-7") == CACHE
    assert not (here / "cache" / "s-t01000-7").exists()


async def test_removing_takes_the_files_from_every_worker(farm: Farm) -> None:
    w1, w2, here, there = await two_workers(farm)
    async with w2.acquire(ref(7), REPLICA, mode=AcquireMode.COPY):
        pass
    await w1.remove(sector(7), REPLICA)
    for folder in (here, there):
        assert not (folder / "sealed" / "s-t01000-7").exists()
        assert not (folder / "cache" / "s-t01000-7").exists()
    assert farm.index.where(sector(7), FileType.SEALED) == {}
    await w1.remove(sector(7), REPLICA)  # nothing there: fine
    with pytest.raises(NotFoundError, match=r"can't delete sector \{1000 7\}\(2\), not found"):
        await w1.remove(sector(7), FileType.SEALED, force=False)


async def test_of_several_copies_the_primary_stays(farm: Farm) -> None:
    w1, w2, here, there = await two_workers(farm)
    async with w2.acquire(ref(7), FileType.SEALED, mode=AcquireMode.COPY):
        pass
    await w1.remove_copies(sector(7), FileType.SEALED)  # none is primary: nothing happens
    assert (here / "sealed" / "s-t01000-7").exists() and (there / "sealed" / "s-t01000-7").exists()
    await w2.declare(w2.paths()[0].id, sector(7), FileType.SEALED, True)
    await w1.remove_copies(sector(7), FileType.SEALED)
    assert not (here / "sealed" / "s-t01000-7").exists() and (there / "sealed" / "s-t01000-7").exists()


async def test_names_and_sizes_of_a_hostile_archive(farm: Farm) -> None:
    import io
    import tarfile

    async def refused(make: tarfile.TarInfo, data: bytes = b"") -> str:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            archive.addfile(make, io.BytesIO(data))

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=out.getvalue(), headers={"Content-Type": "application/x-tar"})

        target = farm.folder(f"t{len(farm.index.infos)}")
        store = await farm.store(target)
        farm.index.decls.clear()
        address = await broken_server(farm, answer)
        farm.index.infos["evil"] = StorageInfo(ID="evil", URLs=[f"http://{address}/remote"], CanSeal=True)
        farm.index.decls[sector(7), FileType.CACHE]["evil"] = False
        with pytest.raises(StorageError) as error:
            async with store.acquire(ref(7), FileType.CACHE):
                pass
        assert left_in_fetching(target) == []
        return str(error.value)

    escape = tarfile.TarInfo("../../../etc/passwd")
    assert "isn't expected" in await refused(escape)
    link = tarfile.TarInfo("t_aux")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert "is no plain file" in await refused(link)
    big = tarfile.TarInfo("p_aux")
    big.size = 65
    assert "has 65 bytes, at most 64" in await refused(big, b"x" * 65)
    assert not (farm.root / "etc").exists()


def test_lotus_list_of_names_has_its_limits() -> None:
    assert tars.LIMITS["sc-02-data-layer-11.dat"] == 65 << 30
    assert "sc-02-data-layer-12.dat" not in tars.LIMITS and "sc-02-data-tree-c.dat" not in tars.LIMITS
    assert len(tars.LIMITS) == 3 + 16 + 11 + 16 + 1


def test_go_prints_a_source_like_that() -> None:
    from lotus_sched_cli.storage.acquire import _go_list

    source = SectorStorageInfo("id", ["http://a"], ["http://b"], 10, True, False, True, [], [], [], [])
    assert _go_list([source]) == "[{id [http://a] [http://b] 10 true false true [] [] [] []}]"
