"""Which of Lotus's calls each task is (lotus-wire.md §4.5, §5.6), and what a failed one means (scheduling.md A7)."""

from __future__ import annotations

from typing import Final

from lotus_sched_cli.core.events import Outcome
from lotus_sched_cli.core.tasks import AcquireMode, PathType, TaskType
from lotus_sched_cli.lotus.types import CallError

#: Task type → the worker's method.
METHOD: Final = {
    TaskType.DATA_CID: "DataCid",
    TaskType.ADD_PIECE: "AddPiece",
    TaskType.PRECOMMIT1: "SealPreCommit1",
    TaskType.PRECOMMIT2: "SealPreCommit2",
    TaskType.COMMIT1: "SealCommit1",
    TaskType.COMMIT2: "SealCommit2",
    TaskType.FINALIZE: "FinalizeSector",
    TaskType.FINALIZE_UNSEALED: "ReleaseUnsealed",
    TaskType.FINALIZE_REPLICA_UPDATE: "FinalizeReplicaUpdate",
    TaskType.FETCH: "MoveStorage",
    TaskType.UNSEAL: "UnsealPiece",
    TaskType.REPLICA_UPDATE: "ReplicaUpdate",
    TaskType.PROVE_REPLICA_UPDATE1: "ProveReplicaUpdate1",
    TaskType.PROVE_REPLICA_UPDATE2: "ProveReplicaUpdate2",
    TaskType.REGEN_SECTOR_KEY: "GenerateSectorKeyFromData",
    TaskType.DOWNLOAD_SECTOR: "DownloadSectorData",
}

_COPIES: Final = frozenset(
    {TaskType.UNSEAL, TaskType.REPLICA_UPDATE, TaskType.PROVE_REPLICA_UPDATE1, TaskType.REGEN_SECTOR_KEY}
)


def fetch_kind(task: TaskType) -> tuple[PathType, AcquireMode]:
    """Where the prepare step of a task puts the files, and whether their source is deleted."""
    path_type = PathType.STORAGE if task is TaskType.FETCH else PathType.SEALING
    return path_type, AcquireMode.COPY if task in _COPIES else AcquireMode.MOVE


def source_away(error: CallError) -> bool:
    """Whether a Fetch failed because nobody served the files just then: their worker, or this miner that vouches for
    the token, was away. That is no failure of the step; real ones must not send a sector back to PreCommit1."""
    text = error.Message
    return "from remote" in text and ("onnection refused" in text or "non-200 code: 401" in text)


def outcome_of(error: CallError | None) -> Outcome:
    """What the scheduler makes of a Return."""
    if error is None:
        return Outcome.SUCCESS
    if error.Code == 102 or (error.Code == 0 and "no good path found" in error.Message):
        return Outcome.NO_SPACE
    if error.temporary or "RPC client error" in error.Message:
        return Outcome.AGAIN
    return Outcome.FAILED
