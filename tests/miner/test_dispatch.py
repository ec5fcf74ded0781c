"""A task's way to a worker and back, with everything that can go wrong between (scheduling.md A7, wire §5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from miner.dispatch_stage import FakeWorker, Stage, stage

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import CallError, CallID, SectorID
from lotus_sched_cli.miner.records import Phase, TaskRow
from lotus_sched_cli.miner.store import StoreError
from lotus_sched_cli.miner.writes import Writes

C2, P1, P2, AP = TaskType.COMMIT2, TaskType.PRECOMMIT1, TaskType.PRECOMMIT2, TaskType.ADD_PIECE
FIN, GET = TaskType.FINALIZE, TaskType.FETCH
BROKEN = RpcConnectError("RPC client error: sendRequest failed: EOF", sent=True)
REFUSED = RpcConnectError("RPC client error: sendRequest failed: connection refused", sent=False)

Life = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    """Start a miner on the same store, again and again; the one before dies without a word."""
    lives: list[Stage] = []

    async def begin(**patience: float) -> Stage:
        fakes: dict[str, FakeWorker] = {}
        if lives:
            fakes = lives[-1].fakes
            await lives[-1].stop()
            await lives[-1].store.close()
        lives.append(await stage(tmp_path / "s.db", fakes, **patience))
        return lives[-1]

    yield begin
    await lives[-1].stop()
    await lives[-1].store.close()


async def test_a_task_is_sent_with_its_parameters_and_its_result_handed_over(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    row = await s.submit(1, C2, ["AQID"])
    await s.until(lambda: s.phase(row) == "running")
    await s.written()
    stored = await s.store.task(row.id)
    assert stored is not None
    assert (stored.phase, stored.worker_id, stored.call_id) == (Phase.RUNNING, "id-of-w", worker.last.ID)
    assert worker.calls[0][1] == [{"ID": {"Miner": 1000, "Number": 1}, "ProofType": 5}, "AQID"]
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, b'"cHJvb2Y="', "")]
    await s.until(lambda: s.phase(row) == "gone")
    assert await s.store.tasks() == []


async def test_the_line_that_runbooks_grep_is_said_once(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    from lotus_sched_cli.miner.dispatch import lines

    said: list[str] = []
    s = await life()
    worker = await s.worker("w", C2)
    quiet = {
        "info": staticmethod(lambda text, **_: said.append(text)),
        "debug": staticmethod(lambda *_, **__: None),
    }
    monkeypatch.setattr(lines, "log", type("Log", (), quiet))
    row = await s.submit(15, C2)
    await s.until(lambda: s.phase(row) == "running")
    assert said == [
        f"trySchedMine has sucessfully scheduled for sector s-t01000-15 taskType seal/v0/commit/2 to worker {worker.session[:8]}@w"
    ]


async def test_a_return_that_comes_before_the_answer_waits_for_it(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    early: list[asyncio.Task[None]] = []

    async def at_once(call: CallID) -> None:
        early.append(asyncio.create_task(s.returned(call, C2, b"proof")))
        await asyncio.sleep(0)

    worker.before_answer = at_once
    await s.submit(1, C2)
    await s.until(lambda: s.pipeline.done)
    await early[0]
    assert s.pipeline.done[0][1] == b'"cHJvb2Y="'


async def one_running(s: Stage, *, stock: bool = False) -> tuple[FakeWorker, TaskRow]:
    """A worker ``w``, and the C2 that runs there."""
    worker = await s.worker("w", C2, stock=stock)
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")
    return worker, row


async def test_unknown_and_repeated_returns_are_acknowledged(life: Life) -> None:
    s = await life()
    worker, row = await one_running(s)
    call = worker.last
    await asyncio.gather(*(s.returned(call, C2, b"proof") for _ in range(3)))
    await s.until(lambda: s.phase(row) == "gone")
    await s.returned(call, C2, b"proof")
    await s.returned(CallID(SectorID(1000, 99), "00000000-1111-0000-0000-000000000000"), C2, b"x")
    assert len(s.pipeline.done) == 1


async def test_what_cannot_be_stored_is_not_acknowledged(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    s = await life()
    worker, _ = await one_running(s)

    async def full(*_: object) -> None:
        raise StoreError("database or disk is full")

    with monkeypatch.context() as m:
        m.setattr(s.store._writer, "write", full)
        with pytest.raises(RpcError, match="not stored: database or disk is full"):
            await s.returned(worker.last, C2, b"proof")
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)


async def test_a_restarted_worker_s_task_is_queued_again_at_once(life: Life) -> None:
    s = await life()
    worker, _ = await one_running(s)
    first = worker.last
    worker.held.clear()
    await s.returned(first, C2, None, CallError(101, "worker [name: w] restarted"))
    await s.until(lambda: len(worker.calls) == 2)
    assert worker.last != first and not s.pipeline.done


@pytest.mark.parametrize(
    "error",
    [
        CallError(0, "seal failed"),
        CallError(0, "storage call error 5: no"),
    ],
)
async def test_a_failure_goes_to_the_pipeline(life: Life, error: CallError) -> None:
    s = await life()
    worker, _ = await one_running(s)
    await s.returned(worker.last, C2, None, error)
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, None, str(error))]
    assert len(worker.calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        CallError(100, "a hiccup"),
        CallError(102, "couldn't find a suitable path for a sector"),
        CallError(0, "allocate: no good path found"),
        CallError(0, 'acquire: RPC client error: sendRequest failed: Post "http://m": connection refused'),
    ],
)
async def test_what_is_no_failure_of_the_sector_never_reaches_the_pipeline(
    life: Life, error: CallError
) -> None:
    s = await life()
    worker, row = await one_running(s)
    await s.returned(worker.last, C2, None, error)
    await s.until(lambda: s.phase(row) != "running" or len(worker.calls) > 1)
    assert not s.pipeline.done


async def test_a_worker_that_says_no_fails_the_step(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    worker.mishaps = [RpcError(1, "method not supported")]
    await s.submit(1, C2)
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, None, "storage call error 0: method not supported")]


async def test_a_refused_connection_has_started_nothing_so_it_goes_elsewhere(life: Life) -> None:
    s = await life()
    a = await s.worker("a", C2)
    b = await s.worker("b", C2)
    a.away = True
    b.away = False
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")
    assert b.methods == ["SealCommit2"] and not a.calls


async def test_our_worker_is_asked_again_after_a_broken_connection_and_answers_the_same_call(
    life: Life,
) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    worker.mishaps = [BROKEN]
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")
    assert len(worker.calls) == 2 and worker.calls[0][2] == worker.calls[1][2]


async def test_a_stock_worker_is_not_asked_again_and_its_return_is_taken(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2, stock=True)
    worker.mishaps = [BROKEN]
    row = await s.submit(1, C2)
    await s.until(lambda: worker.calls)
    await asyncio.sleep(0.05)
    assert len(worker.calls) == 1 and s.phase(row) == "bound"
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done[0][2] == ""


async def test_a_stock_worker_that_never_says_a_word_loses_the_call(life: Life) -> None:
    s = await life(lost_after=0.1)
    worker = await s.worker("w", C2, stock=True)
    worker.mishaps = [BROKEN]
    await s.submit(1, C2)
    await s.until(lambda: len(worker.calls) == 2)
    assert not s.pipeline.done


async def test_files_that_lie_elsewhere_are_fetched_first(life: Life) -> None:
    s = await life()
    maker = await s.worker("maker", P1)
    taker = await s.worker("taker", P2)
    await s.declare(maker, 1, FileType.SEALED | FileType.CACHE)
    row = await s.submit(1, P2, ["AQID"])
    await s.until(lambda: s.phase(row) == "preparing")
    assert taker.calls[0][:2] == (
        "Fetch",
        [{"ID": {"Miner": 1000, "Number": 1}, "ProofType": 5}, 6, "sealing", "move"],
    )
    await s.dispatch.returned("ReturnFetch", taker.last, None, None)
    await s.until(lambda: s.phase(row) == "running")
    assert taker.methods == ["Fetch", "SealPreCommit2"]


async def test_a_failed_fetch_is_a_failure_of_the_task(life: Life) -> None:
    s = await life()
    maker = await s.worker("maker", P1)
    taker = await s.worker("taker", P2)
    await s.declare(maker, 1, FileType.SEALED | FileType.CACHE)
    row = await s.submit(1, P2, ["AQID"])
    await s.until(lambda: s.phase(row) == "preparing")
    await s.dispatch.returned("ReturnFetch", taker.last, None, CallError(0, "tar file isn't expected"))
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done[0][2].endswith("tar file isn't expected")


async def test_a_fetch_whose_source_is_away_is_tried_again_and_no_failure(life: Life) -> None:
    s = await life()
    maker = await s.worker("maker", P1)
    taker = await s.worker("taker", P2)
    await s.declare(maker, 1, FileType.SEALED | FileType.CACHE)
    row = await s.submit(1, P2, ["AQID"])
    await s.until(lambda: s.phase(row) == "preparing")
    text = (
        "failed to acquire sector {1000 1} from remote (tried []): fetch error: dial tcp: Connection refused"
    )
    taker.held.clear()
    await s.dispatch.returned("ReturnFetch", taker.last, None, CallError(0, text))
    await s.until(lambda: len(taker.calls) == 2)
    assert taker.methods == ["Fetch", "Fetch"] and not s.pipeline.done


async def test_abort_ends_the_work_and_comes_back_when_it_is_dead(life: Life) -> None:
    s = await life()
    worker, _ = await one_running(s)
    await s.dispatch.abort(worker.last)
    assert worker.aborted == [worker.last.ID]
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, None, "storage call error 0: task aborted")]
    await s.returned(worker.last, C2, None, CallError(0, "task aborted"))
    assert len(s.pipeline.done) == 1


@pytest.mark.parametrize("stock", [False, True])
async def test_an_abort_whose_caller_goes_away_while_it_is_stored_comes_to_its_end(
    life: Life, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    s = await life()
    worker, row = await one_running(s, stock=stock)
    slow = SlowStore(monkeypatch)
    abort = asyncio.create_task(s.dispatch.abort(worker.last))
    await asyncio.wait_for(slow.begun.wait(), 5)
    waits = asyncio.create_task(s.returned(worker.last, C2, None, CallError(0, "task aborted")))
    await asyncio.sleep(0)
    abort.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abort
    assert s.phase(row) == "running", "nothing is told before it is stored"
    slow.go_on.set()
    await asyncio.wait_for(waits, 5)
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, None, "storage call error 0: task aborted")]
    await s.until(lambda: s.phase(row) == "gone")
    assert await s.store.tasks() == [] and s.dispatch.locks.snapshot().Locks == []
    again = await s.submit(2, C2)
    await s.until(lambda: s.phase(again) == "running")


async def test_a_result_whose_worker_hangs_up_while_it_is_stored_is_handed_over(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    worker, _ = await one_running(s)
    slow = SlowStore(monkeypatch)
    returned = asyncio.create_task(s.returned(worker.last, C2, "AQ=="))
    await asyncio.wait_for(slow.begun.wait(), 5)
    returned.cancel()
    await asyncio.gather(returned, return_exceptions=True)
    slow.go_on.set()
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, b'"AQ=="', "")]


async def test_abort_of_a_worker_out_of_reach_says_so_and_force_gives_the_call_up(life: Life) -> None:
    s = await life()
    worker, row = await one_running(s)
    call = worker.last
    worker.away = True
    with pytest.raises(RpcError, match=r"does not end call .* --force"):
        await s.dispatch.abort(call)
    assert s.phase(row) == "running"
    other = await s.worker("other", C2)
    await s.dispatch.give_up(call)
    await s.until(lambda: other.calls)
    assert not s.pipeline.done


async def test_the_result_of_a_call_that_was_given_up_is_taken_while_the_task_still_waits(life: Life) -> None:
    s = await life()
    worker, row = await one_running(s)
    call = worker.last
    worker.away = True
    s.registry.unreachable(s.registry.by_id["id-of-w"], "cable out")
    await s.dispatch.give_up(call)
    assert s.phase(row) == "queued"
    await s.returned(call, C2, b"proof")
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, b'"cHJvb2Y="', "")]
    assert s.dispatch.scheduler.queue() == []


async def test_a_result_that_comes_while_its_call_is_being_given_up_is_not_lost(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    worker, _ = await one_running(s)
    slow = SlowStore(monkeypatch)
    given_up = asyncio.create_task(s.dispatch.give_up(worker.last))
    await asyncio.wait_for(slow.begun.wait(), 5)
    worker.away = True
    s.registry.unreachable(s.registry.by_id["id-of-w"], "cable out")
    returned = asyncio.create_task(s.returned(worker.last, C2, b"proof"))
    await asyncio.sleep(0)
    assert not returned.done(), "the worker deletes its copy when it is answered"
    slow.go_on.set()
    await asyncio.wait_for(asyncio.gather(given_up, returned), 5)
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, b'"cHJvb2Y="', "")]
    assert s.dispatch.scheduler.queue() == []


@pytest.mark.parametrize("hangs_up", [False, True], ids=["waits", "hangs up"])
async def test_a_late_result_that_cannot_be_stored_is_taken_when_it_comes_again(
    life: Life, monkeypatch: pytest.MonkeyPatch, hangs_up: bool
) -> None:
    s = await life()
    worker, _ = await one_running(s)
    call = worker.last
    worker.away = True
    s.registry.unreachable(s.registry.by_id["id-of-w"], "cable out")
    await s.dispatch.give_up(call)
    slow = SlowStore(monkeypatch)
    slow.full = True
    returned = asyncio.create_task(s.returned(call, C2, b"proof"))
    await asyncio.wait_for(slow.begun.wait(), 5)
    if hangs_up:
        returned.cancel()
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError if hangs_up else RpcError) as why:
        await returned
    assert hangs_up or "not stored: database or disk is full" in str(why.value)
    await s.until(s.dispatch.scheduler.queue)
    await s.returned(call, C2, b"proof")
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, b'"cHJvb2Y="', "")]
    assert s.dispatch.scheduler.queue() == []


async def test_once_the_task_runs_elsewhere_a_late_result_is_dropped(life: Life) -> None:
    s = await life()
    worker, _ = await one_running(s)
    call = worker.last
    worker.away = True
    await s.dispatch.give_up(call)
    other = await s.worker("other", C2)
    await s.until(lambda: other.calls)
    await s.returned(call, C2, b"late")
    await asyncio.sleep(0.02)
    assert not s.pipeline.done
    await s.returned(other.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)


async def test_a_queued_request_is_taken_out_by_hand(life: Life) -> None:
    s = await life()
    row = await s.submit(1, C2)
    await s.until(lambda: s.dispatch.scheduler.queue())
    await s.dispatch.remove_request(row.id)
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done[0][2].endswith("scheduling request removed")
    with pytest.raises(RpcError, match="No request with provided details found"):
        await s.dispatch.remove_request(row.id)


async def test_a_request_whose_removal_cannot_be_stored_waits_on(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    row = await s.submit(1, C2)
    await s.until(lambda: s.dispatch.scheduler.queue())

    async def full(_writes: object) -> None:
        raise StoreError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("lotus_sched_cli.miner.writes.Writes.commit", full)
        with pytest.raises(RpcError, match="not stored: database or disk is full"):
            await s.dispatch.remove_request(row.id)
    worker = await s.worker("w", C2)
    await s.until(lambda: worker.calls)
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)


class SlowStore:
    """A store whose next write begins (``begun``), and ends when the test says so (``go_on``)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.full = False
        commit = Writes.commit

        async def slow(writes: Writes) -> None:
            if not self.begun.is_set():
                self.begun.set()
                await self.go_on.wait()
                if self.full:
                    raise StoreError("database or disk is full")
            await commit(writes)

        monkeypatch.setattr(Writes, "commit", slow)


