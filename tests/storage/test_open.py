"""Opening, attaching, declaring, health."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.fsstat import DiskSpace, Volume
from lotus_sched_cli.storage.inuse import InUse
from lotus_sched_cli.storage.meta import change_config, init_path, parse_name, read_config, read_meta
from lotus_sched_cli.storage.path import IDLE
from lotus_sched_cli.storage.store import Store

from .farm import Farm, put_sector, sector


def test_attach_init_writes_what_lotus_writes(tmp_path: Path) -> None:
    meta = init_path(
        tmp_path / "new", seal=True, store=False, max_storage=10737418240, groups=["fast", "rack1"]
    )
    text = (tmp_path / "new" / "sectorstore.json").read_text()
    assert text.startswith('{\n  "ID": "') and text.endswith('"DenyMiners": null\n}')
    assert list(json.loads(text)) == [
        "ID", "Weight", "CanSeal", "CanStore", "MaxStorage", "Groups", "AllowTo", "AllowTypes", "DenyTypes",
        "AllowMiners", "DenyMiners",
    ]  # fmt: skip
    assert read_meta(tmp_path / "new") == meta
    assert (tmp_path / "new" / "sectorstore.json").stat().st_mode & 0o777 == 0o644


def test_attach_init_twice_or_for_nothing_is_refused(tmp_path: Path) -> None:
    init_path(tmp_path / "p", seal=True, store=False)
    with pytest.raises(StorageError, match="path is already initialized"):
        init_path(tmp_path / "p", seal=True, store=False)
    with pytest.raises(StorageError, match="must specify at least one of --store or --seal"):
        init_path(tmp_path / "q", seal=False, store=False)


def test_a_path_keeps_its_place_in_storage_json(tmp_path: Path) -> None:
    (tmp_path / "storage.json").write_text('{"StoragePaths":null}')
    change_config(tmp_path, add="/data/a")
    change_config(tmp_path, add="/data/b")
    change_config(tmp_path, add="/data/a")
    assert [p.Path for p in change_config(tmp_path, drop="/data/a").StoragePaths or []] == ["/data/b"]
    assert (tmp_path / "storage.json").read_text() == (
        '{\n  "StoragePaths": [\n    {\n      "Path": "/data/b"\n    }\n  ]\n}'
    )
    assert read_config(tmp_path).StoragePaths
    assert [entry.name for entry in tmp_path.iterdir()] == ["storage.json"]


async def test_opening_makes_the_folders_and_declares_what_lies_there(farm: Farm) -> None:
    path = farm.folder("seal")
    put_sector(path, 3)
    store = await farm.store(path)
    id = store.paths()[0].id
    assert all((path / name).is_dir() for name in FILE_TYPE_NAMES.values())
    assert farm.index.infos[id].URLs == [store.url]
    assert farm.index.stats[id].Capacity > 0
    assert farm.index.where(sector(3), FileType.SEALED) == {id: False}
    assert farm.index.where(sector(3), FileType.CACHE) == {id: False}


async def test_files_on_a_long_term_path_are_primary(farm: Farm) -> None:
    path = farm.folder("long", seal=False, store=True)
    put_sector(path, 3)
    store = await farm.store(path)
    assert farm.index.where(sector(3), FileType.SEALED) == {store.paths()[0].id: True}


async def test_leftovers_of_a_download_go_and_nothing_else_does(farm: Farm) -> None:
    path = farm.folder("seal")
    put_sector(path, 3)
    for name in ("sealed", "cache"):
        (path / name / "fetching" / "s-t01000-9").mkdir(parents=True)
        (path / name / "fetching" / "s-t01000-9" / "half").write_bytes(b"x")
    await farm.store(path)
    assert not list((path / "sealed" / "fetching").iterdir())
    assert farm.index.where(sector(9), FileType.CACHE) == {}
    assert (path / "sealed" / "s-t01000-3").exists()


async def test_a_worker_that_shares_a_path_leaves_what_the_other_is_fetching(farm: Farm) -> None:
    path = farm.folder("seal")
    fetching = path / "cache" / "fetching"
    first = await farm.store(path)
    for name, idle in (("s-t01000-8", 0), ("s-t01000-9", 2 * IDLE), ("s-t01000-7.replaced", 2 * IDLE)):
        (fetching / name).mkdir(parents=True)
        (fetching / name / "half").write_bytes(b"x")
        then = time.time() - idle
        for one in (fetching / name / "half", fetching / name):
            os.utime(one, (then, then))
    second = await farm.store(path)
    assert {left.name for left in fetching.iterdir()} == {"s-t01000-8", "s-t01000-7.replaced"}, (
        "9 has died of old"
    )
    await first.close()
    await second.close()
    await farm.store(path)
    assert not list(fetching.iterdir()), "nobody else has it open: all of it is left over"


def test_a_path_whose_process_was_killed_is_in_use_no_more(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from lotus_sched_cli.storage.inuse import InUse;"
        "held = InUse(pathlib.Path(sys.argv[1])); print(held.take(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"False\n"
        mine = InUse(tmp_path)
        assert mine.take()
        other.kill()
    assert not mine.take()
    mine.release()


@pytest.mark.parametrize("name", [".DS_Store", "s-t01000-1.tmp", "s-f01000-1", "x"])
async def test_a_foreign_entry_is_named_with_its_place(farm: Farm, name: str) -> None:
    path = farm.folder("seal")
    (path / "sealed").mkdir()
    (path / "sealed" / name).touch()
    with pytest.raises(StorageError) as error:
        await farm.store(path)
    assert str(error.value) == (
        f"parse sector id {name}: sscanf sector name ('{name}'): input does not match format; "
        f"move {path}/sealed/{name} out of {path}/sealed"
    )
    (path / "sealed" / name).unlink()
    await farm.store(path)  # nothing of the first try is left behind


async def test_start_errors_are_lotus_ones(farm: Farm) -> None:
    store = await farm.store()
    gone = farm.root / "gone"
    with pytest.raises(StorageError, match=f"^opening path {gone}: reading storage metadata for {gone}: open "
                       f"{gone}/sectorstore.json: no such file or directory"):  # fmt: skip
        await store.open_all([gone])
    gone.mkdir()
    (gone / "sectorstore.json").write_text("{")
    with pytest.raises(StorageError, match=f"unmarshalling storage metadata for {gone}"):
        await store.open_path(gone)
    path = farm.folder("seal")
    opened = await store.open_path(path)
    with pytest.raises(StorageError, match=f"path with ID {opened.id} already opened: '{path}'"):
        await store.open_path(path)


async def test_ten_thousand_sectors_attach_in_seconds(farm: Farm) -> None:
    path = farm.folder("long", seal=False, store=True)
    (path / "sealed").mkdir()
    for number in range(10_000):
        (path / "sealed" / f"s-t01000-{number}").touch()
    seen: list[tuple[int, int]] = []
    store = await farm.store()
    async with asyncio.timeout(10):
        await store.open_path(path, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (10_000, 10_000) and len(farm.index.decls) == 10_000


async def test_a_refused_declaration_fails_the_opening_as_it_came(farm: Farm) -> None:
    path = farm.folder("seal")
    put_sector(path, 3)
    farm.index.down.add("StorageDeclareSector")
    store = await farm.store()
    with pytest.raises(Exception, match=r"^StorageDeclareSector: the index is away$"):
        await store.open_path(path)
    assert store.paths() == []


async def test_redeclare_reads_the_settings_again_and_drops_what_is_missing(farm: Farm) -> None:
    path = farm.folder("seal")
    put_sector(path, 3)
    put_sector(path, 4)
    store = await farm.store(path)
    id = store.paths()[0].id
    (path / "sealed" / "s-t01000-3").unlink()
    meta = json.loads((path / "sectorstore.json").read_text())
    (path / "sectorstore.json").write_text(json.dumps({**meta, "Weight": 77}))
    await store.redeclare(id)
    assert farm.index.where(sector(3), FileType.SEALED) == {id: False}
    await store.redeclare(id, drop_missing=True)
    assert farm.index.where(sector(3), FileType.SEALED) == {}
    assert farm.index.where(sector(3), FileType.CACHE) == {id: False}
    assert farm.index.infos[id].Weight == 77
    await store.redeclare("unknown")


async def test_a_detached_path_is_out_of_the_index_and_keeps_its_files(farm: Farm) -> None:
    path = farm.folder("seal")
    put_sector(path, 3)
    store = await farm.store(path)
    await store.detach(store.paths()[0].id)
    assert store.paths() == [] and farm.index.infos == {}
    assert (path / "sealed" / "s-t01000-3").exists()


class Hanging(DiskSpace):
    """A dead mount: asked for one path's space it never answers until it is let go."""

    def __init__(self) -> None:
        self.dead: set[Path] = set()
        self.let_go = threading.Event()
        self.asked = 0

    def volume(self, root: Path) -> Volume:
        if root in self.dead:
            self.asked += 1
            self.let_go.wait(30)
        return super().volume(root)


