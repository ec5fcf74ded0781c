"""A sector's bad days: what fails, how long it waits, what it does then."""

from __future__ import annotations

import pytest
from core.pipeline.rehearsal import Rehearsal

from lotus_sched_cli.core.pipeline import State
from lotus_sched_cli.core.pipeline import actions as act
from lotus_sched_cli.core.pipeline import events as ev
from lotus_sched_cli.core.tasks import FileType, TaskType


def test_a_failed_addpiece_is_tried_again_by_itself() -> None:
    r = Rehearsal().fail("storage call error 0: no luck")
    assert r.state is State.ADD_PIECE_FAILED
    assert r.trace("SectorAddPieceFailed") == (
        "filling up the sector ([2048]): add piece: storage call error 0: no luck"
    )
    assert r.wait() == 60
    assert r.task() is TaskType.ADD_PIECE
    r.until(State.PROVING)


def test_a_failed_pc1_waits_a_minute_then_two_then_four_up_to_half_an_hour() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1)
    waits = []
    for _ in range(8):
        r.fail()
        assert r.state is State.SEAL_PRECOMMIT1_FAILED
        waits.append(r.wait())
        assert r.state is State.PRECOMMIT1
    assert waits == [60, 120, 240, 480, 960, 1800, 1800, 1800]
    assert r.trace("SectorSealPreCommit1Failed").startswith("seal pre commit(1) failed: storage call error 0")
    r.until(State.PROVING)


def test_no_sector_is_removed_because_its_pc1_failed_a_hundred_times() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1)
    for _ in range(100):
        r.fail()
        r.wait()
    assert r.state is State.PRECOMMIT1
    assert "SectorRemove" not in r.said


def test_a_success_starts_the_delays_anew() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1)
    for _ in range(3):
        r.fail()
        r.wait()
    r.until(State.PRECOMMIT2)
    assert r.sector.last_error == ""
    r.fail()
    assert r.wait() == 60


def test_pc2_goes_back_to_pc1_from_the_fourth_failure_in_a_row() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT2)
    for _ in range(3):
        r.fail()
        assert r.state is State.SEAL_PRECOMMIT2_FAILED
        r.wait()
        assert r.state is State.PRECOMMIT2
    r.fail()
    r.wait()
    assert r.state is State.PRECOMMIT1
    r.until(State.PROVING)


def test_aborts_of_the_operator_do_not_send_pc2_back_to_pc1() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT2)
    for _ in range(6):
        r.fail("storage call error 0: task aborted", cancelled=True)
        r.wait()
        assert r.state is State.PRECOMMIT2


def test_a_pc2_that_broke_off_in_the_replica_goes_back_to_pc1_at_once() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT2)
    r.fail("storage call error 0: replica is half encoded", redo=True)
    assert r.task() is TaskType.PRECOMMIT1
    assert r.said[-2:] == ["SectorSealPreCommit2Failed", "SectorRetrySealPreCommit1"]


def test_a_replica_that_breaks_again_and_again_waits_longer_each_time() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT2)
    waits = []
    for _ in range(3):
        r.fail("half", redo=True)
        if r.state is State.SEAL_PRECOMMIT2_FAILED:
            waits.append(r.wait())
        assert r.state is State.PRECOMMIT1
        r.until_task(TaskType.PRECOMMIT2)
    assert waits == [120, 240]


def test_c2_fails_three_times_then_the_sector_is_sealed_again() -> None:
    r = Rehearsal().until_task(TaskType.COMMIT2)
    for retries in range(3):
        assert r.sector.invalid_proofs == retries if retries < 3 else True
        r.fail()
        assert r.state is State.COMPUTE_PROOF_FAILED
        assert r.trace("SectorComputeProofFailed").startswith("computing seal proof failed(2): ")
        r.wait()
        if retries < 2:
            assert r.state is State.COMMITTING
            r.until_task(TaskType.COMMIT2)
    assert r.state is State.SEAL_PRECOMMIT1_FAILED
    assert r.trace("SectorSealPreCommit1Failed") == "consecutive compute fails"
    assert r.sector.invalid_proofs == 0
    r.until(State.PROVING)


def test_c1_failures_say_so() -> None:
    r = Rehearsal().until_task(TaskType.COMMIT1).fail("x")
    assert r.trace("SectorComputeProofFailed") == "computing seal proof failed(1): x"


def test_an_invalid_proof_never_reaches_the_chain() -> None:
    r = Rehearsal().until_task(TaskType.COMMIT2).work()
    r.do(ev.ProofChecked(r.turn, b"proof", False, "invalid proof"))
    assert r.state is State.COMMIT_FAILED
    assert r.trace("SectorCommitFailed") == "commit check error: invalid proof"
    r.work()
    assert r.wait() == 60
    r.work()
    assert r.state is State.COMMITTING and r.sector.invalid_proofs == 1
    assert r.said[-1] == "SectorRetryInvalidProof"
    r.until_task(TaskType.COMMIT2).work()
    r.do(ev.ProofChecked(r.turn, b"proof", False, "invalid proof"))
    r.work()
    assert r.state is State.SEAL_PRECOMMIT1_FAILED
    assert r.trace("SectorSealPreCommit1Failed") == "consecutive invalid proofs"
    assert not any(isinstance(a, act.SendCommit) for a in r.everything)


