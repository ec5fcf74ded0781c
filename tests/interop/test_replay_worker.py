"""What the recorded miner, commands and other workers asked a stock worker, ours is asked, in its order."""

from __future__ import annotations

import asyncio
import io
import shutil
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import FILE_TYPES_BY_NAME, SectorId
from lotus_sched_cli.storage.meta import parse_name
from lotus_sched_cli.worker.options import RunOptions
from lotus_sched_cli.worker.run import run

from . import left_out
from .mapping import Mapping
from .player import differences, playing
from .recording import Exchange, exchanges, folder, need, scenarios
from .stage import Stage, staged

pytestmark = [pytest.mark.captures, pytest.mark.slow]

STORE2 = "79f2023f-6cf9-491a-a539-d0c4d7c9be2b"
WORKERS = ("worker-1", "worker-2")


def scenes() -> list[tuple[str, str]]:
    return [(s, w) for s in scenarios() for w in WORKERS if any(e.to == w for e in exchanges(s))]


def waits_in_vain(e: Exchange) -> bool:
    """A wait for quiet whose client went before it came."""
    return e.method == "WaitQuiet" and not e.answer


class OurWorker:
    """Our worker in a recorded one's place, with its path and id; files come as the recorded answers show them."""

    def __init__(self, name: str, stage: Stage, root: Path, *, busy: bool) -> None:
        self.busy = busy
        self.name = name
        self.stage = stage
        self.mapping = Mapping(stage.mapping.secret, root, stage.mapping.ports)
        self.root = root

    async def start(self) -> None:
        repo = self.root / "lotusworker"
        repo.mkdir(parents=True)
        recorded = folder() / "repo" / f"{self.name}-running"
        # All but nothing; where the recorded worker was still busy, a piece CID 15 minutes, which keeps ours so.
        slow = '[durations]\nDC = "2500000h"\n' if self.busy else ""
        (self.root / "quick.toml").write_text(f"speed = 1e7\n{slow}")
        port = self.stage.mapping.ports["miner"]
        token = self.mapping.ours(_admin()).decode()
        self.task = asyncio.create_task(
            run(
                RunOptions(
                    worker_repo=repo,
                    miner_repo=self.root / "none",
                    name=self.name,
                    listen="127.0.0.1:0",
                    sealer="simulated",
                    sealer_config=self.root / "quick.toml",
                    environ={"MINER_API_INFO": f"{token}:/ip4/127.0.0.1/tcp/{port}/http"},
                    heartbeat=3600,
                    no_local_storage=True,
                )
            )
        )
        async with asyncio.timeout(30):
            while not (repo / "api").exists() or not self._registered():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.01)
        self.mapping.ports[self.name] = int((repo / "api").read_text().split("/")[4])
        path = self.root / "path"
        path.mkdir()
        shutil.copyfile(recorded / "sectorstore.json", path / "sectorstore.json")

    def _registered(self) -> bool:
        return any(w.registered and w.name == self.name for w in self.stage.miner.workers.by_id.values())

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def before(self, e: Exchange) -> None:
        await self.stage.before(e)
        if waits_in_vain(e):
            # It worked until after its client had gone.
            await self.say("DataCid", 127, {"Type": "null", "Info": "127"})
        parts = e.path.split("?")[0].split("/")
        named = len(parts) == 4 and parts[2] in FILE_TYPES_BY_NAME and parts[3].startswith("s-t0")
        if parts[1] == "remote" and named:
            # Its own tasks make and clear files of the same sector meanwhile.
            await self.say("WaitQuiet")
        if parts[1] == "remote" and named and e.verb == "GET":
            await self._lay(parts[2], parse_name(parts[3]), e)
        elif parts[1] == "remote" and named and e.verb == "DELETE" and e.status == 200:
            await self._lay_any(parts[2], parse_name(parts[3]))
        elif e.method == "StorageAddLocal" and e.error is None:
            self._lay_path(Path(self.mapping.ours(e.params[0].encode()).decode()))
        elif parts[1:3] == ["remote", "stat"] and e.status == 200 and parts[3] == STORE2:
            await self._open_store2()

    async def _lay(self, kind: str, sector: SectorId, e: Exchange) -> None:
        """The file that the recorded worker gave, or none."""
        path = self.root / "path" / kind / str(sector)
        index, store = self.stage.miner.index, self._id()
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        if e.status != 200 or e.answer is None:
            await index.drop_sector(store, sector, FILE_TYPES_BY_NAME[kind])
            return
        path.parent.mkdir(exist_ok=True)
        if e.answer_header("Content-Type") == "application/x-tar":
            path.mkdir()
            with tarfile.open(fileobj=io.BytesIO(e.answer + bytes(1024))) as tar:
                for member in tar:
                    data = tar.extractfile(member)
                    (path / member.name).write_bytes(data.read() if data else b"")
        else:
            path.write_bytes(e.answer)
        await index.declare(store, sector, FILE_TYPES_BY_NAME[kind], False)

    async def _lay_any(self, kind: str, sector: SectorId) -> None:
        """There was something to delete."""
        path = self.root / "path" / kind / str(sector)
        if not path.exists():
            path.write_bytes(b"x")
            await self.stage.miner.index.declare(self._id(), sector, FILE_TYPES_BY_NAME[kind], False)

    def _lay_path(self, path: Path) -> None:
        """The operator had made a path there by then."""
        path.mkdir(parents=True, exist_ok=True)
        made = "store_weight1000" if path.name == "store2" else "seal_max_groups"
        file = folder() / "repo" / "paths" / f"worker_attach_init_{made}.sectorstore.json"
        shutil.copyfile(file, path / "sectorstore.json")

    async def _open_store2(self) -> None:
        """Attached in an earlier scenario."""
        path = self.root / "store2"
        if path.exists():
            return
        self._lay_path(path)
        await self.say("StorageAddLocal", str(path))

    async def say(self, method: str, *params: object) -> None:
        async with playing(f"http://127.0.0.1:{self.mapping.ports[self.name]}", self.mapping) as player:
            token = {"Authorization": f"Bearer {self.mapping.ours(_admin()).decode()}"}
            await player.say(method, token, *params)

    def _id(self) -> str:
        return {
            "worker-1": "c549afde-5a56-4f58-8823-4b5881a15dff",
            "worker-2": "54a255f9-5e5e-49fc-85bb-b6c9c83f6a99",
        }[self.name]


def _admin() -> bytes:
    from .mapping import good_tokens

    return max(good_tokens(), key=len)


@asynccontextmanager
async def our_worker(
    scenario: str, name: str, tmp: Path, patch: pytest.MonkeyPatch
) -> AsyncIterator[OurWorker]:
    async with staged(scenario, tmp, patch, without=name) as stage:
        unended = [e for e in exchanges(scenario) if e.to == name and waits_in_vain(e)]
        worker = OurWorker(name, stage, tmp / name, busy=bool(unended))
        await worker.start()
        try:
            await worker.say("StorageAddLocal", str(worker.root / "path"))
            yield worker
        finally:
            await worker.stop()


@pytest.mark.parametrize(("scenario", "name"), scenes() or [("none", "none")])
async def test_our_worker_answers_as_lotuss_did(
    scenario: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need()
    asked = [e for e in exchanges(scenario) if e.to == name and left_out.why(e) is None]
    async with (
        our_worker(scenario, name, tmp_path, monkeypatch) as worker,
        playing(f"http://127.0.0.1:{worker.mapping.ports[name]}", worker.mapping) as player,
    ):
        found = await player.play(asked, worker.before, differences)
    assert not found, f"{len(found)} of {len(asked)} differ:\n" + "\n".join(found[:60])
