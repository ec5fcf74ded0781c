"""How each call of a worker is answered: the Return method, the shape of its result, the task that it is.

Source: Lotus ``storage/sealer/worker_local.go``, ``api/api_storage.go``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.types import CallError, PieceInfo, SectorCids


@dataclass(frozen=True, slots=True)
class Returning:
    """``result`` is the type in the result slot, None where the Return carries only the error; ``zero`` fills the slot
    of a failed call."""

    method: str
    task: TaskType
    result: Any = None
    zero: Any = None

    def encode(self, result: Any, error: CallError | None) -> bytes:
        """The Return's parameters after the CallID, as JSON, for keeping."""
        if self.result is None:
            return msgspec.json.encode([error])
        return msgspec.json.encode([self.zero if error is not None else result, error])

    def decode(self, kept: bytes) -> tuple[Any, ...]:
        types = (CallError | None,) if self.result is None else (self.result, CallError | None)
        found: tuple[Any, ...] = msgspec.json.decode(kept, type=tuple[types])  # type: ignore[valid-type]
        return found


#: Method → how it is answered.
RETURNS: Final = {
    "DataCid": Returning("ReturnDataCid", TaskType.DATA_CID, PieceInfo, PieceInfo()),
    "AddPiece": Returning("ReturnAddPiece", TaskType.ADD_PIECE, PieceInfo, PieceInfo()),
    "SealPreCommit1": Returning("ReturnSealPreCommit1", TaskType.PRECOMMIT1, bytes | None),
    "SealPreCommit2": Returning("ReturnSealPreCommit2", TaskType.PRECOMMIT2, SectorCids, SectorCids()),
    "SealCommit1": Returning("ReturnSealCommit1", TaskType.COMMIT1, bytes | None),
    "SealCommit2": Returning("ReturnSealCommit2", TaskType.COMMIT2, bytes | None),
    "FinalizeSector": Returning("ReturnFinalizeSector", TaskType.FINALIZE),
    "ReleaseUnsealed": Returning("ReturnReleaseUnsealed", TaskType.FINALIZE_UNSEALED),
    "MoveStorage": Returning("ReturnMoveStorage", TaskType.FETCH),
    "Fetch": Returning("ReturnFetch", TaskType.FETCH),
    "UnsealPiece": Returning("ReturnUnsealPiece", TaskType.UNSEAL),
}
