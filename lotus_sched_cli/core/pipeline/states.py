"""The states of a sector, with Lotus's texts, and the groups that limits, colours and holds are counted by.

Source: Lotus ``storage/pipeline/sector_state.go``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """All states that Lotus knows. The pipeline itself walks those of the 0.8 releases and GetTicket."""

    UNDEFINED = ""
    EMPTY = "Empty"
    WAIT_DEALS = "WaitDeals"
    ADD_PIECE = "AddPiece"
    PACKING = "Packing"
    GET_TICKET = "GetTicket"
    PRECOMMIT1 = "PreCommit1"
    PRECOMMIT2 = "PreCommit2"
    PRECOMMITTING = "PreCommitting"
    PRECOMMIT_WAIT = "PreCommitWait"
    SUBMIT_PRECOMMIT_BATCH = "SubmitPreCommitBatch"
    PRECOMMIT_BATCH_WAIT = "PreCommitBatchWait"
    WAIT_SEED = "WaitSeed"
    COMMITTING = "Committing"
    COMMIT_FINALIZE = "CommitFinalize"
    COMMIT_FINALIZE_FAILED = "CommitFinalizeFailed"
    SUBMIT_COMMIT = "SubmitCommit"
    COMMIT_WAIT = "CommitWait"
    SUBMIT_COMMIT_AGGREGATE = "SubmitCommitAggregate"
    COMMIT_AGGREGATE_WAIT = "CommitAggregateWait"
    FINALIZE_SECTOR = "FinalizeSector"
    PROVING = "Proving"
    AVAILABLE = "Available"
    SNAP_DEALS_WAIT_DEALS = "SnapDealsWaitDeals"
    SNAP_DEALS_ADD_PIECE = "SnapDealsAddPiece"
    SNAP_DEALS_PACKING = "SnapDealsPacking"
    UPDATE_REPLICA = "UpdateReplica"
    PROVE_REPLICA_UPDATE = "ProveReplicaUpdate"
    SUBMIT_REPLICA_UPDATE = "SubmitReplicaUpdate"
    WAIT_MUTABLE = "WaitMutable"
    REPLICA_UPDATE_WAIT = "ReplicaUpdateWait"
    FINALIZE_REPLICA_UPDATE = "FinalizeReplicaUpdate"
    UPDATE_ACTIVATING = "UpdateActivating"
    RELEASE_SECTOR_KEY = "ReleaseSectorKey"
    RECEIVE_SECTOR = "ReceiveSector"
    FAILED_UNRECOVERABLE = "FailedUnrecoverable"
    ADD_PIECE_FAILED = "AddPieceFailed"
    SEAL_PRECOMMIT1_FAILED = "SealPreCommit1Failed"
    SEAL_PRECOMMIT2_FAILED = "SealPreCommit2Failed"
    PRECOMMIT_FAILED = "PreCommitFailed"
    COMPUTE_PROOF_FAILED = "ComputeProofFailed"
    REMOTE_COMMIT_FAILED = "RemoteCommitFailed"
    COMMIT_FAILED = "CommitFailed"
    PACKING_FAILED = "PackingFailed"
    FINALIZE_FAILED = "FinalizeFailed"
    DEALS_EXPIRED = "DealsExpired"
    RECOVER_DEAL_IDS = "RecoverDealIDs"
    SNAP_DEALS_ADD_PIECE_FAILED = "SnapDealsAddPieceFailed"
    SNAP_DEALS_DEALS_EXPIRED = "SnapDealsDealsExpired"
    SNAP_DEALS_RECOVER_DEAL_IDS = "SnapDealsRecoverDealIDs"
    ABORT_UPGRADE = "AbortUpgrade"
    REPLICA_UPDATE_FAILED = "ReplicaUpdateFailed"
    RELEASE_SECTOR_KEY_FAILED = "ReleaseSectorKeyFailed"
    FINALIZE_REPLICA_UPDATE_FAILED = "FinalizeReplicaUpdateFailed"
    FAULTY = "Faulty"
    FAULT_REPORTED = "FaultReported"
    FAULTED_FINAL = "FaultedFinal"
    TERMINATING = "Terminating"
    TERMINATE_WAIT = "TerminateWait"
    TERMINATE_FINALITY = "TerminateFinality"
    TERMINATE_FAILED = "TerminateFailed"
    REMOVING = "Removing"
    REMOVE_FAILED = "RemoveFailed"
    REMOVED = "Removed"


_FORCED_TERMINATION: Final = frozenset(
    {State.TERMINATING, State.TERMINATE_WAIT, State.TERMINATE_FINALITY, State.TERMINATE_FAILED}
)

#: Done with sealing (Lotus's *proving*, without FinalizeEarly).
PROVING: Final = (
    frozenset(
        {
            State.PROVING,
            State.AVAILABLE,
            State.UPDATE_ACTIVATING,
            State.RELEASE_SECTOR_KEY,
            State.REMOVED,
            State.REMOVING,
        }
    )
    | _FORCED_TERMINATION
)

#: Of *proving* too when FinalizeEarly is on: the files are in long-term storage before the message goes out.
PROVING_WHEN_FINALIZED_EARLY: Final = frozenset(
    {
        State.SUBMIT_COMMIT,
        State.COMMIT_WAIT,
        State.SUBMIT_COMMIT_AGGREGATE,
        State.COMMIT_AGGREGATE_WAIT,
        State.WAIT_MUTABLE,
        State.SUBMIT_REPLICA_UPDATE,
        State.REPLICA_UPDATE_WAIT,
    }
)

#: Failure states that the pipeline leaves by itself after a while.
RETRIED: Final = frozenset(
    {
        State.ADD_PIECE_FAILED,
        State.SEAL_PRECOMMIT1_FAILED,
        State.SEAL_PRECOMMIT2_FAILED,
        State.PRECOMMIT_FAILED,
        State.COMPUTE_PROOF_FAILED,
        State.REMOTE_COMMIT_FAILED,
        State.COMMIT_FAILED,
        State.COMMIT_FINALIZE_FAILED,
        State.FINALIZE_FAILED,
        State.REMOVE_FAILED,
    }
)

#: Failed for good: someone must act (``sectors update-state`` or ``sectors remove``).
BY_HAND: Final = frozenset(
    {
        State.FAILED_UNRECOVERABLE,
        State.PACKING_FAILED,
        State.DEALS_EXPIRED,
        State.RECOVER_DEAL_IDS,
        State.SNAP_DEALS_ADD_PIECE_FAILED,
        State.SNAP_DEALS_DEALS_EXPIRED,
        State.SNAP_DEALS_RECOVER_DEAL_IDS,
        State.ABORT_UPGRADE,
        State.REPLICA_UPDATE_FAILED,
        State.RELEASE_SECTOR_KEY_FAILED,
        State.FINALIZE_REPLICA_UPDATE_FAILED,
        State.FAULTY,
        State.FAULT_REPORTED,
        State.FAULTED_FINAL,
    }
)

#: The states in which the pipeline does something; in every other one the sector rests.
WORKING: Final = RETRIED | {
    State.PACKING,
    State.GET_TICKET,
    State.PRECOMMIT1,
    State.PRECOMMIT2,
    State.PRECOMMITTING,
    State.PRECOMMIT_WAIT,
    State.WAIT_SEED,
    State.COMMITTING,
    State.COMMIT_FINALIZE,
    State.SUBMIT_COMMIT,
    State.COMMIT_WAIT,
    State.FINALIZE_SECTOR,
    State.REMOVING,
}


def held(state: State) -> bool:
    """Whether a sector in this state fills the P1 hold where its files lie (scheduling.md A2)."""
    return state not in PROVING or state is State.REMOVING


def counts_as_sealing(state: State, finalize_early: bool) -> bool:
    """Whether MaxSealingSectors counts it (staging, sealing and, as in Lotus, failed)."""
    if state in PROVING:
        return False
    return not (finalize_early and state in PROVING_WHEN_FINALIZED_EARLY)
