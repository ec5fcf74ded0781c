"""Our miner in the state in which the recorded one was when a scenario began.

What was told to the recorded miner before is told to ours: paths, files, health, workers. The sectors are laid into its
store as the recorded miner showed them. What a miner does with its own hands (the final move into its own paths) was on
no wire: files there are laid into the index as the recorded answers show them.
"""

from __future__ import annotations

import asyncio
import io
import math
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from lotus_sched_cli.core.events import ALL_TYPES
from lotus_sched_cli.core.pipeline import Piece, Sector
from lotus_sched_cli.core.pipeline.states import State
from lotus_sched_cli.core.tasks import FILE_TYPES_BY_NAME, FileType, SectorId
from lotus_sched_cli.lotus import gojson
from lotus_sched_cli.lotus.repo import Repo
from lotus_sched_cli.lotus.types import FsStat, HealthReport, SectorID, SectorInfo, StorageInfo
from lotus_sched_cli.miner import sector_rows, workers
from lotus_sched_cli.miner.api import MinerAPI
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.daemon import run
from lotus_sched_cli.miner.init import STORE, init
from lotus_sched_cli.miner.options import MinerInitOptions, MinerRunOptions
from lotus_sched_cli.miner.records import LogRow
from lotus_sched_cli.miner.store import Store
from lotus_sched_cli.storage.meta import parse_name

from . import left_out
from .mapping import Mapping
from .recording import ADDRESSES, Exchange, before, exchanges, folder, timeline
from .standin import StandInWorker

#: The recorded miner's own paths: folder below /mnt, file in the recordings.
OWN_PATHS = {
    "preseal": "miner-after-init/preseal_sectorstore.json",
    "lotusminer": "miner-running/sectorstore.json",
    "long": "paths/miner_attach_init_store_weight20.sectorstore.json",
}
#: Scenarios at whose beginning the miner was started anew, without a call that said so.
RESTARTED = ("s24-winningpost",)
#: Path, sector, one type of file; and how an answer shows it.
Place = tuple[str, SectorId, FileType]
There = Literal["gone", "listed", "copy", "primary"]
#: As the recorded farm had it, but a chain that stands still and no work of the miner's own.
CONFIG = """
[API]
ListenAddress = "/ip4/127.0.0.1/tcp/0/http"
[Storage]
AllowAddPiece = false
AllowPreCommit1 = false
AllowPreCommit2 = false
AllowCommit = false
AllowUnseal = false
AllowReplicaUpdate = false
AllowProveReplicaUpdate2 = false
AllowRegenSectorKey = false
[Chain]
BlockDelaySecs = 4
"""


