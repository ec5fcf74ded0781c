"""Calls: kept before they are answered, returned until taken, found again when asked twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TextIO

import msgspec
import pytest

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus import methods
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.rpc.client import HttpCaller, LocalCaller
from lotus_sched_cli.lotus.rpc.engine import Engine
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.rpc.streams import NullReader
from lotus_sched_cli.lotus.types import CallError, CallID, PieceInfo, SectorCids, SectorID, SectorRef
from lotus_sched_cli.sealers.simconfig import Failure, SimConfig
from lotus_sched_cli.sealers.simulated import TASKS, SimulatedSealer
from lotus_sched_cli.storage.errors import AllocateSpaceError, StorageError
from lotus_sched_cli.storage.index import RpcIndex
from lotus_sched_cli.storage.meta import init_path
from lotus_sched_cli.storage.store import Store
from lotus_sched_cli.worker.api import WorkerAPI
from lotus_sched_cli.worker.calls import Call, Calls, DiskCalls, MemoryCalls
from lotus_sched_cli.worker.profile import Profile
from lotus_sched_cli.worker.worker import Worker

from .fake_miner import FakeMiner

REF = SectorRef(SectorID(1000, 15), 5)
TICKET = bytes([1]) * 32
NEVER = dict.fromkeys(TASKS, 3600.0)


class Bench:
    """A worker in this process against a miner over HTTP; `reborn` is what a new process finds."""

    def __init__(self, miner: FakeMiner, root: Path) -> None:
        self.miner = miner
        self.root = root
        self.open: list[Callable[[], Awaitable[None]]] = []

    async def worker(
        self, config: SimConfig | None = None, calls: Calls | None = None, retry: float = 0.02
    ) -> Worker:
        line = HttpCaller(f"http://127.0.0.1:{self.miner.port}/rpc/v0", self.miner.token)
        store = Store(RpcIndex(line), "http://127.0.0.1:1/remote")
        path = self.root / "path"
        if not path.exists():
            init_path(path, seal=True, store=True)
        if calls is None:
            calls = DiskCalls(self.root / "calls.db")
            await calls.open()
        sealer = SimulatedSealer(config or SimConfig(speed=1e9))
        worker = Worker(
            miner=line,
            store=store,
            sealer=sealer,
            profile=Profile(name="w1", id="id", tasks=TASKS, caps=Caps()),
            calls=calls,
            return_retry=retry,
        )
        await store.open_path(path)
        self.api = WorkerAPI(worker, sealer, store)
        self.caller = LocalCaller(Engine(methods.WORKER, self.api))
        self.open += [worker.close, store.close, line.close]
        return worker

    async def reborn(self, config: SimConfig | None = None) -> Worker:
        """The process dies without a word, and another starts on the same repo."""
        await self.close()
        return await self.worker(config)

    async def close(self) -> None:
        for close in self.open:
            await close()
        self.open.clear()

    async def call(self, method: str, *params: Any) -> CallID:
        answer: CallID = await self.caller.call(method, *params, result=CallID)
        return answer

    async def done(self, method: str, *params: Any) -> Any:
        """The result of a call that succeeds."""
        returned = await self.miner.result_of(await self.call(method, *params))
        assert returned.error is None, returned.error
        return returned.result


@pytest.fixture
async def bench(miner: FakeMiner, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(miner, tmp_path)
    yield bench
    await bench.close()


async def test_a_sector_goes_through_every_task_and_ends_on_long_term_storage(bench: Bench) -> None:
    worker = await bench.worker()
    piece = await bench.done("AddPiece", REF, [], 2032, NullReader(2032))
    assert isinstance(piece, PieceInfo) and piece.Size == 2048
    await bench.done("Fetch", REF, 1, "sealing", "move")
    pc1 = await bench.done("SealPreCommit1", REF, TICKET, [piece])
    cids = await bench.done("SealPreCommit2", REF, pc1)
    assert isinstance(cids, SectorCids)
    c1 = await bench.done("SealCommit1", REF, TICKET, TICKET, [piece], cids)
    assert len(await bench.done("SealCommit2", REF, c1)) == 192
    await bench.done("ReleaseUnsealed", REF, None)
    await bench.done("FinalizeSector", REF)
    await bench.done("MoveStorage", REF, 6)
    assert [r.method.removeprefix("Return") for r in bench.miner.returned] == [
        "AddPiece", "Fetch", "SealPreCommit1", "SealPreCommit2", "SealCommit1", "SealCommit2", "ReleaseUnsealed",
        "FinalizeSector", "MoveStorage",
    ]  # fmt: skip
    cache = bench.root / "path" / "cache" / "s-t01000-15"
    assert {f.name for f in cache.iterdir()} == {"p_aux", "t_aux", "sc-02-data-tree-r-last.dat"}
    assert not bench.miner.where(1000, 15, FileType.UNSEALED)
    await worker.wait_quiet()
    assert worker.quiet


async def test_a_call_is_on_disk_before_it_is_answered_and_gone_once_its_return_is_taken(
    bench: Bench,
) -> None:
    worker = await bench.worker(SimConfig(durations=NEVER))
    call = await bench.call("SealCommit2", REF, b'{"comm_d":[]}')
    store = DiskCalls(bench.root / "calls.db")
    await store.open()
    assert [c.id for c in await store.held()] == [call]
    await worker.abort(call.ID)
    await bench.miner.result_of(call)
    await worker.wait_quiet()
    assert not await store.held()
    await store.close()


async def test_an_equal_call_is_answered_with_the_one_that_is_held_and_another_ticket_is_another_call(
    bench: Bench,
) -> None:
    await bench.worker(SimConfig(durations=NEVER))
    first = await bench.call("SealCommit2", REF, b'{"comm_d":[]}')
    assert await bench.call("SealCommit2", REF, b'{"comm_d":[]}') == first
    assert await bench.call("SealCommit2", REF, b'{"comm_d":[1]}') != first
    assert await bench.call("SealCommit2", SectorRef(SectorID(1000, 16), 5), b'{"comm_d":[]}') != first
    both = await asyncio.gather(*(bench.call("SealCommit2", REF, b'{"comm_d":[2]}') for _ in range(5)))
    assert len({c.ID for c in both}) == 1
    a, b = [await bench.call("AddPiece", REF, [], 2032, NullReader(2032)) for _ in range(2)]
    assert a == b


async def test_once_the_return_is_taken_an_equal_call_is_new(bench: Bench) -> None:
    await bench.worker()
    first = await bench.call("AddPiece", REF, [], 2032, NullReader(2032))
    await bench.miner.result_of(first)
    assert await bench.call("AddPiece", REF, [], 2032, NullReader(2032)) != first


async def test_a_return_is_offered_until_the_miner_takes_it(bench: Bench) -> None:
    await bench.worker()
    bench.miner.refuse_returns = True
    call = await bench.call("AddPiece", REF, [], 2032, NullReader(2032))
    await bench.miner.until(lambda: bench.miner.calls.count("ReturnAddPiece") >= 3, "three offers")
    assert await bench.call("AddPiece", REF, [], 2032, NullReader(2032)) == call, (
        "still held: the miner has not taken it"
    )
    bench.miner.refuse_returns = False
    assert (await bench.miner.result_of(call)).error is None


async def test_after_a_restart_finished_results_are_sent_and_unfinished_calls_come_back_with_101(
    bench: Bench,
) -> None:
    await bench.worker(SimConfig(jitter=0, durations=NEVER | {TaskType.ADD_PIECE: 0.0}))
    bench.miner.refuse_returns = True
    piece = await bench.call("AddPiece", REF, [], 2032, NullReader(2032))
    c2 = await bench.call("SealCommit2", REF, b'{"comm_d":[]}')
    await bench.miner.until(lambda: "ReturnAddPiece" in bench.miner.calls, "the piece to be offered")
    bench.miner.refuse_returns = False
    worker = await bench.reborn()
    await worker.return_leftovers()
    sent = {r.call: r for r in bench.miner.returned}
    assert sent[piece].error is None and sent[piece].result.Size == 2048
    assert sent[c2].method == "ReturnSealCommit2" and sent[c2].result is None
    assert sent[c2].error == CallError(101, "worker [name: w1] restarted")
    await worker.wait_quiet()


async def test_a_result_that_waits_is_still_the_answer_to_an_equal_call_after_the_restart(
    bench: Bench,
) -> None:
    await bench.worker()
    bench.miner.refuse_returns = True
    call = await bench.call("AddPiece", REF, [], 2032, NullReader(2032))
    await bench.miner.until(lambda: "ReturnAddPiece" in bench.miner.calls, "an offer")
    worker = await bench.reborn()
    await worker.return_leftovers()
    assert await bench.call("AddPiece", REF, [], 2032, NullReader(2032)) == call
    bench.miner.refuse_returns = False
    assert (await bench.miner.result_of(call)).error is None


async def test_a_failure_comes_back_with_the_workers_name_and_code_0(bench: Bench) -> None:
    rule = Failure(TaskType.COMMIT2, rate=1.0, text="no luck")
    await bench.worker(SimConfig(speed=1e9, failures=(rule,)))
    returned = await bench.miner.result_of(await bench.call("SealCommit2", REF, b'{"comm_d":[]}'))
    assert returned.result is None
    assert returned.error.Code == 0 and returned.error.Message.startswith("no luck")
    assert returned.error.Message.endswith("[name: w1]")


@pytest.mark.parametrize("kind", [StorageError, AllocateSpaceError])
async def test_a_path_that_is_no_utf_8_in_an_error_does_not_lose_the_call(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: type[StorageError]
) -> None:
    worker = await bench.worker()

    async def broken(*_: Any) -> bytes:
        raise kind(f"{os.fsdecode(b'/mnt/disk-' + bytes([255]))}: Input/output error")

    monkeypatch.setattr(worker.sealer, "commit2", broken)
    returned = await bench.miner.result_of(await bench.call("SealCommit2", REF, b'{"comm_d":[]}'))
    assert returned.error.Code == kind.code
    assert returned.error.Message.startswith(r"/mnt/disk-\udcff: Input/output error")


async def test_no_room_is_code_102_and_no_path_at_all_code_0(bench: Bench) -> None:
    await bench.worker()
    other = next(iter(bench.miner.paths.values()))
    bench.miner.paths = {"elsewhere": msgspec.structs.replace(other, ID="elsewhere")}
    returned = await bench.miner.result_of(await bench.call("AddPiece", REF, [], 2032, NullReader(2032)))
    assert returned.error == CallError(102, "couldn't find a suitable path for a sector")
    bench.miner.paths.clear()
    returned = await bench.miner.result_of(await bench.call("AddPiece", REF, [], 2032, NullReader(2032)))
    assert returned.error.Code == 0 and "no good path found" in returned.error.Message


async def test_abort_answers_when_the_work_is_dead_and_an_equal_call_starts_anew(bench: Bench) -> None:
    worker = await bench.worker(SimConfig(durations=NEVER))
    call = await bench.call("SealCommit2", REF, b'{"comm_d":[]}')
    await bench.caller.call("AbortCall", call)
    assert not worker.running(TaskType.COMMIT2)
    assert await bench.call("SealCommit2", REF, b'{"comm_d":[]}') != call
    assert (await bench.miner.result_of(call)).error == CallError(0, "task aborted")
    await bench.caller.call("AbortCall", call)
    await bench.caller.call("AbortCall", CallID(REF.ID, "07070707-0707-0707-0707-070707070707"))


async def test_an_equal_call_during_an_offer_waits_for_its_answer(bench: Bench) -> None:
    """The miner that has just taken a failure and asks again must not be given the call that is over."""
    worker = await bench.worker()
    answer, offered = asyncio.Event(), asyncio.Event()

    class Slow:
        async def call(self, method: str, *params: Any, **_: Any) -> None:
            offered.set()
            await answer.wait()

        async def close(self) -> None: ...

    worker.miner = Slow()
    first = await bench.call("SealCommit2", REF, b"bad")
    await offered.wait()
    again = asyncio.create_task(bench.call("SealCommit2", REF, b"bad"))
    done, _ = await asyncio.wait({again}, timeout=0.05)
    assert not done
    answer.set()
    assert await again != first


async def test_a_disk_that_cannot_keep_a_call_refuses_it_and_one_that_cannot_keep_a_result_tries_on(
    bench: Bench,
) -> None:
    class Full(MemoryCalls):
        def __init__(self) -> None:
            super().__init__()
            self.full = True

        async def accept(self, call: Call) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            await super().accept(call)

        async def finish(self, call: CallID, returns: bytes) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            await super().finish(call, returns)

    disk = Full()
    worker = await bench.worker(SimConfig(jitter=0, durations=NEVER | {TaskType.ADD_PIECE: 0.05}), disk)
    with pytest.raises(RpcError, match=r"cannot keep the call.*No space left"):
        await bench.call("AddPiece", REF, [], 2032, NullReader(2032))
    assert worker.quiet
    disk.full = False
    call = await bench.call("AddPiece", REF, [], 2032, NullReader(2032))
    disk.full = True
    await asyncio.sleep(0.15)
    assert not bench.miner.returned, "nothing is said that is not kept"
    disk.full = False
    assert (await bench.miner.result_of(call)).error is None


async def test_tasks_that_the_sealer_lacks_are_refused_in_words(bench: Bench) -> None:
    await bench.worker()
    with pytest.raises(
        RpcError, match="the sealer 'simulated' of this worker cannot do seal/v0/replicaupdate"
    ):
        await bench.call("ReplicaUpdate", REF, [])
    with pytest.raises(RpcError, match="cannot do post/v0/windowproof"):
        await bench.caller.call("GenerateWindowPoSt", 5, 1000, [], 0, b"")


async def test_a_store_of_calls_that_is_no_database_or_newer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(UserError, match=r"calls\.db"):
        await DiskCalls(tmp_path / "calls.db").open()


def _accept_for_ever(file: Path, told: Path) -> None:
    async def work(out: TextIO) -> None:
        calls = DiskCalls(file)
        await calls.open()
        for n in range(100_000):
            call = Call(CallID(SectorID(1000, n), f"id-{n}"), "SealCommit2", b"p")
            await calls.accept(call)
            out.write(f"accepted {n}\n")
            await calls.finish(call.id, b"[null]")
            out.write(f"finished {n}\n")

    with told.open("a", buffering=1) as out:
        asyncio.run(work(out))


def test_kill_9_loses_no_call_that_was_answered_and_no_result_that_may_have_been_said(tmp_path: Path) -> None:
    file, told = tmp_path / "calls.db", tmp_path / "told"
    child = multiprocessing.get_context("spawn").Process(target=_accept_for_ever, args=(file, told))
    child.start()
    while not told.exists() or told.read_text().count("\n") < 50:
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()

    async def read() -> dict[int, bytes | None]:
        calls = DiskCalls(file)
        await calls.open()
        found = {call.id.Sector.Number: call.returns for call in await calls.held()}
        await calls.close()
        return found

    held = asyncio.run(read())
    for line in told.read_text().splitlines():
        what, number = line.split()
        assert int(number) in held
        assert what == "accepted" or held[int(number)] == b"[null]"