def test_a_ticket_too_old_before_pc1_is_drawn_again() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1).fail()
    r.pass_time(epochs=3000)
    r.wait()
    assert r.state is State.GET_TICKET
    assert r.said[-2:] == ["SectorRetrySealPreCommit1", "SectorOldTicket"]
    r.until(State.PROVING)


def test_a_ticket_that_ages_in_the_queue_is_drawn_again_and_keeps_its_place() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1)
    queued_at, old = r.sector.queued_at, r.sector.ticket_epoch
    assert r.the(act.WatchTicket).epoch == old + 900 + 1440
    r.pass_time(seconds=1440 * 30, epochs=1440)
    r.do(ev.TicketOld(r.turn))
    assert r.the(act.CancelTask) and r.state is State.GET_TICKET and r.said[-1] == "SectorOldTicket"
    r.work()
    assert r.task() is TaskType.PRECOMMIT1 and r.sector.ticket_epoch == old + 1440
    assert r.sector.queued_at == queued_at
    r.until(State.PROVING)


def test_a_ticket_too_old_for_the_precommit_costs_the_pc1() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT2)
    r.pass_time(epochs=3000)
    r.work()
    assert r.state is State.SEAL_PRECOMMIT1_FAILED
    assert r.trace("SectorSealPreCommit1Failed") == (
        "ticket expired: ticket expired: seal height: 5000, head: 8000"
    )
    r.until(State.PROVING)


def test_a_precommit_that_the_network_refused_is_sent_again() -> None:
    r = Rehearsal().until(State.PRECOMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "exit code 16"))
    assert r.state is State.PRECOMMIT_FAILED
    r.work()
    assert r.wait() == 60
    r.work()
    assert r.state is State.PRECOMMITTING
    assert r.said[-1] == "SectorRetryPreCommit"
    r.until(State.PROVING)


def test_a_precommit_that_landed_after_all_is_not_sent_again() -> None:
    r = Rehearsal().until(State.PRECOMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "lost sight of it"))
    r.do(ev.OnChain(r.turn, 5003, r.sector.comm_r, False, "landed"))
    assert r.state is State.WAIT_SEED
    assert r.said[-1] == "SectorRetryWaitSeed"
    r.until(State.PROVING)


def test_another_commr_on_chain_is_looked_at_ever_more_seldom() -> None:
    r = Rehearsal().until(State.PRECOMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "x"))
    waits = []
    for _ in range(3):
        r.do(ev.OnChain(r.turn, 5003, "bagboother", False, "landed"))
        assert r.state is State.PRECOMMIT_FAILED
        waits.append(r.wait())
    assert waits == [120, 240, 480]


def test_another_commr_seen_only_when_the_proof_fails_is_no_new_seed_either() -> None:
    r = Rehearsal().until(State.COMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "x"))
    for _ in range(2):
        r.do(ev.OnChain(r.turn, 5009, "bagboother", False, "landed"))
        assert r.state is State.COMMIT_FAILED
        assert "is not the one on chain, bagboother" in r.sector.last_error
        r.wait()
    r.work()
    r.until(State.PROVING)


def test_a_refused_proof_message_is_sent_again_a_missing_precommit_too() -> None:
    r = Rehearsal().until(State.COMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "out of gas"))
    r.work()
    r.wait()
    r.work()
    assert r.state is State.SUBMIT_COMMIT and r.said[-1] == "SectorRetrySubmitCommit"
    r.until(State.COMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "precommit has expired"))
    r.do(ev.OnChain(r.turn, None, None, False))
    r.wait()
    r.do(ev.OnChain(r.turn, None, None, False))
    assert r.state is State.PRECOMMITTING and r.said[-1] == "SectorRetryPreCommit"


def test_a_wrong_seed_is_drawn_again_without_delay() -> None:
    r = Rehearsal().until(State.COMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "wrong seed"))
    r.do(ev.OnChain(r.turn, 5009, r.sector.comm_r, False, "landed"))
    assert r.state is State.WAIT_SEED
    r.until(State.PROVING)


def test_a_finished_part_of_finalizing_is_not_done_again() -> None:
    r = Rehearsal().until_task(TaskType.FETCH).fail("no room")
    assert r.state is State.FINALIZE_FAILED
    assert r.trace("SectorFinalizeFailed") == "finalize sector: moving sector to storage: no room"
    r.wait()
    assert r.said[-1] == "SectorRetryFinalize"
    assert r.task() is TaskType.FETCH