async def test_a_dead_mount_makes_its_own_report_ill_and_no_other(farm: Farm) -> None:
    good, dead = farm.folder("good"), farm.folder("dead")
    space = Hanging()
    store = await farm.store(good, dead, space=space, stat_timeout=0.05)
    ids = {p.root: p.id for p in store.paths()}
    space.dead.add(dead)
    for _ in range(3):
        await store.report()
    assert [r.Err for r in farm.index.health[ids[good]]] == ["", "", ""]
    assert all("does not answer" in r.Err for r in farm.index.health[ids[dead]])
    assert space.asked == 1  # no thread more for each report
    async with asyncio.timeout(2):
        await store.stat(ids[good])
    space.dead.clear()
    space.let_go.set()
    while farm.index.health[ids[dead]][-1].Err:
        await store.report()


async def test_an_unmounted_disk_is_said_before_anything_is_written_into_its_empty_folder(farm: Farm) -> None:
    path = farm.folder("seal")
    store = await farm.store(path)
    (path / "sectorstore.json").unlink()
    await store.report()
    assert "is the disk mounted?" in farm.index.health[store.paths()[0].id][0].Err


async def test_what_the_index_did_not_hear_is_told_with_the_next_report(farm: Farm) -> None:
    store = await farm.store(farm.folder("seal"))
    id = store.paths()[0].id
    farm.index.down |= {"StorageDeclareSector", "StorageReportHealth"}
    assert not await store.declare(id, sector(5), FileType.SEALED, True)
    await store.report()
    farm.index.down.clear()
    await store.report()
    assert farm.index.where(sector(5), FileType.SEALED) == {id: True}
    before = len(farm.index.said)
    await store.report()
    assert [call[0] for call in farm.index.said[before:]] == ["StorageReportHealth"]


