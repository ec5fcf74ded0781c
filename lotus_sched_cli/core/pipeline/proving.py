"""PreCommitting to CommitWait: two messages, and the proof between them.

Source: Lotus ``storage/pipeline/states_sealing.go`` (cli facts §7.2, §7.3).
"""

from __future__ import annotations

from lotus_sched_cli.core.tasks import TaskType

from .actions import (
    AskSeed,
    CheckProof,
    Commit1,
    Commit2,
    Keep,
    SendCommit,
    SendPreCommit,
    WaitMessage,
    base64,
)
from .events import (
    Commit1Done,
    Commit2Done,
    Landed,
    MessageFailed,
    ProofChecked,
    SectorEvent,
    SeedReady,
    Sent,
    TaskFailed,
)
from .run import Run
from .sealing import cid, precommit1_failed, redo_precommit1, ticket_expired, ticket_is_old
from .states import State

# -- the precommit message ---------------------------------------------------------------------------------------------


def precommitting(run: Run) -> None:
    sector = run.sector
    if sector.comm_r is None or sector.ticket is None:
        redo_precommit1(run, "no CommR or ticket is kept")
    elif sector.precommit_epoch is not None and sector.chain_comm_r == sector.comm_r:
        # Sealed again after its files were lost: the chain knows it already.
        run.go(State.FINALIZE_SECTOR if sector.proven else State.WAIT_SEED)
    elif sector.precommit_epoch is not None:
        trace = f"sealed CID {sector.comm_r} is not the one on chain, {sector.chain_comm_r}"
        run.fail("SectorChainPreCommitFailed", State.PRECOMMIT_FAILED, "PreCommitting", trace)
    elif ticket_is_old(run):
        precommit1_failed(run, ticket_expired(run))
    else:
        run.act(SendPreCommit(run.turn(), run.at.epoch + run.settings.lifetime))


def precommitting_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case Sent(_, message, info):
            run.sector.precommit_message = message
            run.say(
                "SectorPreCommitted",
                {"Message": cid(message), "PreCommitDeposit": "0", "PreCommitInfo": info},
            )
            run.go(State.PRECOMMIT_WAIT)


def precommit_wait(run: Run) -> None:
    if run.sector.precommit_message is None:
        run.say("SectorRetryPreCommit")
        run.go(State.PRECOMMITTING)
    else:
        run.act(WaitMessage(run.turn(), run.sector.precommit_message))


def precommit_wait_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    match event:
        case Landed(_, epoch, tipset):
            sector.precommit_epoch, sector.chain_comm_r = epoch, sector.comm_r
            run.succeeded("PreCommitting")
            run.say("SectorPreCommitLanded", {"TipSet": [cid(block) for block in tipset]})
            run.go(State.WAIT_SEED)
        case MessageFailed(_, error):
            run.say("SectorChainPreCommitFailed", trace=error)
            run.failed("PreCommitting")
            run.go(State.PRECOMMIT_FAILED)


# -- seed and proof ----------------------------------------------------------------------------------------------------


def wait_seed(run: Run) -> None:
    landed = run.sector.precommit_epoch
    if landed is None:
        run.say("SectorChainPreCommitFailed", trace="the precommit is not on chain")
        run.failed("PreCommitting")
        run.go(State.PRECOMMIT_FAILED)
        return
    epoch = landed + run.settings.challenge_delay
    run.act(AskSeed(run.turn(), epoch, epoch + run.settings.seed_confidence))


def wait_seed_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case SeedReady(_, value, epoch):
            run.sector.seed, run.sector.seed_epoch = value, epoch
            run.say("SectorSeedReady", {"SeedValue": base64(value), "SeedEpoch": epoch})
            run.go(State.COMMITTING)


def committing(run: Run) -> None:
    sector = run.sector
    if sector.part == "check":
        run.act(CheckProof(run.turn()))
    elif sector.comm_d is None or sector.comm_r is None or sector.ticket is None or not sector.pieces:
        redo_precommit1(run, "no CommR or ticket is kept")
    elif sector.seed is None:
        run.say("SectorRetryWaitSeed")
        run.go(State.WAIT_SEED)
    else:
        params = Commit1(sector.ticket, sector.seed, sector.pieces, sector.comm_d, sector.comm_r)
        run.task(TaskType.COMMIT1, params)


def committing_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    match event:
        case Commit1Done(_, out):
            run.task(TaskType.COMMIT2, Commit2(out))
        case Commit2Done(_, proof):
            run.act(Keep("proof", proof))
            sector.has_proof = True
            run.again("check")
        case ProofChecked(_, proof, True):
            run.succeeded("Committing")
            if run.settings.finalize_early:
                run.say("SectorProofReady", {"Proof": base64(proof)})
                run.go(State.COMMIT_FINALIZE)
            else:
                run.say("SectorCommitted", {"Proof": base64(proof)})
                run.go(State.SUBMIT_COMMIT)
        case ProofChecked(_, _, False, error):
            run.say("SectorCommitFailed", trace=f"commit check error: {error}")
            run.failed("Committing")
            run.go(State.COMMIT_FAILED, "bad")
        case TaskFailed(_, error, cancelled):
            which = 1 if run.was is TaskType.COMMIT1 else 2
            sector.uncounted = cancelled
            trace = f"computing seal proof failed({which}): {error}"
            run.fail("SectorComputeProofFailed", State.COMPUTE_PROOF_FAILED, "Committing", trace)


# -- the commit message ------------------------------------------------------------------------------------------------


def submit_commit(run: Run) -> None:
    if not run.sector.has_proof:
        run.say("SectorRetryComputeProof")
        run.go(State.COMMITTING)
    else:
        run.act(SendCommit(run.turn()))


def submit_commit_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case Sent(_, message):
            run.sector.commit_message = message
            run.say("SectorCommitSubmitted", {"Message": cid(message)})
            run.go(State.COMMIT_WAIT)


def commit_wait(run: Run) -> None:
    if run.sector.commit_message is None:
        run.say("SectorRetrySubmitCommit")
        run.go(State.SUBMIT_COMMIT)
    else:
        run.act(WaitMessage(run.turn(), run.sector.commit_message))


def commit_wait_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case Landed():
            run.sector.proven = True
            run.succeeded("CommitWait")
            run.say("SectorProving")
            run.go(State.FINALIZE_SECTOR)
        case MessageFailed(_, error, bad_proof):
            run.say("SectorCommitFailed", trace=error)
            run.failed("CommitWait")
            run.go(State.COMMIT_FAILED, "bad" if bad_proof else "")
