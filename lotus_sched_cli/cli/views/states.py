"""Sector states in the order and colours in which Lotus shows them (``cli/spcli/statemeta.go``)."""

from __future__ import annotations

from typing import Final

_GREEN = "Proving Available UpdateActivating"
_MAGENTA = "ReceiveSector"
_BLUE = "Empty WaitDeals AddPiece SnapDealsWaitDeals SnapDealsAddPiece"
_YELLOW = (
    "Packing GetTicket PreCommit1 PreCommit2 PreCommitting PreCommitWait SubmitPreCommitBatch PreCommitBatchWait"
    " WaitSeed Committing CommitFinalize SubmitCommit CommitWait SubmitCommitAggregate CommitAggregateWait"
    " FinalizeSector SnapDealsPacking UpdateReplica ProveReplicaUpdate SubmitReplicaUpdate WaitMutable"
    " ReplicaUpdateWait FinalizeReplicaUpdate ReleaseSectorKey"
)
_CYAN = "Terminating TerminateWait TerminateFinality TerminateFailed Removing Removed AbortUpgrade"
_RED = (
    "FailedUnrecoverable AddPieceFailed SealPreCommit1Failed SealPreCommit2Failed PreCommitFailed"
    " ComputeProofFailed RemoteCommitFailed CommitFailed CommitFinalizeFailed PackingFailed FinalizeFailed Faulty"
    " FaultReported FaultedFinal RemoveFailed DealsExpired RecoverDealIDs SnapDealsAddPieceFailed"
    " SnapDealsDealsExpired SnapDealsRecoverDealIDs ReplicaUpdateFailed ReleaseSectorKeyFailed"
    " FinalizeReplicaUpdateFailed"
)

#: State → colour, in the order of ``info``; the undefined state stands before the working ones.
COLORS: Final[dict[str, str]] = {
    state: color
    for color, states in (
        ("green", _GREEN.split()),
        ("magenta", _MAGENTA.split()),
        ("blue", _BLUE.split()),
        ("red", [""]),
        ("yellow", _YELLOW.split()),
        ("cyan", _CYAN.split()),
        ("red", _RED.split()),
    )
    for state in states
}


def color_of(state: str) -> str:
    """The colour's name; a state that Lotus does not know has none."""
    return COLORS.get(state, "")


def rank_of(state: str) -> int:
    """Place in ``info``; unknown states last."""
    return list(COLORS).index(state) if state in COLORS else len(COLORS)
