"""Failure states: how each is left, and what becomes of a sector whose files are gone.

Source: Lotus ``storage/pipeline/states_failed.go`` (cli facts §7.4). Delays grow per sector and step; the branches that
only go back to waiting have none the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType, TaskType

from .actions import AskChain
from .events import OnChain, SectorEvent, TaskOver
from .path import ANSWERS as PATH_ANSWERS
from .run import Run
from .sealing import precommit1_failed, redo_precommit1, ticket_expired, ticket_is_old
from .states import State

#: PreCommit2 failures in a row after which only a new PreCommit1 is tried.
PRECOMMIT2_TRIES: Final = 4


# -- the delay is over -------------------------------------------------------------------------------------------------


def retry_packing(run: Run) -> None:
    run.say("SectorRetryPacking")
    run.go(State.PACKING)


def retry_precommit1(run: Run) -> None:
    run.say("SectorRetrySealPreCommit1")
    run.go(State.PRECOMMIT1)


def retry_precommit2(run: Run) -> None:
    if run.sector.precommit2_fails >= PRECOMMIT2_TRIES or not run.sector.has_pc1_out:
        retry_precommit1(run)
    else:
        run.say("SectorRetrySealPreCommit2")
        run.go(State.PRECOMMIT2)


def retry_compute_proof(run: Run) -> None:
    sector = run.sector
    if sector.invalid_proofs > 1 and not sector.uncounted:
        precommit1_failed(run, "consecutive compute fails")
        return
    sector.invalid_proofs += not sector.uncounted
    sector.uncounted = False
    run.say("SectorRetryComputeProof")
    run.go(State.COMMITTING)


def retry_remote_commit(run: Run) -> None:
    run.say("SectorRetryComputeProof")
    run.go(State.COMMITTING)


def retry_finalize(run: Run) -> None:
    early = run.sector.state is State.COMMIT_FINALIZE_FAILED
    run.say("SectorRetryFinalize")
    run.go(State.COMMIT_FINALIZE if early else State.FINALIZE_SECTOR)


def retry_remove(run: Run) -> None:
    run.say("SectorRemove")
    run.go(State.REMOVING)


def ask_again(run: Run) -> None:
    """The delay is over: what the chain says now decides, at once."""
    run.sector.retry_at = None
    if not run.sector.part.endswith("retry"):
        run.sector.part += "retry"
    run.act(AskChain(run.turn()))


# -- what the chain says decides ---------------------------------------------------------------------------------------


def ask_chain(run: Run) -> None:
    run.act(AskChain(run.turn()))


def leave(run: Run, step: str, event: str, state: State, *, at_once: bool) -> None:
    """Go on, or first wait: the branches that only wait again do so at once, if they did not just fail there."""
    count = run.sector.failures.get(step, 1)
    if run.sector.part.endswith("retry") or (at_once and count <= 1):
        run.say(event)
        run.go(state)
    else:
        run.wait(run.delay(count))


def precommit_failed_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    if not isinstance(event, OnChain):
        return
    step = "PreCommitting"
    if event.precommit_message in ("pending", "landed") and event.precommit_epoch is None:
        leave(run, step, "SectorRetryPreCommitWait", State.PRECOMMIT_WAIT, at_once=True)
    elif event.precommit_epoch is not None and event.comm_r == sector.comm_r:
        sector.precommit_epoch, sector.chain_comm_r = event.precommit_epoch, event.comm_r
        sector.proven = event.proven
        leave(run, step, "SectorRetryWaitSeed", State.WAIT_SEED, at_once=True)
    elif event.precommit_epoch is not None:
        other_on_chain(run, step, event)
    else:
        sector.precommit_epoch = sector.chain_comm_r = None
        if sector.ticket is None or ticket_is_old(run):
            precommit1_failed(run, ticket_expired(run))
        else:
            leave(run, step, "SectorRetryPreCommit", State.PRECOMMITTING, at_once=False)


def other_on_chain(run: Run, step: str, event: OnChain) -> None:
    """Nothing that we can do changes what is on chain; it is looked at again, ever more seldom."""
    sector = run.sector
    sector.part = "bad" if sector.part.startswith("bad") else ""
    sector.last_error = f"sealed CID {sector.comm_r} is not the one on chain, {event.comm_r}"
    run.wait(run.delay(run.failed(step)))


def commit_failed_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    if not isinstance(event, OnChain):
        return
    bad = sector.part.startswith("bad")
    step = "Committing" if bad else "CommitWait"
    if event.proven or event.commit_message in ("pending", "landed"):
        leave(run, step, "SectorRetryCommitWait", State.COMMIT_WAIT, at_once=True)
    elif event.precommit_epoch is None:
        sector.precommit_epoch = sector.chain_comm_r = None
        leave(run, step, "SectorRetryPreCommit", State.PRECOMMITTING, at_once=False)
    elif event.comm_r != sector.comm_r:
        other_on_chain(run, step, event)
    elif sector.seed_epoch != event.precommit_epoch + run.settings.challenge_delay:
        sector.precommit_epoch, sector.chain_comm_r = event.precommit_epoch, event.comm_r
        leave(run, step, "SectorRetryWaitSeed", State.WAIT_SEED, at_once=True)
    elif bad and sector.invalid_proofs > 0:
        precommit1_failed(run, "consecutive invalid proofs")
    elif bad:
        if sector.part.endswith("retry"):
            sector.invalid_proofs += 1
        leave(run, step, "SectorRetryInvalidProof", State.COMMITTING, at_once=False)
    else:
        leave(run, step, "SectorRetrySubmitCommit", State.SUBMIT_COMMIT, at_once=False)


# -- files that are gone -----------------------------------------------------------------------------------------------


def files_lost(run: Run, types: FileType) -> None:
    """The task that is out waits for files that no path has: back to the step that makes them."""
    task = run.sector.task
    if task is None:
        return
    what = f"no path has its {', '.join(FILE_TYPE_NAMES[t] for t in types.each())}"
    if task is TaskType.FINALIZE_UNSEALED:
        # What is to be deleted is gone.
        run.drop_task()
        PATH_ANSWERS[run.sector.state](run, TaskOver(run.sector.turn))
        return
    run.drop_task()
    if task is TaskType.PRECOMMIT1:
        run.say("SectorSealPreCommit1Failed", trace=f"seal pre commit(1) failed: {what}")
        run.say("SectorRetryPacking")
        run.go(State.PACKING)
    elif task is TaskType.PRECOMMIT2:
        redo_precommit1(run, what)
    elif task is TaskType.ADD_PIECE:
        run.go(State.PACKING)
    else:
        event = "SectorComputeProofFailed" if task is TaskType.COMMIT1 else "SectorFinalizeFailed"
        run.say(event, trace=what)
        run.say("SectorSealPreCommit1Failed", trace=f"{what}: it is sealed again")
        retry_precommit1(run)


def sit_out(run: Run) -> None:
    """Forced into a failure state by hand: left as after a first failure."""
    run.wait(run.delay(1))


BEGIN: Final[dict[State, Callable[[Run], None]]] = {
    State.ADD_PIECE_FAILED: sit_out,
    State.SEAL_PRECOMMIT1_FAILED: sit_out,
    State.SEAL_PRECOMMIT2_FAILED: sit_out,
    State.COMPUTE_PROOF_FAILED: sit_out,
    State.REMOTE_COMMIT_FAILED: sit_out,
    State.FINALIZE_FAILED: sit_out,
    State.COMMIT_FINALIZE_FAILED: sit_out,
    State.REMOVE_FAILED: sit_out,
    State.PRECOMMIT_FAILED: ask_chain,
    State.COMMIT_FAILED: ask_chain,
}

RETRY: Final[dict[State, Callable[[Run], None]]] = {
    State.ADD_PIECE_FAILED: retry_packing,
    State.SEAL_PRECOMMIT1_FAILED: retry_precommit1,
    State.SEAL_PRECOMMIT2_FAILED: retry_precommit2,
    State.COMPUTE_PROOF_FAILED: retry_compute_proof,
    State.REMOTE_COMMIT_FAILED: retry_remote_commit,
    State.FINALIZE_FAILED: retry_finalize,
    State.COMMIT_FINALIZE_FAILED: retry_finalize,
    State.REMOVE_FAILED: retry_remove,
    State.PRECOMMIT_FAILED: ask_again,
    State.COMMIT_FAILED: ask_again,
}

ANSWERS: Final[dict[State, Callable[[Run, SectorEvent], None]]] = {
    State.PRECOMMIT_FAILED: precommit_failed_answer,
    State.COMMIT_FAILED: commit_failed_answer,
}