@pytest.mark.parametrize(
    ("task", "text"),
    [(TaskType.FINALIZE_UNSEALED, "release unsealed: x"), (TaskType.FINALIZE, "finalize sector: x")],
)
def test_finalizing_fails_with_lotuss_words(task: TaskType, text: str) -> None:
    r = Rehearsal().until_task(task).fail("x")
    assert r.trace("SectorFinalizeFailed") == text
    r.until(State.PROVING)


def test_what_could_not_be_asked_is_asked_again() -> None:
    r = Rehearsal().until(State.PRECOMMITTING)
    r.do(ev.AskFailed(r.turn, "no answer"))
    assert r.state is State.PRECOMMITTING and r.sector.last_error == "no answer"
    assert r.wait() == 60
    r.do(ev.AskFailed(r.turn, "no answer"))
    assert r.wait() == 120
    r.until(State.PROVING)
    assert r.sector.last_error == ""


def test_a_check_that_could_not_be_made_is_no_word_about_the_proof() -> None:
    r = Rehearsal().until_task(TaskType.COMMIT2).work()
    r.do(ev.AskFailed(r.turn, "verifier is not there"))
    r.wait()
    assert r.the(act.CheckProof)
    r.until(State.PROVING)
    assert r.sector.invalid_proofs == 0


def test_a_chain_that_cannot_be_asked_in_a_failure_state_is_asked_again() -> None:
    r = Rehearsal().until(State.PRECOMMIT_WAIT)
    r.do(ev.MessageFailed(r.turn, "x"))
    r.do(ev.AskFailed(r.turn, "down"))
    r.wait()
    assert r.the(act.AskChain)
    r.until(State.PROVING)


# -- lost files --------------------------------------------------------------------------------------------------------


def lose(r: Rehearsal, types: FileType) -> Rehearsal:
    return r.do(ev.FilesLost(r.turn, types))


def test_a_lost_piece_is_written_again() -> None:
    r = lose(Rehearsal().until_task(TaskType.PRECOMMIT1), FileType.UNSEALED)
    assert r.the(act.CancelTask)
    assert r.task() is TaskType.ADD_PIECE
    r.until(State.PROVING)


def test_lost_pc1_files_are_made_again() -> None:
    r = lose(Rehearsal().until_task(TaskType.PRECOMMIT2), FileType.SEALED | FileType.CACHE)
    assert r.task() is TaskType.PRECOMMIT1
    assert "no path has its sealed, cache" in r.trace("SectorSealPreCommit2Failed")


def test_files_lost_after_the_precommit_are_sealed_again_with_the_same_ticket() -> None:
    r = Rehearsal().until_task(TaskType.COMMIT1)
    r.pass_time(epochs=10_000)
    lose(r, FileType.CACHE)
    assert r.task() is TaskType.PRECOMMIT1
    r.until(State.WAIT_SEED)
    assert sum(isinstance(a, act.SendPreCommit) for a in r.everything) == 1
    r.until(State.PROVING)


def test_files_lost_after_the_proof_are_sealed_again_and_nothing_is_sent_twice() -> None:
    r = lose(Rehearsal().until_task(TaskType.FINALIZE), FileType.CACHE)
    assert r.task() is TaskType.ADD_PIECE, "the unsealed file was released already"
    r.until(State.PROVING)
    assert sum(isinstance(a, act.SendCommit) for a in r.everything) == 1
    assert sum(isinstance(a, act.SendPreCommit) for a in r.everything) == 1


def test_an_unsealed_file_that_is_gone_need_not_be_released() -> None:
    r = lose(Rehearsal().until_task(TaskType.FINALIZE_UNSEALED), FileType.UNSEALED)
    assert r.task() is TaskType.FINALIZE


# -- the operator ------------------------------------------------------------------------------------------------------


def test_a_forced_state_acts_at_once_and_cancels_what_runs() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1)
    running = r.turn
    r.do(ev.ForceState(State.PACKING))
    assert r.the(act.CancelTask).turn == running
    assert r.task() is TaskType.ADD_PIECE
    assert r.payload("SectorForceState") == {"State": "Packing"}
    r.do(ev.PreCommit1Done(running, b"too late"))
    assert r.state is State.PACKING


def test_remove_acts_at_once() -> None:
    r = Rehearsal().until_task(TaskType.PRECOMMIT1).do(ev.Remove())
    assert r.state is State.REMOVING and r.the(act.CancelTask) and r.the(act.RemoveFiles)
    r.do(ev.RemovalFailed(r.turn, "disk is gone"))
    assert r.state is State.REMOVE_FAILED
    r.wait()
    r.work()
    assert r.state is State.REMOVED
    assert [a.held for a in r.everything if isinstance(a, act.Hold)][-1] is False


@pytest.mark.parametrize("state", list(State))
def test_any_state_can_be_forced_on_any_sector(state: State) -> None:
    for before in (State.PACKING, State.PRECOMMIT2, State.WAIT_SEED, State.COMMITTING, State.PROVING):
        r = Rehearsal().until(before).do(ev.ForceState(state))
        r.restart(task_alive=r.sector.task is not None)
