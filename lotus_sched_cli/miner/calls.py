"""Tasks of the pipeline as calls on the wire: their parameters as JSON, their results as events.

Source: Lotus ``api/api_worker.go``, ``api/api_storage.go`` (wire facts §4.5, §5.2).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from lotus_sched_cli.core.pipeline import Piece, Sector
from lotus_sched_cli.core.pipeline import actions as act
from lotus_sched_cli.core.pipeline import events as ev
from lotus_sched_cli.core.proofs import sector_size
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import (
    REPLICA_SPOILED,
    REQUEST_REMOVED,
    TASK_ABORTED,
    CallError,
    Cid,
    PieceInfo,
    SectorCids,
    SectorID,
    SectorRef,
)


class BadResult(ValueError):
    """What came back is no result of such a task; the text goes to the sector's log."""


def params(sector: Sector, task: act.Params, pc1_out: bytes | None) -> bytes:
    """The call's positional parameters, a JSON array. ``pc1_out``: the kept output, for a PreCommit2 that needs it."""
    ref = SectorRef(SectorID(*sector.id), sector.proof)
    encode = msgspec.json.encode
    match task:
        case act.AddPiece(existing, size):
            return encode([ref, list(existing), size, {"Type": "null", "Info": str(size)}])
        case act.PreCommit1(ticket, pieces):
            return encode([ref, ticket, _pieces(pieces)])
        case act.PreCommit2(out):
            return encode([ref, pc1_out if out is None else out])
        case act.Commit1(ticket, seed, pieces, comm_d, comm_r):
            return encode([ref, ticket, seed, _pieces(pieces), SectorCids(Cid(comm_d), Cid(comm_r))])
        case act.Commit2(out):
            # Already JSON: tens of megabytes that nobody here needs to look into.
            return b"[" + encode(ref) + b"," + out + b"]"
        case act.ReleaseUnsealed():
            return encode([ref, None])
        case act.Finalize():
            return encode([ref])
        case act.Move(files):
            return encode([ref, int(files)])


def outcome(
    sector: Sector, task: TaskType, turn: int, result: bytes | None, error: CallError | str | None
) -> ev.Answer:
    """What the pipeline is told when a task is over. A result that is none counts as a failure."""
    if error is not None:
        text = str(error)
        cancelled = text.endswith((TASK_ABORTED, REQUEST_REMOVED))
        return ev.TaskFailed(turn, text, cancelled, redo=REPLICA_SPOILED in text)
    try:
        return _success(sector, task, turn, result or b"null")
    except (BadResult, msgspec.DecodeError) as bad:
        return ev.TaskFailed(turn, f"the worker's result is not usable: {bad}")


def _success(sector: Sector, task: TaskType, turn: int, result: bytes) -> ev.Answer:
    match task:
        case TaskType.ADD_PIECE:
            piece = msgspec.json.decode(result, type=PieceInfo)
            expected = _zero_piece(piece.Size) if _is_power_of_two(piece.Size) else None
            if expected is None or str(piece.PieceCID) != expected.cid:
                cid = expected.cid if expected else None
                raise BadResult(
                    f"unexpected padding piece CID: expected:{cid}, got:{piece.PieceCID or '<nil>'}"
                )
            return ev.PieceAdded(turn, expected)
        case TaskType.PRECOMMIT1:
            return ev.PreCommit1Done(turn, _bytes(result))
        case TaskType.PRECOMMIT2:
            both = msgspec.json.decode(result, type=SectorCids)
            comm_d, comm_r = str(both.Unsealed or ""), str(both.Sealed or "")
            if not cids.is_sealed(comm_r):
                raise BadResult(f"{comm_r or 'nothing'} is no sealed CID (CommR)")
            if sector.pieces and comm_d != _comm_d(sector):
                raise BadResult(f"CommD is {comm_d}, the sector's pieces have {_comm_d(sector)}")
            return ev.PreCommit2Done(turn, comm_d, comm_r)
        case TaskType.COMMIT1:
            if result == b"null":
                raise BadResult("the output of Commit1 is empty")
            return ev.Commit1Done(turn, result)
        case TaskType.COMMIT2:
            return ev.Commit2Done(turn, _bytes(result))
        case _:
            return ev.TaskOver(turn)


def _comm_d(sector: Sector) -> str:
    return cids.comm_d(((p.size, p.cid) for p in sector.pieces), sector_size(sector.proof))


def _bytes(result: bytes) -> bytes:
    value = msgspec.json.decode(result, type=bytes | None)
    if not value:
        raise BadResult("it is empty")
    return value


def _pieces(pieces: tuple[Piece, ...]) -> list[Any]:
    return [PieceInfo(piece.size, Cid(piece.cid)) for piece in pieces]


@cache
def _zero_piece(size: int) -> Piece:
    """One for all sectors of a size: there are ten thousand."""
    return Piece(size, cids.zero_piece_cid(size))


def _is_power_of_two(size: int) -> bool:
    return size >= 128 and size & (size - 1) == 0
