"""A sector's good days: from pledge to Proving."""

from __future__ import annotations

from dataclasses import replace

from core.pipeline.rehearsal import PIECE, SETTINGS, Rehearsal

from lotus_sched_cli.core.pipeline import State
from lotus_sched_cli.core.pipeline import actions as act
from lotus_sched_cli.core.pipeline import events as ev
from lotus_sched_cli.core.pipeline.states import BY_HAND, RETRIED
from lotus_sched_cli.core.pipeline.states import State as S
from lotus_sched_cli.core.tasks import FileType, TaskType


def test_a_pledged_sector_walks_the_states_of_the_0_8_releases_to_proving() -> None:
    r = Rehearsal()
    states = [r.state]
    while r.state is not State.PROVING:
        r.work()
        if r.state is not states[-1]:
            states.append(r.state)
    assert states == [
        S.PACKING,
        S.GET_TICKET,
        S.PRECOMMIT1,
        S.PRECOMMIT2,
        S.PRECOMMITTING,
        S.PRECOMMIT_WAIT,
        S.WAIT_SEED,
        S.COMMITTING,
        S.SUBMIT_COMMIT,
        S.COMMIT_WAIT,
        S.FINALIZE_SECTOR,
        S.PROVING,
    ]


def test_its_log_has_lotuss_twelve_events_with_their_payloads() -> None:
    r = Rehearsal().until(State.PROVING)
    assert r.said == [
        "SectorStartCC",
        "SectorPacked",
        "SectorTicket",
        "SectorPreCommit1",
        "SectorPreCommit2",
        "SectorPreCommitted",
        "SectorPreCommitLanded",
        "SectorSeedReady",
        "SectorCommitted",
        "SectorCommitSubmitted",
        "SectorProving",
        "SectorFinalized",
    ]
    assert r.log[0].kind == "event;sealing.SectorStartCC"
    assert r.log[0].message == '{"User":{"ID":15,"SectorType":5}}'
    assert r.payload("SectorPacked") == {"FillerPieces": [{"Size": 2048, "PieceCID": {"/": PIECE.cid}}]}
    assert r.payload("SectorTicket") == {
        "TicketValue": "dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHQ=",
        "TicketEpoch": 4100,
    }
    assert r.payload("SectorPreCommit2")["Sealed"] == {"/": "bagboea4b5abcsealed"}
    assert r.payload("SectorPreCommitted")["Message"] == {"/": "bafyprecommit"}
    assert r.payload("SectorPreCommitLanded") == {"TipSet": [{"/": "bafytipset"}]}
    assert r.payload("SectorCommitted") == {"Proof": "cHJvb2Y="}
    assert r.payload("SectorProving") == {}
    assert r.sector.log_count == 12


def test_workers_see_the_tasks_in_lotuss_order() -> None:
    r = Rehearsal().until(State.PROVING)
    tasks = [action for action in r.everything if isinstance(action, act.RunTask)]
    assert [t.type.short for t in tasks] == ["AP", "PC1", "PC2", "C1", "C2", "FUS", "FIN", "GET"]
    assert tasks[0].params == act.AddPiece((), 2032)
    assert tasks[-1].files == FileType.SEALED | FileType.CACHE
    assert len({t.turn for t in tasks}) == len(tasks)


def test_the_seed_is_drawn_150_epochs_after_the_precommit_and_awaited_six_more() -> None:
    r = Rehearsal().until(State.WAIT_SEED)
    landed = r.sector.precommit_epoch
    assert landed == 5001
    assert r.the(act.AskSeed).epoch == landed + 150
    assert r.the(act.AskSeed).ready_at == landed + 156


def test_a_sector_fills_the_hold_until_it_has_left_finalizesector() -> None:
    r = Rehearsal()
    assert r.the(act.Hold).held
    r.until(State.FINALIZE_SECTOR)
    assert [a.held for a in r.everything if isinstance(a, act.Hold)] == [True]
    r.until(State.PROVING)
    assert [a.held for a in r.everything if isinstance(a, act.Hold)] == [True, False]


def test_big_values_are_kept_aside_and_pc1_output_is_dropped_after_pc2() -> None:
    r = Rehearsal().until(State.PROVING)
    kept = [(a.name, a.data) for a in r.everything if isinstance(a, act.Keep)]
    assert kept == [("pc1_out", b"pc1-out"), ("pc1_out", None), ("proof", b"proof")]


def test_with_finalize_early_the_files_move_before_the_message_and_are_not_moved_twice() -> None:
    r = Rehearsal(replace(SETTINGS, finalize_early=True)).until(State.PROVING)
    assert r.said[7:] == [
        "SectorSeedReady",
        "SectorProofReady",
        "SectorFinalized",
        "SectorCommitSubmitted",
        "SectorProving",
        "SectorFinalized",
    ]
    assert [a.type for a in r.everything if isinstance(a, act.RunTask)].count(TaskType.FINALIZE) == 1


def test_cc_sectors_can_be_made_available() -> None:
    r = Rehearsal(replace(SETTINGS, make_cc_available=True)).until(State.AVAILABLE)
    assert r.said[-1] == "SectorFinalizedAvailable"


def test_the_miner_may_die_at_any_step_and_the_sector_goes_on() -> None:
    steady = Rehearsal().until(State.PROVING)
    for died_at in range(30):
        r = Rehearsal()
        for _ in range(died_at):
            if r.state is not State.PROVING:
                r.work()
        if r.state is State.PROVING:
            break
        before = r.sector.task
        r.restart()
        if before is not None:
            assert not any(isinstance(a, act.RunTask) for a in r.actions), "a stored task is not made again"
            r.actions = [a for a in r.everything if isinstance(a, act.RunTask) and a.turn == r.turn]
        r.until(State.PROVING)
        assert r.said == steady.said
    else:
        raise AssertionError("Proving was never reached")


def test_a_task_that_the_store_lost_is_made_again() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT2)
    r.restart(task_alive=False)
    assert r.task() is TaskType.PRECOMMIT2


def test_an_answer_that_comes_late_or_twice_changes_nothing() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1)
    done = ev.PreCommit1Done(r.turn, b"out")
    r.do(done)
    said, turn = list(r.said), r.turn
    r.do(done)
    assert r.said == said and r.turn == turn and r.state is State.PRECOMMIT2 and not r.actions


def test_no_failure_state_is_on_the_way() -> None:
    r = Rehearsal()
    while r.state is not State.PROVING:
        assert r.state not in RETRIED | BY_HAND
        r.work()
