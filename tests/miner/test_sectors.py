"""The pipeline driven: stored before acted on, going on after any restart, nothing done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from miner.pipeline_stage import Stage, good_result

from lotus_sched_cli.core.pipeline import State
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import CallError
from lotus_sched_cli.miner.records import Phase
from lotus_sched_cli.miner.store import StoreError
from lotus_sched_cli.sealers.verify import SealClaim


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = await Stage(tmp_path).open()
    yield stage
    await stage.close()


async def test_four_pledges_reach_proving(stage: Stage) -> None:
    ids = await asyncio.gather(*(stage.sectors.pledge() for _ in range(4)))
    assert sorted(i.number for i in ids) == [0, 1, 2, 3]
    assert stage.sectors.summary() == {"Packing": 4}
    for number in range(4):
        await stage.until(State.PROVING, number)
    assert stage.sectors.summary() == {"Proving": 4}
    assert stage.sectors.sealing == 0
    assert await stage.store.tasks() == []
    assert stage.dispatch.held == {0: False, 1: False, 2: False, 3: False}


async def test_a_pledge_is_stored_before_its_number_is_told(stage: Stage) -> None:
    sector = await stage.sectors.pledge()
    row = await stage.store.sector(sector.number)
    assert row is not None and row.state == "Packing"
    (task,) = await stage.store.tasks()
    assert task.type is TaskType.ADD_PIECE and task.phase is Phase.QUEUED
    assert await stage.store.task_params(task.id) == (
        b'[{"ID":{"Miner":1000,"Number":0},"ProofType":5},[],2032,{"Type":"null","Info":"2032"}]'
    )


async def test_the_calls_have_lotuss_parameters(stage: Stage) -> None:
    await stage.sectors.pledge()
    ref = {"ID": {"Miner": 1000, "Number": 0}, "ProofType": 5}
    piece = {"Size": 2048, "PieceCID": {"/": cids.zero_piece_cid(2048)}}
    seen = {}
    while stage.sectors.state(0) is not State.PROVING:
        for row in stage.dispatch.tasks.values():
            raw = await stage.store.task_params(row.id)
            assert raw is not None
            seen[row.type.short] = msgspec.json.decode(raw)
        await stage.work()
    status = await stage.sectors.status(0)
    ticket = msgspec.to_builtins(status.Ticket)["Value"]
    seed = msgspec.to_builtins(status.Seed)["Value"]
    assert seen["PC1"] == [ref, ticket, [piece]]
    assert seen["PC2"] == [ref, "cGMxIG91dHB1dA=="]
    assert seen["C1"][:4] == [ref, ticket, seed, [piece]]
    assert seen["C1"][4] == msgspec.to_builtins({"Unsealed": status.CommD, "Sealed": status.CommR})
    assert seen["C2"] == [ref, "YzEgb3V0cHV0"]
    assert seen["FUS"] == [ref, None]
    assert seen["FIN"] == [ref]
    assert seen["GET"] == [ref, 6]


async def test_the_status_of_a_proving_sector_is_lotuss(stage: Stage) -> None:
    await stage.sectors.pledge()
    await stage.until(State.PROVING, 0)
    info = await stage.sectors.status(0, on_chain=True)
    assert (info.State, info.SealProof, info.Deals, info.Retries, info.LastErr) == ("Proving", 5, [0], 0, "")
    assert str(info.CommD) == cids.zero_piece_cid(2048)
    assert info.Proof is not None and len(info.Proof) == 192
    assert info.Ticket.Epoch >= 100
    assert info.Log is not None and len(info.Log) == 12
    assert info.Log[0].Kind == "event;sealing.SectorStartCC"
    assert isinstance(info.Log[0].Timestamp, int)
    assert str(info.PreCommitMsg).startswith("bafy2bzace")
    assert info.Activation > 1000 and info.Expiration > info.Activation
    off_chain = await stage.sectors.status(0)
    assert (off_chain.Activation, off_chain.Expiration) == (0, 0)


async def test_an_unknown_sector_is_answered_with_lotuss_text(stage: Stage) -> None:
    for ask in (stage.sectors.status(9), stage.sectors.remove(9), stage.sectors.update_state(9, "Packing")):
        with pytest.raises(RpcError, match="No state for /9: datastore: key not found"):
            await ask
    await stage.sectors.pledge()
    with pytest.raises(RpcError, match='"foo" is not a valid state'):
        await stage.sectors.update_state(0, "foo")


async def test_pledging_stops_at_the_most_that_may_seal(tmp_path: Path) -> None:
    stage = await Stage(tmp_path, max_sealing=3).open()
    answers = await asyncio.gather(*(stage.sectors.pledge() for _ in range(5)), return_exceptions=True)
    refused = [str(answer) for answer in answers if isinstance(answer, RpcError)]
    assert refused == ["too many sectors sealing (curSealing: 3, max: 3)"] * 2
    await stage.until(State.PROVING, 0)
    await stage.sectors.pledge()
    await stage.close()


async def test_numbers_begin_where_init_said_and_gaps_are_filled(tmp_path: Path) -> None:
    stage = await Stage(tmp_path, first_number=15).open()
    assert [(await stage.sectors.pledge()).number for _ in range(4)] == [15, 16, 17, 18]
    await stage.crash()
    assert (await stage.sectors.pledge()).number == 19
    assert stage.sectors.numbers() == [15, 16, 17, 18, 19]
    assert stage.sectors.numbers(["Packing", "nonsense"]) == [15, 16, 17, 18, 19]
    assert stage.sectors.numbers(["Proving"]) == []
    await stage.close()


async def test_crashing_after_every_step_repeats_no_finished_task(stage: Stage) -> None:
    await stage.sectors.pledge()
    done = []
    for _ in range(80):
        if stage.sectors.state(0) is State.PROVING:
            break
        await stage.crash()
        rows = list(stage.dispatch.tasks.values())
        for row in rows:
            await stage.finish(row)
            done.append(row.type.short)
        if not rows:
            await stage.jump()
    assert done == ["AP", "PC1", "PC2", "C1", "C2", "FUS", "FIN", "GET"]
    log = await stage.store.sector_log(0)
    assert [line.kind.removeprefix("event;sealing.Sector") for line in log] == [
        "StartCC", "Packed", "Ticket", "PreCommit1", "PreCommit2", "PreCommitted", "PreCommitLanded",
        "SeedReady", "Committed", "CommitSubmitted", "Proving", "Finalized",
    ]  # fmt: skip
    assert [message.kind for message in await stage.store.messages()] == ["precommit", "commit"]
    await stage.crash()
    assert stage.dispatch.held == {0: False}
    assert stage.dispatch.submitted == []


async def test_a_result_told_twice_is_taken_once(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT1)
    await asyncio.gather(*(stage.sectors.task_done(row, good_result(row)) for _ in range(3)))
    await stage.settle()
    assert stage.sectors.state(0) is State.PRECOMMIT2
    assert [task.type.short for task in await stage.store.tasks()] == ["PC2"]
    await stage.sectors.task_done(row, None, CallError(0, "late"))
    assert stage.sectors.state(0) is State.PRECOMMIT2


async def test_a_failure_is_stored_with_its_words_and_tried_again_after_the_delay(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT1)
    await stage.finish(row, CallError(0, "disk broke [name: w]: disk broke"))
    assert stage.sectors.state(0) is State.SEAL_PRECOMMIT1_FAILED
    info = await stage.sectors.status(0)
    assert info.LastErr == (
        "seal pre commit(1) failed: storage call error 0: disk broke [name: w]: disk broke"
    )
    before = stage.clock.now
    await stage.crash()
    await stage.jump()
    assert stage.clock.now - before == 60
    assert stage.sectors.state(0) is State.PRECOMMIT1
    await stage.until(State.PROVING, 0)


@pytest.mark.parametrize(
    ("task", "result", "text"),
    [
        (TaskType.ADD_PIECE, b'{"Size":2048,"PieceCID":{"/":"baga"}}', "unexpected padding piece CID"),
        (TaskType.PRECOMMIT1, b"null", "it is empty"),
        (TaskType.PRECOMMIT2, b'{"Unsealed":null,"Sealed":null}', "no sealed CID"),
        (TaskType.COMMIT1, b"null", "the output of Commit1 is empty"),
        (TaskType.COMMIT2, b'{"a":1}', "not usable"),
        (TaskType.PRECOMMIT1, b"not json", "not usable"),
    ],
)
async def test_a_result_that_is_none_fails_the_step(
    stage: Stage, task: TaskType, result: bytes, text: str
) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(task)
    stage.dispatch.tasks.clear()
    await stage.sectors.task_done(row, result)
    assert text in (await stage.sectors.status(0)).LastErr
    await stage.settle()
    await stage.until(State.PROVING, 0)


async def test_a_proof_of_the_wrong_form_never_reaches_proving(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.COMMIT2)
    stage.dispatch.tasks.clear()
    await stage.sectors.task_done(row, msgspec.json.encode(b"short"))
    await stage.settle()
    assert stage.sectors.state(0) is State.COMMIT_FAILED
    assert [m.kind for m in await stage.store.messages()] == ["precommit"]
    await stage.until(State.PROVING, 0)
    assert (await stage.sectors.status(0)).Retries == 1


async def test_update_state_cancels_the_running_task_at_once(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT1)
    await stage.sectors.update_state(0, "Packing")
    await stage.settle()
    assert stage.dispatch.cancelled == [row.id]
    assert stage.sectors.state(0) is State.PACKING
    assert [task.type.short for task in await stage.store.tasks()] == ["AP"]
    await stage.sectors.task_done(row, good_result(row))
    assert stage.sectors.state(0) is State.PACKING
    await stage.until(State.PROVING, 0)


async def test_a_cancelled_task_is_still_marked_after_a_crash(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT1)

    async def never(task_id: str) -> None:
        await asyncio.Event().wait()

    stage.dispatch.cancel = never  # type: ignore[method-assign]
    await stage.sectors.update_state(0, "Packing")
    await stage.crash()
    phases = {task.id: task.phase for task in await stage.store.tasks()}
    assert phases.pop(row.id) is Phase.CANCELLED
    assert list(phases.values()) == [Phase.QUEUED]


async def test_a_removed_sector_loses_files_and_task_and_stays_in_the_list(stage: Stage) -> None:
    sector = await stage.sectors.pledge()
    await stage.until_task(TaskType.PRECOMMIT1)
    stage.dispatch.removal_error = "worker is away"
    await stage.sectors.remove(0)
    await stage.settle()
    assert stage.sectors.state(0) is State.REMOVE_FAILED
    assert (await stage.sectors.status(0)).LastErr == "worker is away"
    stage.dispatch.removal_error = ""
    await stage.jump()
    assert stage.dispatch.removed == [sector]
    assert stage.sectors.summary() == {"Removed": 1}
    assert await stage.store.tasks() == []
    await stage.sectors.remove(0)
    assert stage.sectors.summary() == {"Removed": 1}


async def test_lost_files_send_the_sector_back_a_step(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT2)
    await stage.sectors.files_lost(row, FileType.SEALED | FileType.CACHE)
    await stage.settle()
    assert row.id in stage.dispatch.cancelled
    assert stage.sectors.state(0) is State.PRECOMMIT1
    await stage.sectors.files_lost(row, FileType.SEALED)
    await stage.until(State.PROVING, 0)


async def test_a_full_disk_holds_the_step_back_and_loses_nothing(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT1)
    real, waits = stage.store.writes, []

    class Full:
        async def commit(self) -> None:
            raise StoreError("database or disk is full")

        def __getattr__(self, name: str) -> object:
            return lambda *_, **__: None

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            stage.store.writes = real  # type: ignore[method-assign]

    stage.sectors._pause = pause  # type: ignore[method-assign]
    stage.store.writes = Full  # type: ignore[assignment,method-assign]
    stage.dispatch.tasks.clear()
    await stage.sectors.task_done(row, good_result(row))
    assert waits == [1.0, 2.0, 4.0]
    assert stage.sectors.state(0) is State.PRECOMMIT2
    await stage.settle()
    await stage.until(State.PROVING, 0)


async def test_a_verifier_that_is_away_is_asked_again(tmp_path: Path) -> None:
    stage = await Stage(tmp_path).open()
    real, asked = stage.verifier.verify_seal, []

    async def away(claim: SealClaim) -> bool:
        asked.append(claim)
        if len(asked) < 3:
            raise OSError("the prover is not there")
        return bool(await real(claim))

    stage.verifier.verify_seal = away
    await stage.sectors.pledge()
    await stage.until(State.PROVING, 0)
    assert len(asked) >= 3
    await stage.close()


async def test_a_ticket_that_ages_in_the_queue_is_drawn_again(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT1)
    first = (await stage.sectors.status(0)).Ticket
    await stage.crash()
    await stage.jump()
    assert row.id in stage.dispatch.cancelled
    (again,) = stage.dispatch.tasks.values()
    assert again.type is TaskType.PRECOMMIT1 and again.id != row.id
    assert again.queued_at == row.queued_at, "its place in the queue is kept"
    assert (await stage.sectors.status(0)).Ticket.Epoch > first.Epoch
    await stage.until(State.PROVING, 0)


async def test_a_ticket_of_a_running_pc1_is_left_alone(stage: Stage) -> None:
    await stage.sectors.pledge()
    row = await stage.until_task(TaskType.PRECOMMIT1)
    writes = stage.store.writes()
    writes.task(row.id, phase=Phase.RUNNING)
    await writes.commit()
    await stage.jump()
    assert stage.dispatch.cancelled == []
    await stage.finish(row)
    assert stage.sectors.state(0) is State.PRECOMMIT2


async def test_a_proving_sector_can_be_finalized_again_by_hand(stage: Stage) -> None:
    await stage.sectors.pledge()
    await stage.until(State.PROVING, 0)
    await stage.sectors.update_state(0, "FinalizeSector")
    await stage.settle()
    assert stage.dispatch.held[0] is True
    (row,) = stage.dispatch.tasks.values()
    assert row.type is TaskType.FINALIZE
    await stage.until(State.PROVING, 0)
    assert stage.dispatch.held[0] is False
    assert stage.sectors.summary() == {"Proving": 1}


async def test_a_client_that_hangs_up_during_its_pledge_leaves_no_orphan(stage: Stage) -> None:
    pledge = asyncio.ensure_future(stage.sectors.pledge())
    await asyncio.sleep(0)
    pledge.cancel()
    await asyncio.gather(pledge, return_exceptions=True)
    await stage.settle()
    assert stage.sectors.summary() == {"Packing": 1}
    await stage.until(State.PROVING, 0)