@dataclass
class Stage:
    """Our miner, its stand-in workers, and what stands for what."""

    repo: Path
    mapping: Mapping
    patch: pytest.MonkeyPatch
    workers: dict[str, StandInWorker] = field(default_factory=dict)
    #: It was told to shut down; what comes next is for the process after it.
    ended: bool = False

    async def start(self) -> None:
        bound: asyncio.Future[Miner] = asyncio.get_running_loop().create_future()
        bind = MinerAPI.bind

        def remember(api: MinerAPI, miner: Miner) -> None:
            bind(api, miner)
            bound.set_result(miner)

        options = MinerRunOptions(miner_repo=self.repo, environ={}, heartbeat=3600, manage_fdlimit=False)
        with self.patch.context() as patch:
            patch.setattr(MinerAPI, "bind", remember)
            self.daemon = asyncio.create_task(run(options))
            await asyncio.wait({self.daemon, bound}, return_when=asyncio.FIRST_COMPLETED)
            if self.daemon.done():
                self.daemon.result()
        self.miner = bound.result()
        async with asyncio.timeout(20):
            while not (self.repo / "api").exists():
                assert not self.daemon.done()
                await asyncio.sleep(0.01)
        port = int((self.repo / "api").read_text().split("/")[4])
        self.mapping.ports["miner"] = port
        config = self.repo / "config.toml"
        config.write_text(config.read_text().replace("/tcp/0/", f"/tcp/{port}/"))

    async def stop(self) -> None:
        self.miner.stop.set()
        await asyncio.wait_for(self.daemon, 20)

    async def before(self, e: Exchange) -> None:
        """What had come about in the recorded farm when this was asked."""
        if self.ended:
            await self.stop()
            await self.start()
        self.ended = e.method == "Shutdown"
        for worker in self.workers.values():
            worker.now = e.t
            worker.dead = e.method == "StorageStat" and e.error is not None
        if e.method == "PledgeSector":
            # Lotus asks each worker what it does whenever it schedules, ours now and then
            for registered in self.miner.workers.live():
                registered.hurry.set()
        await self.until(lambda: self.ready(e), f"{e.label} {e.params}")
        if e.method == "StorageRedeclareLocal":
            lay_meta(self.repo.parent, e.t, e.t + 600)
        await self.lay(e)

    async def until(self, done: Callable[[], bool], what: str) -> None:
        for _ in range(2000):
            if done():
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"our miner was not ready for {what} within 20 s")

    def ready(self, e: Exchange) -> bool:
        """Our miner has done what this builds on: asked for the piece that is added, queued the task that is removed."""
        if e.method == "PledgeSector":
            told = {worker.url: worker.tasks() for worker in self.workers.values()}
            known = {w.url: {t.value for t in w.tasks} for w in self.miner.workers.live() if w.url in told}
            return all(told[url] == tasks for url, tasks in known.items())
        if e.method == "ReturnAddPiece" and e.params[0]["Sector"]["Number"] in pledged(e.scenario):
            return any(e.params[0]["ID"] in worker.given for worker in self.workers.values())
        if e.method == "SealingSchedDiag" and e.result:
            removed = {m.params[0] for m in exchanges(e.scenario) if m.method == "SealingRemoveRequest"}
            wanted = [r for r in e.result["SchedInfo"]["Requests"] or () if r["SchedId"] in removed]
            queued = {(q.task.sector.number, q.task.type) for q in self.miner.dispatch.scheduler.queue()}
            return all((r["Sector"]["Number"], r["TaskType"]) in queued for r in wanted)
        return True

    @property
    def own(self) -> set[str]:
        return {path.id for path in self.miner.local.paths()}

    async def lay(self, e: Exchange) -> None:
        """What the recorded miner's own hands had done by now, as its answers about its own paths show."""
        if e.body is None or left_out.mispaired(e):
            return
        parts = e.path.split("?")[0].split("/")
        if parts[1] == "remote" and len(parts) == 4 and e.to == "miner" and e.status in (200, 206, 416):
            await self._lay_file(parts[2], parts[3], e)
        for place, there in self.shown(e, self.own).items():
            await self.put(place, there)

    def shown(self, e: Exchange, paths: AbstractSet[str]) -> dict[Place, There]:
        """What an answer shows of these paths."""
        found: dict[Place, There] = {}
        if e.method == "StorageFindSector" and isinstance(e.result, list) and not e.params[3]:
            sector, kinds = _sector(e.params[0]), FileType(e.params[1]).each()
            there = {entry["ID"]: entry["Primary"] for entry in e.result}
            if len(kinds) == 1:
                for path in paths:
                    primary = there.get(path)
                    found[path, sector, kinds[0]] = (
                        "gone" if primary is None else "primary" if primary else "copy"
                    )
        elif e.method == "StorageList" and isinstance(e.result, dict):
            for path in paths & e.result.keys():
                there = {_sector(entry): FileType(entry["SectorFileType"]) for entry in e.result[path] or ()}
                for sector in {*there, *self.miner.index.sectors_on(path)}:
                    for kind in ALL_TYPES.each():
                        found[path, sector, kind] = (
                            "listed" if there.get(sector, FileType.NONE) & kind else "gone"
                        )
        return found

    async def put(self, place: Place, there: There) -> None:
        """Lay a file, or take it away; one that only a list shows is what its path makes it."""
        path, sector, kind = place
        known = self.miner.index.holders(sector).get(path)
        if there == "gone":
            await self.miner.index.drop_sector(path, sector, kind)
        elif known is None or not known.types & kind:
            can_store = self.miner.index.paths[path].info.CanStore
            await self.miner.index.declare(
                path, sector, kind, can_store if there == "listed" else there == "primary"
            )
        elif there != "listed" and bool(known.primary & kind) != (there == "primary"):
            await self.miner.index.drop_sector(path, sector, kind)
            await self.miner.index.declare(path, sector, kind, there == "primary")

    async def find(self, scenario: str) -> None:
        """What was told to the recorded miner between two recordings, as its answers show it before it is told anew."""
        settled: set[Place] = set()
        for e in exchanges(scenario):
            if e.to != "miner" or e.error is not None or left_out.mispaired(e):
                continue
            if e.method in ("StorageDeclareSector", "StorageDropSector"):
                sector = _sector(e.params[1])
                settled.update((e.params[0], sector, kind) for kind in FileType(e.params[2]).each())
            for place, there in self.shown(e, self.miner.index.paths.keys() - self.own).items():
                if place not in settled:
                    await self.put(place, there)
                    if there != "listed":  # which says nothing of a copy
                        settled.add(place)

    async def _lay_file(self, kind: str, name: str, e: Exchange) -> None:
        """A file in the miner's own path, as it was given; a part of it stands for two KiB."""
        if kind not in FILE_TYPES_BY_NAME or e.verb != "GET":
            return
        file = self.repo / kind / name
        if e.answer_header("Content-Type") == "application/x-tar":
            file.mkdir(exist_ok=True)
            with tarfile.open(fileobj=io.BytesIO((e.answer or b"") + bytes(1024))) as tar:
                for member in tar:
                    data = tar.extractfile(member)
                    (file / member.name).write_bytes(data.read() if data else b"")
        elif not file.exists():
            file.write_bytes(e.answer if e.status == 200 and e.answer else bytes(2048))
        own = next(path.id for path in self.miner.local.paths() if path.root == self.repo)
        await self.miner.index.declare(own, parse_name(name), FILE_TYPES_BY_NAME[kind], True)

    def forget(self) -> None:
        """The recorded miner's process ended: what it had been told must be told again."""
        for path_id, path in self.miner.index.paths.items():
            for sector in self.miner.index.sectors_on(path_id):
                for files in self.miner.index.on(sector):
                    files.confirmed = FileType.NONE
            if path_id not in self.own:
                path.attached, path.beat = False, -math.inf

    async def hear(self, told: Iterable[Exchange], until: float) -> None:
        """Take in what was said before ``until``, without the wire."""
        index, connected = self.miner.index, dict[str, str]()
        restarts = sorted(exchanges(scenario)[0].t for scenario in RESTARTED)
        for e in told:
            while restarts and restarts[0] < e.t:
                del restarts[0]
                connected.clear()
                self.forget()
            if e.error is not None or not e.method:
                continue
            if e.to == "miner":
                params = msgspec.json.decode(self.mapping.ours(msgspec.json.encode(e.params or [])))
                match e.method:
                    case "StorageAttach":
                        await index.attach(_as(StorageInfo, params[0]), _as(FsStat, params[1]))
                    case "StorageReportHealth":
                        index.report(params[0], _as(HealthReport, params[1]))
                    case "StorageDeclareSector":
                        await index.declare(params[0], _sector(params[1]), params[2], params[3])
                    case "StorageDropSector":
                        await index.drop_sector(params[0], _sector(params[1]), params[2])
                    case "StorageDetach":
                        await index.detach(params[0], params[1])
                    case "Shutdown":
                        connected.clear()
                        self.forget()
                    case "WorkerConnect":
                        connected[e.params[0]] = params[0]
                    case _:
                        await self.lay(e)
            elif e.method in ("Shutdown", "StorageDetachAll"):
                gone = ADDRESSES[e.to]
                connected = {k: url for k, url in connected.items() if gone not in k}
        if restarts and restarts[0] <= until:
            connected.clear()
            self.forget()
        for url in connected.values():
            if url in {w.url for w in self.workers.values()}:
                await self.miner.workers.connect(url)


