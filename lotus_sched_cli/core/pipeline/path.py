"""The main path: what each state starts, and what it makes of the answer.

Source: Lotus ``storage/pipeline/states_sealing.go`` (cli facts §7.2, §7.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lotus_sched_cli.core.proofs import sector_size, unpadded
from lotus_sched_cli.core.tasks import FileType, TaskType

from .actions import (
    AddPiece,
    AskSeed,
    AskTicket,
    CheckProof,
    Commit1,
    Commit2,
    Finalize,
    Keep,
    Move,
    PreCommit1,
    PreCommit2,
    ReleaseUnsealed,
    RemoveFiles,
    SendCommit,
    SendPreCommit,
    WaitMessage,
    WatchTicket,
    base64,
)
from .events import (
    Commit1Done,
    Commit2Done,
    FilesRemoved,
    Landed,
    MessageFailed,
    PieceAdded,
    PreCommit1Done,
    PreCommit2Done,
    ProofChecked,
    RemovalFailed,
    SectorEvent,
    SeedReady,
    Sent,
    TaskFailed,
    TaskOver,
    TicketOld,
    TicketReady,
)
from .run import Run
from .sector import Piece
from .states import State

#: What moves to long-term storage once a sector is finalized.
FINAL_FILES: Final = FileType.SEALED | FileType.CACHE


def cid(text: str | None) -> dict[str, str] | None:
    return None if text is None else {"/": text}


def piece_json(piece: Piece) -> dict[str, Any]:
    return {"Size": piece.size, "PieceCID": cid(piece.cid)}


# -- Packing -----------------------------------------------------------------------------------------------------------


def packing(run: Run) -> None:
    """A committed capacity sector is one piece of zeros."""
    run.sector.pieces = ()
    run.task(TaskType.ADD_PIECE, AddPiece((), unpadded(sector_size(run.sector.proof))))


def packing_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case PieceAdded(_, piece):
            run.sector.pieces = (piece,)
            run.sector.unsealed_released = False
            run.succeeded("Packing")
            run.say("SectorPacked", {"FillerPieces": [piece_json(piece)]})
            run.go(State.GET_TICKET if run.sector.ticket is None else State.PRECOMMIT1)
        case TaskFailed(_, error):
            trace = f"filling up the sector ([{sector_size(run.sector.proof)}]): add piece: {error}"
            run.fail("SectorAddPieceFailed", State.ADD_PIECE_FAILED, "Packing", trace)


# -- GetTicket ---------------------------------------------------------------------------------------------------------


def get_ticket(run: Run) -> None:
    run.act(AskTicket(run.turn(), run.settings.ticket_lookback))


def get_ticket_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case TicketReady(_, value, epoch):
            run.sector.ticket, run.sector.ticket_epoch = value, epoch
            run.say("SectorTicket", {"TicketValue": base64(value), "TicketEpoch": epoch})
            run.go(State.PRECOMMIT1)


def ticket_is_old(run: Run) -> bool:
    """Whether the network would refuse this ticket; one that is on chain already stays good."""
    sector = run.sector
    return sector.precommit_epoch is None and run.at.epoch - sector.ticket_epoch > run.settings.ticket_max_age


def ticket_expired(run: Run) -> str:
    born = run.sector.ticket_epoch + run.settings.ticket_lookback
    return f"ticket expired: ticket expired: seal height: {born}, head: {run.at.epoch}"


# -- PreCommit1, PreCommit2 --------------------------------------------------------------------------------------------


def precommit1(run: Run) -> None:
    sector = run.sector
    if not sector.pieces or sector.unsealed_released:
        run.go(State.PACKING)
        return
    if sector.ticket is None or ticket_is_old(run):
        run.say("SectorOldTicket")
        run.go(State.GET_TICKET)
        return
    run.task(TaskType.PRECOMMIT1, PreCommit1(sector.ticket, sector.pieces))
    watch_ticket(run)


def watch_ticket(run: Run) -> None:
    """A queue may be days long: a PreCommit1 that begins with a ticket about to expire is hours of work for nothing.

    So a ticket whose PreCommit1 still waits is drawn again when half of its life is over.
    """
    if run.sector.precommit_epoch is None:
        settings = run.settings
        half = settings.ticket_lookback + (settings.ticket_max_age - settings.ticket_lookback) // 2
        run.act(WatchTicket(run.sector.turn, run.sector.ticket_epoch + half))


def precommit1_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    match event:
        case PreCommit1Done(_, out):
            run.act(Keep("pc1_out", out))
            sector.has_pc1_out = True
            sector.has_proof = sector.has_proof and sector.proven
            sector.cache_cleared = sector.finalized = False
            sector.precommit2_fails = 0
            run.succeeded("PreCommit1")
            run.say("SectorPreCommit1", {"PreCommit1Out": base64(out)})
            run.go(State.PRECOMMIT2)
        case TicketOld():
            run.drop_task()
            run.say("SectorOldTicket")
            run.go(State.GET_TICKET)
        case TaskFailed(_, error):
            precommit1_failed(run, f"seal pre commit(1) failed: {error}")


def precommit1_failed(run: Run, trace: str) -> None:
    """Lotus counts every way to SealPreCommit1Failed; it resets what was counted behind it."""
    run.sector.precommit2_fails = run.sector.invalid_proofs = 0
    run.fail("SectorSealPreCommit1Failed", State.SEAL_PRECOMMIT1_FAILED, "PreCommit1", trace)


def precommit2(run: Run) -> None:
    if not run.sector.has_pc1_out:
        redo_precommit1(run, "no output of PreCommit1 is kept")
        return
    run.task(TaskType.PRECOMMIT2, PreCommit2(None))


def redo_precommit1(run: Run, why: str) -> None:
    """Only a new PreCommit1 helps, and nothing is to be waited for."""
    run.say("SectorSealPreCommit2Failed", trace=f"seal pre commit(2) failed: {why}")
    run.say("SectorRetrySealPreCommit1")
    run.go(State.PRECOMMIT1)


def precommit2_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    match event:
        case PreCommit2Done(_, comm_d, comm_r):
            sector.comm_d, sector.comm_r = comm_d, comm_r
            # PreCommit2 has encoded the replica in place: a second one on it would be silently wrong.
            sector.has_pc1_out = False
            run.act(Keep("pc1_out", None))
            sector.precommit2_fails = 0
            run.succeeded("PreCommit2")
            run.say("SectorPreCommit2", {"Sealed": cid(comm_r), "Unsealed": cid(comm_d)})
            run.go(State.PRECOMMITTING)
        case TaskFailed(_, error, _, True):
            sector.has_pc1_out = False
            if run.failed("PreCommit2") == 1:
                redo_precommit1(run, error)
            else:
                run.sector.failures["PreCommit2"] -= 1
                precommit2_failed(run, error)
        case TaskFailed(_, error, cancelled, _):
            sector.precommit2_fails += not cancelled
            precommit2_failed(run, error)


def precommit2_failed(run: Run, error: str) -> None:
    run.sector.invalid_proofs = 0
    trace = f"seal pre commit(2) failed: {error}"
    run.fail("SectorSealPreCommit2Failed", State.SEAL_PRECOMMIT2_FAILED, "PreCommit2", trace)


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


# -- FinalizeSector ----------------------------------------------------------------------------------------------------


def finalize(run: Run) -> None:
    """FUS, FIN, the move: the first that is not done yet."""
    sector = run.sector
    if sector.finalized:
        finalized(run)
    elif not sector.unsealed_released:
        run.task(TaskType.FINALIZE_UNSEALED, ReleaseUnsealed())
    elif not sector.cache_cleared:
        run.task(TaskType.FINALIZE, Finalize())
    else:
        run.task(TaskType.FETCH, Move(FINAL_FILES))


def finalized(run: Run) -> None:
    run.succeeded("FinalizeSector")
    if run.sector.state is State.COMMIT_FINALIZE:
        run.say("SectorFinalized")
        run.go(State.SUBMIT_COMMIT)
    elif run.settings.make_cc_available:
        run.say("SectorFinalizedAvailable")
        run.go(State.AVAILABLE)
    else:
        run.say("SectorFinalized")
        run.go(State.PROVING)


def finalize_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    match event:
        case TaskOver():
            if run.was is TaskType.FINALIZE_UNSEALED:
                sector.unsealed_released = True
            elif run.was is TaskType.FINALIZE:
                sector.cache_cleared = True
            else:
                sector.finalized = True
            run.again()
        case TaskFailed(_, error):
            what = "release unsealed" if run.was is TaskType.FINALIZE_UNSEALED else "finalize sector"
            if run.was is TaskType.FETCH:
                what += ": moving sector to storage"
            early = sector.state is State.COMMIT_FINALIZE
            failed = State.COMMIT_FINALIZE_FAILED if early else State.FINALIZE_FAILED
            run.fail("SectorFinalizeFailed", failed, "FinalizeSector", f"{what}: {error}")


# -- Removing ----------------------------------------------------------------------------------------------------------


def removing(run: Run) -> None:
    run.act(RemoveFiles(run.turn()))


def removing_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case FilesRemoved():
            run.say("SectorRemoved")
            run.go(State.REMOVED)
        case RemovalFailed(_, error):
            run.fail("SectorRemoveFailed", State.REMOVE_FAILED, "Removing", error)


BEGIN: Final[dict[State, Callable[[Run], None]]] = {
    State.PACKING: packing,
    State.GET_TICKET: get_ticket,
    State.PRECOMMIT1: precommit1,
    State.PRECOMMIT2: precommit2,
    State.PRECOMMITTING: precommitting,
    State.PRECOMMIT_WAIT: precommit_wait,
    State.WAIT_SEED: wait_seed,
    State.COMMITTING: committing,
    State.COMMIT_FINALIZE: finalize,
    State.SUBMIT_COMMIT: submit_commit,
    State.COMMIT_WAIT: commit_wait,
    State.FINALIZE_SECTOR: finalize,
    State.REMOVING: removing,
}

ANSWERS: Final[dict[State, Callable[[Run, SectorEvent], None]]] = {
    State.PACKING: packing_answer,
    State.GET_TICKET: get_ticket_answer,
    State.PRECOMMIT1: precommit1_answer,
    State.PRECOMMIT2: precommit2_answer,
    State.PRECOMMITTING: precommitting_answer,
    State.PRECOMMIT_WAIT: precommit_wait_answer,
    State.WAIT_SEED: wait_seed_answer,
    State.COMMITTING: committing_answer,
    State.COMMIT_FINALIZE: finalize_answer,
    State.SUBMIT_COMMIT: submit_commit_answer,
    State.COMMIT_WAIT: commit_wait_answer,
    State.FINALIZE_SECTOR: finalize_answer,
    State.REMOVING: removing_answer,
}