async def being_removed(
    s: Stage, monkeypatch: pytest.MonkeyPatch
) -> tuple[TaskRow, SlowStore, asyncio.Task[None]]:
    """A queued request whose removal has begun and is not stored yet."""
    row = await s.submit(1, C2)
    await s.until(lambda: s.dispatch.scheduler.queue())
    store = SlowStore(monkeypatch)
    removal = asyncio.create_task(s.dispatch.remove_request(row.id))
    await store.begun.wait()
    return row, store, removal


async def test_nobody_gets_a_request_while_its_removal_is_being_stored(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    worker = await s.worker("w", P1)
    row, store, removal = await being_removed(s, monkeypatch)
    worker.tasks = {C2}
    s.registry.by_id["id-of-w"].tasks = frozenset({C2})
    s.dispatch.worker_tasks(s.registry.by_id["id-of-w"])
    with pytest.raises(RpcError, match="does not wait for a worker any more"):
        await s.dispatch.assign(row.id, "id-of-w", True)
    with pytest.raises(RpcError, match="No request with provided details found"):
        await s.dispatch.remove_request(row.id)
    store.go_on.set()
    await removal
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done[0][2].endswith("scheduling request removed") and not worker.calls


async def test_a_removal_goes_on_when_the_operator_no_longer_waits_for_it(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    _, store, removal = await being_removed(s, monkeypatch)
    removal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removal
    store.go_on.set()
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done[0][2].endswith("scheduling request removed")


async def test_a_miner_that_dies_before_the_removal_is_stored_queues_the_request_again(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    _, _, removal = await being_removed(s, monkeypatch)
    s = await life()
    await asyncio.gather(removal, return_exceptions=True)
    worker = await s.worker("w", C2)
    await s.until(lambda: worker.calls)


async def test_a_task_that_is_not_wanted_while_its_removal_fails_is_ended_all_the_same(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    row, store, removal = await being_removed(s, monkeypatch)
    store.full = True
    cancel = asyncio.create_task(s.dispatch.cancel(row.id))
    await asyncio.sleep(0)
    store.go_on.set()
    with pytest.raises(RpcError, match="not stored"):
        await removal
    await cancel
    await s.until(lambda: not s.dispatch.scheduler.queue())
    assert await s.store.tasks() == [] and row.id not in s.dispatch.desk.flights


async def test_a_task_that_the_pipeline_no_longer_wants_is_ended_without_a_word(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    row = await s.submit(1, C2)
    waiting = await s.submit(2, C2)
    await s.until(lambda: s.phase(row) == "running")
    await s.dispatch.cancel(row.id)
    assert worker.aborted
    await s.dispatch.cancel(waiting.id)
    assert await s.store.tasks() == [] and not s.pipeline.done


async def test_a_pipeline_that_stumbles_is_given_the_result_again(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    s.pipeline.fail = 2
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)


async def test_of_a_very_long_error_beginning_and_end_are_kept(life: Life) -> None:
    s = await life()
    worker, _ = await one_running(s)
    long = CallError(0, "it began " + "E" * 1_000_000 + " it ended")
    await s.returned(worker.last, C2, error=long)
    await s.until(lambda: s.pipeline.done)
    ((_, _, said),) = s.pipeline.done
    assert len(said) < 30_000
    assert "it began EEE" in said and "(1000018 characters)" in said and said.endswith("EEE it ended")


# -- restarts of the miner -------------------------------------------------------------------------------------------


async def test_after_a_restart_a_running_call_counts_before_anything_new_is_bound(life: Life) -> None:
    s = await life()
    worker, _ = await one_running(s)
    call = worker.last

    s = await life()
    await s.connect(worker)
    waiting = await s.submit(2, C2)
    await s.until(lambda: s.dispatch.scheduler.queue())
    assert s.phase(waiting) == "queued", "the cap is 1 and the running call fills it"
    assert len(worker.calls) == 1, "a call whose CallID is known is not asked for again"
    await s.returned(call, C2, b"proof")
    await s.until(lambda: s.phase(waiting) == "running")
    assert s.pipeline.done == [(C2, b'"cHJvb2Y="', "")]


async def test_what_the_miner_s_own_worker_carried_is_begun_again_at_the_first_start(life: Life) -> None:
    s = await life()
    own = s.fakes["own"] = FakeWorker("vm", "own", {C2})
    await s.registry.add_builtin("built-in", own, own.url)
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")

    own.restart()
    own.held.clear()
    s = await life()
    assert s.phase(row) == "queued", "its call died with the miner"
    await s.registry.add_builtin("built-in", own, own.url)
    await s.until(lambda: s.phase(row) == "running")
    assert own.methods == ["SealCommit2"] * 2
    await s.returned(own.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)


async def test_a_return_is_taken_before_the_worker_has_registered_again(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2, stock=True)
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")
    s = await life()
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)


async def test_a_result_that_was_stored_is_handed_over_after_the_restart(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    s.pipeline.fail = 10**6
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")
    await s.returned(worker.last, C2, b"proof")
    s = await life()
    await s.until(lambda: s.pipeline.done)
    assert s.pipeline.done == [(C2, b'"cHJvb2Y="', "")]


async def test_a_miner_that_died_before_the_call_id_asks_our_worker_again(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)

    async def never(call: CallID) -> None:
        await asyncio.sleep(3600)

    worker.before_answer = never
    row = await s.submit(1, C2)
    await s.until(lambda: worker.calls)
    worker.before_answer = None
    s = await life()
    await s.connect(worker)
    await s.until(lambda: s.phase(row) == "running")
    assert worker.calls[0][2] == worker.calls[1][2]


async def test_a_miner_that_died_before_the_call_id_waits_for_a_stock_worker(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2, stock=True)

    async def never(call: CallID) -> None:
        await asyncio.sleep(3600)

    worker.before_answer = never
    await s.submit(1, C2)
    await s.until(lambda: worker.calls)
    worker.before_answer = None
    s = await life()
    await s.connect(worker)
    await asyncio.sleep(0.05)
    assert len(worker.calls) == 1
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.pipeline.done)


async def test_a_fetch_that_was_under_way_goes_on_after_the_restart(life: Life) -> None:
    s = await life()
    maker = await s.worker("maker", P1)
    taker = await s.worker("taker", P2)
    await s.declare(maker, 1, FileType.SEALED | FileType.CACHE)
    row = await s.submit(1, P2, ["AQID"])
    await s.until(lambda: s.phase(row) == "preparing")
    fetch = taker.last
    s = await life()
    await s.connect(taker)
    await s.until(lambda: len(taker.calls) == 2)
    assert taker.calls[1][2] == fetch, "asked again, it is the same call"
    await s.dispatch.returned("ReturnFetch", fetch, None, None)
    await s.until(lambda: s.phase(row) == "running")


async def test_a_cancelled_task_is_ended_after_the_restart(life: Life) -> None:
    s = await life()
    worker, row = await one_running(s)
    writes = s.store.writes()
    writes.task(row.id, phase=Phase.CANCELLED)
    await writes.commit()
    s = await life()
    await s.connect(worker)
    await s.until(lambda: worker.aborted)
    await s.until(lambda: s.phase(row) == "gone")
    await s.written()
    assert await s.store.tasks() == [] and not s.pipeline.done


async def test_a_cancelled_task_s_end_is_told_though_its_row_cannot_be_deleted(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left of a removed sector is deleted then; the row goes at the next start."""
    s = await life()
    worker, row = await one_running(s)
    told: list[SectorId] = []
    s.dispatch.desk.cancelled = told.append
    store = SlowStore(monkeypatch)
    store.full = True
    store.go_on.set()
    with pytest.raises(StoreError):
        await s.dispatch.cancel(row.id)
    assert worker.aborted and told == [row.sector]


# -- restarts of a worker ----------------------------------------------------------------------------------------------


async def test_what_a_new_session_does_not_return_within_the_grace_is_lost(life: Life) -> None:
    s = await life(restart_grace=0.1)
    worker = await s.worker("w", C2, stock=True)
    row = await s.submit(1, C2)
    await s.until(lambda: s.phase(row) == "running")
    worker.restart()
    await s.connect(worker)
    assert s.phase(row) == "running", "leftovers are returned first"
    await s.until(lambda: len(worker.calls) == 2)
    assert not s.pipeline.done


async def test_a_lost_call_whose_end_cannot_be_stored_is_ended_when_there_is_room_again(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life(lost_after=0.02)
    worker, row = await one_running(s)
    slow = SlowStore(monkeypatch)
    slow.full = worker.away = True
    s.registry.unreachable(s.registry.by_id["id-of-w"], "cable out")
    await asyncio.wait_for(slow.begun.wait(), 5)
    assert s.phase(row) == "running"
    slow.go_on.set()
    await s.until(lambda: s.phase(row) == "queued")


async def test_a_silent_worker_s_calls_are_lost_after_the_time_that_was_set(life: Life) -> None:
    s = await life(lost_after=0.1)
    worker, _ = await one_running(s)
    worker.away = True
    s.registry.unreachable(s.registry.by_id["id-of-w"], "cable out")
    other = await s.worker("other", C2)
    await s.until(lambda: other.calls)
    assert not s.pipeline.done


async def test_who_works_on_a_sector_is_known_while_it_runs(life: Life) -> None:
    s = await life()
    worker, row = await one_running(s)
    assert s.dispatch.desk.makers(row.sector) == {"id-of-w"}
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.phase(row) == "gone")
    assert s.dispatch.desk.makers(row.sector) == frozenset()


async def test_one_broken_task_does_not_stop_the_others(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    worker.tasks.add(FIN)
    worker.mishaps = [ValueError("a bug")]
    broken = await s.submit(1, C2)
    await s.until(lambda: worker.mishaps == [])
    good = await s.submit(2, C2)
    await s.until(lambda: "running" in (s.phase(good), s.phase(broken)))