@asynccontextmanager
async def staged(
    scenario: str, tmp: Path, patch: pytest.MonkeyPatch, without: str = ""
) -> AsyncIterator[Stage]:
    """Our miner, ready for the first exchange of a scenario; ``without``: the worker that no stand-in plays."""
    repo = await _repo(tmp, scenario)
    patch.setattr(workers, "TASKS_EVERY", 1)
    stage = Stage(repo, Mapping(Repo(repo, "miner").secret(), tmp / "mnt"), patch)
    try:
        begin = exchanges(scenario)[0].t
        called = {e.to for e in exchanges(scenario) if e.sender == "miner"}
        for name in {"worker-1", "worker-2"} | called - {without}:
            stage.workers[name] = StandInWorker(name, stage.mapping, begin)
            await stage.workers[name].start()
        await stage.start()
        try:
            await stage.hear(before(scenario), begin)
            await stage.find(scenario)
            yield stage
        finally:
            await stage.stop()
    finally:
        for worker in stage.workers.values():
            await worker.stop()


async def _repo(tmp: Path, scenario: str) -> Path:
    repo = tmp / "mnt" / "lotusminer"
    repo.parent.mkdir(parents=True)
    await asyncio.to_thread(
        init,
        MinerInitOptions(
            miner_repo=repo,
            sector_size="2KiB",
            environ={},
            proofs="stand-in",
            first_sector=next_sector(scenario),
        ),
    )
    (repo / "config.toml").write_text(CONFIG)
    for name, file in OWN_PATHS.items():
        path = tmp / "mnt" / name
        path.mkdir(exist_ok=True)
        shutil.copyfile(folder() / "repo" / file, path / "sectorstore.json")
    lay_meta(tmp / "mnt", exchanges(scenario)[0].t, exchanges(scenario)[-1].t)
    listed = {"StoragePaths": [{"Path": str(tmp / "mnt" / name)} for name in ("preseal", "lotusminer")]}
    (repo / "storage.json").write_bytes(msgspec.json.encode(listed))
    store = await Store.open(repo / STORE)
    try:
        writes = store.writes()
        for info in sectors_at(scenario):
            writes.new_sector(sector_rows.to_row(_stored(info)))
            for i, line in enumerate(info.Log or ()):
                writes.log(info.SectorID, i, LogRow(line.Timestamp, line.Kind, line.Message, line.Trace))
            if info.Proof:
                writes.keep(info.SectorID, "proof", info.Proof)
        await writes.commit()
    finally:
        await store.close()
    return repo


