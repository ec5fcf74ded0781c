"""Registration and heartbeats: who a worker is, and what the miner makes of what it says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from miner.dispatch_stage import FakeWorker, Stage

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.extras import CapExtras
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.said import Said
from lotus_sched_cli.lotus.types import NIL_UUID, Resources, WorkerInfo, WorkerResources
from lotus_sched_cli.miner.specs import Defaults, caps_of, limits_of, shared
from lotus_sched_cli.miner.workers import SEEN_EVERY

C2, P1 = TaskType.COMMIT2, TaskType.PRECOMMIT1


async def test_a_worker_keeps_its_number_over_restarts_of_either_side(s: Stage, tmp_path: Path) -> None:
    one = await s.worker("one", C2)
    await s.worker("two", C2)
    one.restart()
    await s.connect(one)
    assert [(w.id, w.number) for w in s.registry.live()] == [("id-of-one", 1), ("id-of-two", 2)]
    rows = await s.store.workers()
    assert (rows[0].id, rows[0].number, rows[0].session) == ("id-of-one", 1, one.session)


async def test_after_a_stop_the_next_run_tells_a_gone_worker_s_last_heartbeat_not_its_registration(
    s: Stage,
) -> None:
    await s.worker("w", C2)
    registered = (await s.store.workers())[0].last_seen
    s.offset += 3 * 86400
    await s.registry._beat(s.registry.live()[0])
    again = Stage(s.store, s.fakes, s.dispatch.desk.patience)
    await s.stop()
    await again.start()
    try:
        (gone,) = again.registry.by_id.values()
        assert not gone.registered and gone.last_seen - registered >= 3 * 86400
    finally:
        await again.stop()


async def test_a_killed_miner_has_stored_heartbeats_of_the_last_minutes_and_the_last_of_a_silent_worker(
    s: Stage,
) -> None:
    fake = await s.worker("w", C2)
    worker = s.registry.live()[0]
    registered = worker.seen_stored

    s.offset += SEEN_EVERY / 2
    await s.registry._beat(worker)
    assert worker.last_seen > registered
    fake.away = True
    worker.hurry.set()
    await s.until(lambda: worker.seen_stored > registered)
    silent = (await s.store.workers())[0].last_seen
    assert silent == worker.last_seen

    fake.away = False
    s.offset += SEEN_EVERY + 1
    worker.hurry.set()
    await s.until(lambda: worker.seen_stored > silent)
    assert (await s.store.workers())[0].last_seen == worker.last_seen > silent + SEEN_EVERY


async def test_a_heartbeat_does_not_bring_a_forgotten_worker_back(s: Stage) -> None:
    await s.worker("w", C2)
    worker = s.registry.live()[0]
    s.offset += 2 * SEEN_EVERY
    await s.registry._beat(worker)
    worker.hurry.set()
    await s.registry.forget(worker)
    await s.registry.close()
    assert await s.store.workers() == []


async def test_a_stock_worker_is_known_by_its_url(s: Stage) -> None:
    fake = await s.worker("stock", C2, stock=True)
    worker = s.registry.live()[0]
    assert worker.id == fake.url and worker.stock and worker.label == f"{fake.session[:8]}@stock"


async def test_a_new_session_of_the_same_id_replaces_the_old_one(s: Stage) -> None:
    fake = await s.worker("w", C2)
    old = fake.session
    fake.restart()
    await s.connect(fake)
    assert set(s.registry.by_session) == {fake.session} and old != fake.session


async def test_a_copied_repo_is_refused_while_the_first_still_answers(s: Stage) -> None:
    first = await s.worker("first", C2)
    copy = s.fakes["http://copy:3456/rpc/v0"] = FakeWorker("copy", "http://copy:3456/rpc/v0", {C2}, first.id)
    with pytest.raises(RpcError, match=r"already in use by the worker at http://first:3456.*is a copy"):
        await s.registry.connect(copy.url)
    first.away = True
    await s.registry.connect(copy.url)
    assert [w.url for w in s.registry.live()] == [copy.url]


async def test_errors_of_registration_are_lotus_s(s: Stage) -> None:
    fake = await s.worker("w", C2)
    other = s.fakes["http://x/rpc/v0"] = FakeWorker("x", "http://x/rpc/v0", {C2}, "x")
    other.version = 0x010600
    with pytest.raises(
        RpcError,
        match=r"connecting remote storage failed: unsupported worker api version: 1.6.0 \(expected 1.7.0\)",
    ):
        await s.registry.connect(other.url)
    other.version = fake.version + 9
    other.session = NIL_UUID
    with pytest.raises(RpcError, match="worker already closed"):
        await s.registry.connect(other.url)
    other.away = True
    with pytest.raises(RpcError, match="connecting remote storage failed: RPC client error"):
        await s.registry.connect(other.url)


async def test_a_worker_whose_session_changed_takes_nothing_until_it_registers(s: Stage) -> None:
    fake = await s.worker("w", C2)
    worker = s.registry.live()[0]
    fake.restart()
    await s.registry._beat(worker)
    row = await s.submit(1, C2)
    await s.until(lambda: s.dispatch.scheduler.queue())
    assert s.phase(row) == "queued"
    await s.connect(fake)
    await s.until(lambda: s.phase(row) == "running")


async def test_a_worker_that_is_disabled_comes_back_without_registering(s: Stage) -> None:
    fake = await s.worker("w", C2)
    worker = s.registry.live()[0]
    fake.away = True
    await s.registry._beat(worker)
    assert not worker.online
    fake.away = False
    await s.registry._beat(worker)
    assert worker.online


async def test_paths_say_who_owns_them(s: Stage) -> None:
    fake = await s.worker("w", C2)
    assert s.registry.owners(fake.paths[0], frozenset()) == {"id-of-w"}
    assert s.registry.owners("another", frozenset({"w:3456"})) == frozenset(), (
        "it told its paths, this is none"
    )


def test_caps_are_the_worker_s_own_where_it_states_them() -> None:
    own = WorkerResources(
        PreCommit1Max=13, PreCommit1HoldMax=0, PreCommit2Max=5, Commit2Max=2, ForceP2FromLocalP1=True
    )
    stated = Caps(13, 0, 5, 2, True, precommit2_prefetch=0)
    assert caps_of(WorkerInfo(Resources=own), 8, Defaults()) == (stated, "worker")
    own = msgspec.structs.replace(own, CapExtras=CapExtras(PreCommit2Prefetch=2))
    found, _ = caps_of(WorkerInfo(Resources=own), 8, Defaults())
    assert (found.precommit2_prefetch, found.prefetches) == (2, 0), "it is bound to its own P1"


def test_caps_of_a_stock_worker_come_from_its_table_or_the_config() -> None:
    table = {
        "seal/v0/precommit/1": {"8": Resources(MaxConcurrent=4), "5": Resources(MaxConcurrent=9)},
        "seal/v0/addpiece": {"8": Resources(MaxConcurrent=3)},
    }
    stock = WorkerInfo(Resources=WorkerResources(Resources=table))
    of_table = Caps(4, 20, 1, 1, False, precommit2_prefetch=0)
    assert caps_of(stock, 8, Defaults(6, 20)) == (of_table, "MaxConcurrent")
    of_config = Caps(6, 20, 1, 1, False, precommit2_prefetch=0)
    assert caps_of(WorkerInfo(), 8, Defaults(6, 20)) == (of_config, "config")
    assert limits_of(stock) == {(TaskType.ADD_PIECE, 8): 3}


def test_workers_that_state_the_same_table_share_it() -> None:
    def info() -> WorkerInfo:
        return WorkerInfo(
            Resources=WorkerResources(Resources={"seal/v0/fetch": {"8": Resources(MinMemory=1)}})
        )

    assert shared(info()).Resources.Resources is shared(info()).Resources.Resources


def test_a_worker_that_flaps_a_thousand_times_is_not_said_a_thousand_times() -> None:
    said = Said()
    lines = sum(said.may(now=n * 20.0) for n in range(2000))
    assert lines < 30
    assert said.may(now=1e9), "after an hour of peace it is news again"
