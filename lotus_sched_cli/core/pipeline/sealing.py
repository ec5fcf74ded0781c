"""Packing to PreCommit2: the piece, the ticket, the replica.

Source: Lotus ``storage/pipeline/states_sealing.go`` (cli facts §7.2, §7.3).
"""

from __future__ import annotations

from typing import Any

from lotus_sched_cli.core.proofs import sector_size, unpadded
from lotus_sched_cli.core.tasks import TaskType

from .actions import AddPiece, AskTicket, Keep, PreCommit1, PreCommit2, WatchTicket, base64
from .events import (
    PieceAdded,
    PreCommit1Done,
    PreCommit2Done,
    SectorEvent,
    TaskFailed,
    TicketOld,
    TicketReady,
)
from .run import Run
from .sector import Piece
from .states import State


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
                sector.count_failures("PreCommit2", sector.failures["PreCommit2"] - 1)
                precommit2_failed(run, error)
        case TaskFailed(_, error, cancelled, _):
            sector.precommit2_fails += not cancelled
            precommit2_failed(run, error)


def precommit2_failed(run: Run, error: str) -> None:
    run.sector.invalid_proofs = 0
    trace = f"seal pre commit(2) failed: {error}"
    run.fail("SectorSealPreCommit2Failed", State.SEAL_PRECOMMIT2_FAILED, "PreCommit2", trace)