def lay_meta(mnt: Path, t: float, end: float) -> None:
    """Operators edit ``sectorstore.json``: as the recorded miner told its paths first until ``end``, else last before."""
    told = [e for e in timeline() if (e.to, e.method) == ("miner", "StorageInfo") and e.result]
    for file in mnt.glob("*/sectorstore.json"):
        meta = msgspec.json.decode(file.read_bytes())
        of = [e for e in told if e.params[0] == meta["ID"]]
        if of:
            past = [e for e in of if e.t <= t]
            said = next((e for e in of if t < e.t <= end), past[-1] if past else of[0]).result
            file.write_bytes(
                msgspec.json.encode(
                    {k: said[k] or v if k.endswith("Types") else said[k] for k, v in meta.items()}
                )
            )


def next_sector(scenario: str) -> int:
    """The number that the recorded miner gave to the next sector; a few were pledged while nothing was recorded."""
    return min(pledged(scenario), default=2)


def pledged(scenario: str) -> set[int]:
    """Numbers of the sectors that were pledged in it."""
    return {e.result["Number"] for e in exchanges(scenario) if e.method == "PledgeSector" and e.result}


def sectors_at(scenario: str) -> list[SectorInfo]:
    """The sectors as the recorded miner showed them: at the scenario's first look, else at the last before."""
    here = [e for e in exchanges(scenario) if e.to == "miner"]
    past = [e for e in before(scenario) if e.to == "miner"]
    known: dict[int, dict[str, Any]] = {}
    for e in [*past, *reversed(here)]:
        if e.method == "SectorsStatus" and e.result:
            known[e.params[0]] = e.result
    listed = [e.result for e in past if e.method == "SectorsList" and e.result is not None][-1:]
    listed += [e.result for e in here if e.method == "SectorsList" and e.result is not None][:1]
    numbers = set(listed[-1] if listed else known) - pledged(scenario)
    return [_as(SectorInfo, known[n]) for n in sorted(numbers & known.keys())]


def _stored(info: SectorInfo) -> Sector:
    at = float(info.Log[-1].Timestamp) if info.Log else 0.0
    state = State(info.State)
    return Sector(
        id=SectorId(1000, info.SectorID), proof=info.SealProof, state=state,
        created_at=float(info.Log[0].Timestamp) if info.Log else 0.0, entered_at=at, log_count=len(info.Log or ()),
        pieces=tuple(Piece(p.Piece.Size, str(p.Piece.PieceCID)) for p in info.Pieces or ()),
        ticket=info.Ticket.Value, ticket_epoch=info.Ticket.Epoch, seed=info.Seed.Value, seed_epoch=info.Seed.Epoch,
        comm_d=_text(info.CommD), comm_r=_text(info.CommR), has_proof=info.Proof is not None,
        precommit_message=_text(info.PreCommitMsg), commit_message=_text(info.CommitMsg),
        proven=state is State.PROVING, finalized=state is State.PROVING, last_error=info.LastErr,
    )  # fmt: skip


def _text(cid: Any) -> str | None:
    return None if cid is None else str(cid)


def _as(kind: Any, value: Any) -> Any:
    return gojson.decoder(kind)(msgspec.json.encode(value))


def _sector(value: Any) -> SectorId:
    return _as(SectorID, {"Miner": value["Miner"], "Number": value["Number"]}).id