def test_names() -> None:
    assert parse_name("s-t01000-15") == sector(15)
    for bad in ("s-t01000-99999999999999999999", "s-t01000-", "fetching"):
        with pytest.raises(StorageError):
            parse_name(bad)


async def test_a_read_only_path_opens_without_its_folders(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = farm.root / "preseal"
    path.mkdir()
    (path / "sectorstore.json").write_text('{"ID":"2438fc77","Weight":0,"CanSeal":false,"CanStore":false}')

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert (await farm.store(path)).paths()[0].id == "2438fc77"


async def test_storage_paths_answer_for_the_worker(farm: Farm) -> None:
    path = farm.folder("seal")
    store: Store = await farm.store(path)
    (told,) = store.storage_paths()
    assert (told.LocalPath, told.Weight, told.CanSeal, told.CanStore) == (str(path), 10, True, False)


async def test_a_dead_mount_does_not_keep_the_others_from_being_redeclared(farm: Farm) -> None:
    good, dead = farm.folder("good"), farm.folder("dead")
    store = await farm.store(good, dead)
    put_sector(good, 3)
    (dead / "sectorstore.json").unlink()
    await store.redeclare()
    assert farm.index.where(sector(3), FileType.SEALED)
    with pytest.raises(StorageError, match="reading storage metadata"):
        await store.redeclare(next(p.id for p in store.paths() if p.root == dead))


async def test_a_declaration_cut_off_by_a_kill_is_told_again(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await farm.store(farm.folder("seal"))
    id = store.paths()[0].id
    calling = asyncio.Event()

    async def slow(*_: object) -> None:
        calling.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(farm.index, "StorageDeclareSector", slow)
        task = asyncio.create_task(store.declare(id, sector(5), FileType.SEALED, False))
        await calling.wait()
        task.cancel()
        await asyncio.wait({task})
    await store.report()
    assert farm.index.where(sector(5), FileType.SEALED) == {id: False}
