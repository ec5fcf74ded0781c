"""Every method of miner and worker: permission, parameters, result. Server, client and documents read this table.

Sources: Lotus ``api/api_storage.go``, ``api/api_worker.go``, ``api/api_common.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from . import extras
from .explained import ExplainedTask
from .extras import (
    CapRow,
    ChainFacts,
    ConfigChanges,
    OpeningPath,
    QueuedJob,
    SectorBrief,
    TaskUsage,
    WorkerCapRows,
)
from .farm_record import FarmRecord
from .types import (
    AddressConfig,
    Alert,
    APIVersion,
    CallError,
    CallID,
    Cid,
    CommitBatchRes,
    Decl,
    FsStat,
    HealthReport,
    NumAssignerMeta,
    PieceDealInfo,
    PieceInfo,
    PoStProof,
    PostSectorChallenge,
    PreCommitBatchRes,
    Range,
    ReplicaUpdateOut,
    SchedDiag,
    SealedRef,
    SectorCids,
    SectorID,
    SectorInfo,
    SectorLocation,
    SectorLocks,
    SectorOffset,
    SectorRef,
    SectorStorageInfo,
    StorageInfo,
    StoragePath,
    UInt,
    WindowPoStResult,
    WorkerInfo,
    WorkerJob,
    WorkerStats,
)  # fmt: skip


class ReaderParam:
    """Marks a parameter that is a stream of bytes (wire §1.6); handlers get a ``rpc.streams.Reader``."""


class Param(NamedTuple):
    """A parameter: the type it decodes to, and what Go calls it in errors."""

    type: Any
    go: str


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """One method. ``channel``: its result is a Go channel, so it needs a WebSocket. ``ours``: Lotus lacks it."""

    name: str
    perm: str
    params: tuple[Param, ...]
    result: Any
    go_result: str = ""
    channel: bool = False
    ours: bool = False


Table = Mapping[str, MethodSpec]

_NUM = Param(UInt, "abi.SectorNumber")
_SECTOR = Param(SectorID, "abi.SectorID")
_REF = Param(SectorRef, "storiface.SectorRef")
_CALL = Param(CallID, "storiface.CallID")
_ERR = Param(CallError | None, "*storiface.CallError")
_STR = Param(str, "string")
_BOOL = Param(bool, "bool")
_ID = Param(str, "storiface.ID")
_ID_OR_NULL = Param(str | None, "*storiface.ID")
_TYPES = Param(int, "storiface.SectorFileType")
_SIZE = Param(UInt, "abi.SectorSize")
_UNPADDED = Param(UInt, "abi.UnpaddedPieceSize")
_OFFSET = Param(UInt, "storiface.UnpaddedByteIndex")
_READER = Param(ReaderParam, "storiface.Data")
_PIECE = Param(PieceInfo, "abi.PieceInfo")
_PIECES = Param(list[PieceInfo] | None, "[]abi.PieceInfo")
_CIDS = Param(SectorCids, "storiface.SectorCids")
_CID = Param(Cid | None, "cid.Cid")
_CID_PTR = Param(Cid | None, "*cid.Cid")
_TICKET = Param(bytes | None, "abi.SealRandomness")
_SEED = Param(bytes | None, "abi.InteractiveSealRandomness")
_POST_RAND = Param(bytes | None, "abi.PoStRandomness")
_UUID = Param(str, "uuid.UUID")
_ADDRESS = Param(str, "address.Address")
_DURATION = Param(int, "time.Duration")
_POST = Param(int, "abi.RegisteredPoStProof")
_ACTOR = Param(UInt, "abi.ActorID")
_TASK = Param(str, "sealtasks.TaskType")
_CHALLENGES = Param(list[PostSectorChallenge] | None, "[]storiface.PostSectorChallenge")
_VANILLA = Param(list[bytes] | None, "storiface.ReplicaVanillaProofs")
_PATH_TYPE = Param(str, "storiface.PathType")
_NULL = type(None)


def _bytes(go: str) -> Param:
    return Param(bytes | None, go)


def _m(
    name: str, perm: str, params: tuple[Param, ...] = (), result: Any = _NULL, go: str = "Null"
) -> MethodSpec:
    return MethodSpec(name, perm, params, result, go, channel=go == "<-chan struct{}")


_COMMON: Final = (
    _m("AuthNew", "admin", (Param(list[str] | None, "[]auth.Permission"),), bytes, "[]byte"),
    _m("AuthVerify", "read", (_STR,), list[str], "[]auth.Permission"),
    _m("Closing", "read", (), _NULL, "<-chan struct{}"),
    _m("Discover", "read", (), dict[str, Any], "apitypes.OpenRPCDocument"),
    _m("LogAlerts", "admin", (), list[Alert] | None, "[]alerting.Alert"),
    _m("LogList", "write", (), list[str] | None, "[]string"),
    _m("LogSetLevel", "write", (_STR, _STR)),
    _m("Session", "read", (), str, "uuid.UUID"),
    _m("Shutdown", "admin"),
    _m("StartTime", "read", (), str, "time.Time"),
    _m("Version", "read", (), APIVersion, "APIVersion"),
)

_RETURNS: Final = (
    _m("ReturnDataCid", "admin", (_CALL, _PIECE, _ERR)),
    _m("ReturnAddPiece", "admin", (_CALL, _PIECE, _ERR)),
    _m("ReturnSealPreCommit1", "admin", (_CALL, _bytes("storiface.PreCommit1Out"), _ERR)),
    _m("ReturnSealPreCommit2", "admin", (_CALL, _CIDS, _ERR)),
    _m("ReturnSealCommit1", "admin", (_CALL, _bytes("storiface.Commit1Out"), _ERR)),
    _m("ReturnSealCommit2", "admin", (_CALL, _bytes("storiface.Proof"), _ERR)),
    _m("ReturnFinalizeSector", "admin", (_CALL, _ERR)),
    _m("ReturnFinalizeReplicaUpdate", "admin", (_CALL, _ERR)),
    _m("ReturnReleaseUnsealed", "admin", (_CALL, _ERR)),
    _m("ReturnReplicaUpdate", "admin", (_CALL, Param(ReplicaUpdateOut, "storiface.ReplicaUpdateOut"), _ERR)),
    _m("ReturnProveReplicaUpdate1", "admin", (_CALL, _VANILLA, _ERR)),
    _m("ReturnProveReplicaUpdate2", "admin", (_CALL, _bytes("storiface.ReplicaUpdateProof"), _ERR)),
    _m("ReturnGenerateSectorKeyFromData", "admin", (_CALL, _ERR)),
    _m("ReturnMoveStorage", "admin", (_CALL, _ERR)),
    _m("ReturnUnsealPiece", "admin", (_CALL, _ERR)),
    _m("ReturnReadPiece", "admin", (_CALL, _BOOL, _ERR)),
    _m("ReturnDownloadSector", "admin", (_CALL, _ERR)),
    _m("ReturnFetch", "admin", (_CALL, _ERR)),
)

_INDEX: Final = (
    _m("StorageAddLocal", "admin", (_STR,)),
    _m(
        "StorageAttach",
        "admin",
        (Param(StorageInfo, "storiface.StorageInfo"), Param(FsStat, "fsutil.FsStat")),
    ),
    _m("StorageAuthVerify", "read", (_STR,), list[str], "[]auth.Permission"),
    _m(
        "StorageBestAlloc",
        "admin",
        (_TYPES, _SIZE, _PATH_TYPE, _ACTOR),
        list[StorageInfo],
        "[]storiface.StorageInfo",
    ),
    _m("StorageDeclareSector", "admin", (_ID, _SECTOR, _TYPES, _BOOL)),
    _m("StorageDetach", "admin", (_ID, _STR)),
    _m("StorageDetachLocal", "admin", (_STR,)),
    _m("StorageDropSector", "admin", (_ID, _SECTOR, _TYPES)),
    _m(
        "StorageFindSector",
        "admin",
        (_SECTOR, _TYPES, _SIZE, _BOOL),
        list[SectorStorageInfo],
        "[]storiface.SectorStorageInfo",
    ),
    _m("StorageGetLocks", "admin", (), SectorLocks, "storiface.SectorLocks"),
    _m("StorageInfo", "admin", (_ID,), StorageInfo, "storiface.StorageInfo"),
    _m("StorageList", "admin", (), dict[str, list[Decl]], "map[storiface.ID][]storiface.Decl"),
    _m("StorageLocal", "admin", (), dict[str, str], "map[storiface.ID]string"),
    _m("StorageLock", "admin", (_SECTOR, _TYPES, _TYPES)),
    _m("StorageRedeclareLocal", "admin", (_ID_OR_NULL, _BOOL)),
    _m("StorageReportHealth", "admin", (_ID, Param(HealthReport, "storiface.HealthReport"))),
    _m("StorageStat", "admin", (_ID,), FsStat, "fsutil.FsStat"),
    _m("StorageTryLock", "admin", (_SECTOR, _TYPES, _TYPES), bool, "bool"),
)

_MINER: Final = (
    _m("ActorAddress", "read", (), str, "address.Address"),
    _m("ActorAddressConfig", "read", (), AddressConfig, "AddressConfig"),
    _m("ActorSectorSize", "read", (_ADDRESS,), int, "abi.SectorSize"),
    _m("ActorWithdrawBalance", "admin", (Param(str, "abi.TokenAmount"),), Cid | None, "cid.Cid"),
    _m("BeneficiaryWithdrawBalance", "admin", (Param(str, "abi.TokenAmount"),), Cid | None, "cid.Cid"),
    _m("CheckProvable", "admin", (_POST, Param(list[SectorRef] | None, "[]storiface.SectorRef")), dict[str, str], "map[abi.SectorNumber]string"),
    _m("ComputeDataCid", "admin", (_UNPADDED, _READER), PieceInfo, "abi.PieceInfo"),
    _m("ComputeProof", "read", (Param(Any, "[]builtinactors.ExtendedSectorInfo"), _POST_RAND, Param(int, "abi.ChainEpoch"), Param(UInt, "abinetwork.Version")), list[PoStProof] | None, "[]builtinactors.PoStProof"),
    _m("ComputeWindowPoSt", "admin", (Param(UInt, "uint64"), Param(list[Cid] | None, "types.TipSetKey")), list[Any] | None, "[]miner.SubmitWindowedPoStParams"),
    _m("CreateBackup", "admin", (_STR,)),
    _m("MarketListDeals", "read", (), list[Any] | None, "[]*MarketDeal"),
    _m("MiningBase", "read", (), Any, "*types.TipSet"),
    _m("PledgeSector", "write", (), SectorID, "abi.SectorID"),
    _m("RecoverFault", "admin", (Param(list[UInt] | None, "[]abi.SectorNumber"),), list[Cid] | None, "[]cid.Cid"),
    _m("RuntimeSubsystems", "read", (), list[str], "MinerSubsystems"),
    _m("SealingAbort", "admin", (_CALL,)),
    _m("SealingRemoveRequest", "admin", (_UUID,)),
    _m("SealingSchedDiag", "admin", (_BOOL,), SchedDiag, "interface{}"),
    _m("SectorAbortUpgrade", "admin", (_NUM,)),
    _m("SectorAddPieceToAny", "admin", (_UNPADDED, _READER, Param(PieceDealInfo, "piece.PieceDealInfo")), SectorOffset, "SectorOffset"),
    _m("SectorCommitFlush", "admin", (), list[CommitBatchRes] | None, "[]sealiface.CommitBatchRes"),
    _m("SectorCommitPending", "admin", (), list[SectorID], "[]abi.SectorID"),
    _m("SectorGetExpectedSealDuration", "read", (), int, "time.Duration"),
    _m("SectorGetSealDelay", "read", (), int, "time.Duration"),
    _m("SectorMarkForUpgrade", "admin", (_NUM, _BOOL)),
    _m("SectorMatchPendingPiecesToOpenSectors", "admin"),
    _m("SectorNumAssignerMeta", "read", (), NumAssignerMeta, "NumAssignerMeta"),
    _m("SectorNumFree", "admin", (_STR,)),
    _m("SectorNumReservations", "read", (), dict[str, list[int]], "map[string]bitfield.BitField"),
    _m("SectorNumReserve", "admin", (_STR, Param(list[UInt] | None, "bitfield.BitField"), _BOOL)),
    _m("SectorNumReserveCount", "admin", (_STR, Param(UInt, "uint64")), list[int], "bitfield.BitField"),
    _m("SectorPreCommitFlush", "admin", (), list[PreCommitBatchRes] | None, "[]sealiface.PreCommitBatchRes"),
    _m("SectorPreCommitPending", "admin", (), list[SectorID], "[]abi.SectorID"),
    _m("SectorReceive", "admin", (Param(Any, "RemoteSectorMeta"),)),
    _m("SectorRemove", "admin", (_NUM,)),
    _m("SectorSetExpectedSealDuration", "write", (_DURATION,)),
    _m("SectorSetSealDelay", "write", (_DURATION,)),
    _m("SectorStartSealing", "write", (_NUM,)),
    _m("SectorTerminate", "admin", (_NUM,)),
    _m("SectorTerminateFlush", "admin", (), Cid | None, "*cid.Cid"),
    _m("SectorTerminatePending", "admin", (), list[SectorID], "[]abi.SectorID"),
    _m("SectorUnseal", "admin", (_NUM,)),
    _m("SectorsList", "read", (), list[UInt], "[]abi.SectorNumber"),
    _m("SectorsListInStates", "read", (Param(list[str] | None, "[]SectorState"),), list[UInt] | None, "[]abi.SectorNumber"),
    _m("SectorsRefs", "read", (), dict[str, list[SealedRef]], "map[string][]SealedRef"),
    _m("SectorsStatus", "read", (_NUM, _BOOL), SectorInfo, "SectorInfo"),
    _m("SectorsSummary", "read", (), dict[str, int], "map[SectorState]int"),
    _m("SectorsUnsealPiece", "admin", (_REF, _OFFSET, _UNPADDED, _TICKET, _CID_PTR)),
    _m("SectorsUpdate", "admin", (_NUM, Param(str, "SectorState"))),
    _m("WorkerConnect", "admin", (_STR,)),
    _m("WorkerJobs", "admin", (), dict[str, list[WorkerJob]], "map[uuid.UUID][]storiface.WorkerJob"),
    _m("WorkerStats", "admin", (), dict[str, WorkerStats], "map[uuid.UUID]storiface.WorkerStats"),
)  # fmt: skip

#: Caps by name, as operators write them.
_CAPS: Final = Param(dict[str, str], "map[string]string")
_NAMES: Final = Param(list[str] | None, "[]string")

_MINER_OURS: Final = (
    # true: one sector a worker at most
    _m("PledgeFreeSlots", "write", (_BOOL,), extras.PledgedFree, "PledgedFree"),
    _m("SealingAbortForce", "admin", (_CALL,)),
    # a waiting task by its id, a worker, whether caps and the like are passed over
    _m("SealingAssign", "admin", (_STR, _STR, _BOOL), extras.WorkerLoad, "WorkerLoad"),
    # a worker by session prefix, number, name or id; empty for all
    _m("SealingCapsList", "admin", (_STR,), list[WorkerCapRows], "[]WorkerCapRows"),
    _m("SealingCapsReset", "admin", (_STR, _NAMES), WorkerCapRows, "WorkerCapRows"),
    _m("SealingCapsSet", "admin", (_STR, _CAPS), WorkerCapRows, "WorkerCapRows"),
    # paths whose files are being declared now, for the progress of a ``storage attach``
    _m("StorageOpening", "read", (), list[OpeningPath], "[]OpeningPath"),
    _m("ConfigReload", "admin", (), ConfigChanges, "ConfigChanges"),
    # a worker, a task type (empty for all): lets it take again what it rests from
    _m("SealingEndRest", "admin", (_STR, _STR), list[str], "[]string"),
    # a sector's number, or a task's id
    _m("SealingExplain", "admin", (_STR,), list[ExplainedTask], "[]ExplainedTask"),
    _m("SealingQueue", "admin", (), list[QueuedJob], "[]QueuedJob"),
    # the live farm with its measured durations, for the simulator
    _m("SealingRecord", "admin", (), FarmRecord, "FarmRecord"),
    # every sector in one answer, for `sectors list`; the flag asks for what their logs tell
    _m("SectorsTable", "read", (_BOOL,), list[SectorBrief], "[]SectorBrief"),
    _m("SimulatedChain", "read", (), ChainFacts, "ChainFacts"),
    # what a call's process took so far; told now and then, and before its Return
    _m("TaskUsed", "admin", (_CALL, Param(TaskUsage, "TaskUsage"))),
    # a worker; "sectors" or "tasks", empty to end it; whether its next process ends it
    _m("SealingDrain", "admin", (_STR, _STR, _BOOL), extras.WorkerLoad, "WorkerLoad"),
    # a worker that is gone for good; true: though it answers
    _m("SealingForget", "admin", (_STR, _BOOL), extras.Forgotten, "Forgotten"),
    _m("WorkersAbsent", "admin", (), list[extras.AbsentWorker], "[]AbsentWorker"),
    _m("SealingLoad", "admin", (_STR,), extras.WorkerLoad, "WorkerLoad"),
    # a worker of this session has changed its caps: it is asked for its info again
    _m("WorkerChanged", "admin", (_UUID,)),
    # whether a worker of this session is registered; asked with the heartbeat, so that a lost registration is renewed
    _m("WorkerKnown", "admin", (_UUID,), bool, "bool"),
)


def _call(name: str, *params: Param) -> MethodSpec:
    """A worker's asynchronous call: the result is its CallID."""
    return _m(name, "admin", params, CallID, "storiface.CallID")


_WORKER: Final = (
    _call("AddPiece", _REF, Param(list[UInt] | None, "[]abi.UnpaddedPieceSize"), _UNPADDED, _READER),
    _call("DataCid", _UNPADDED, _READER),
    _call("DownloadSectorData", _REF, _BOOL, Param(dict[str, SectorLocation] | None, "map[storiface.SectorFileType]storiface.SectorLocation")),
    _call("Fetch", _REF, _TYPES, _PATH_TYPE, Param(str, "storiface.AcquireMode")),
    _call("FinalizeReplicaUpdate", _REF),
    _call("FinalizeSector", _REF),
    _call("GenerateSectorKeyFromData", _REF, _CID),
    _call("MoveStorage", _REF, _TYPES),
    _call("ProveReplicaUpdate1", _REF, _CID, _CID, _CID),
    _call("ProveReplicaUpdate2", _REF, _CID, _CID, _CID, _VANILLA),
    _call("ReleaseUnsealed", _REF, Param(list[Range] | None, "[]storiface.Range")),
    _call("ReplicaUpdate", _REF, _PIECES),
    _call("SealCommit1", _REF, _TICKET, _SEED, _PIECES, _CIDS),
    _call("SealCommit2", _REF, _bytes("storiface.Commit1Out")),
    _call("SealPreCommit1", _REF, _TICKET, _PIECES),
    _call("SealPreCommit2", _REF, _bytes("storiface.PreCommit1Out")),
    _call("UnsealPiece", _REF, _OFFSET, _UNPADDED, _TICKET, _CID),
    _m("Enabled", "admin", (), bool, "bool"),
    _m("GenerateWindowPoSt", "admin", (_POST, _ACTOR, _CHALLENGES, Param(int, "int"), _POST_RAND), WindowPoStResult, "storiface.WindowPoStResult"),
    _m("GenerateWinningPoSt", "admin", (_POST, _ACTOR, _CHALLENGES, _POST_RAND), list[PoStProof] | None, "[]proof.PoStProof"),
    _m("Info", "admin", (), WorkerInfo, "storiface.WorkerInfo"),
    _m("Paths", "admin", (), list[StoragePath] | None, "[]storiface.StoragePath"),
    _m("ProcessSession", "admin", (), str, "uuid.UUID"),
    _m("Remove", "admin", (_SECTOR,)),
    _m("Session", "admin", (), str, "uuid.UUID"),
    _m("SetEnabled", "admin", (_BOOL,)),
    _m("Shutdown", "admin"),
    _m("StorageAddLocal", "admin", (_STR,)),
    _m("StorageDetachAll", "admin"),
    _m("StorageDetachLocal", "admin", (_STR,)),
    _m("StorageLocal", "admin", (), dict[str, str], "map[storiface.ID]string"),
    _m("StorageRedeclareLocal", "admin", (_ID_OR_NULL, _BOOL)),
    _m("TaskDisable", "admin", (_TASK,)),
    _m("TaskEnable", "admin", (_TASK,)),
    _m("TaskTypes", "admin", (), dict[str, dict[str, Any]], "map[sealtasks.TaskType]struct{}"),
    _m("Version", "admin", (), int, "Version"),
    _m("WaitQuiet", "admin"),
)  # fmt: skip

_WORKER_OURS: Final = (
    _m("AbortCall", "admin", (_CALL,)),
    _m("StorageOpening", "admin", (), list[OpeningPath], "[]OpeningPath"),
    _m("CapsList", "admin", (), list[CapRow], "[]CapRow"),
    _m("CapsReset", "admin", (_NAMES,), list[CapRow], "[]CapRow"),
    _m("CapsSet", "admin", (_CAPS,), list[CapRow], "[]CapRow"),
)


def _table(side: str, *groups: tuple[MethodSpec, ...]) -> dict[str, MethodSpec]:
    ours = extras.METHODS[side]
    specs = [spec for group in groups for spec in group]
    return {
        s.name: s
        if s.name not in ours
        else MethodSpec(s.name, s.perm, s.params, s.result, s.go_result, ours=True)
        for s in specs
    }


#: What a miner answers, and what a worker answers.
MINER: Final[Table] = _table("miner", _COMMON, _RETURNS, _INDEX, _MINER, _MINER_OURS)
WORKER: Final[Table] = _table("worker", _WORKER, _WORKER_OURS)
#: Other names of methods: on the miner only; on Lotus's worker the alias leads nowhere and so fails.
MINER_ALIASES: Final[Mapping[str, str]] = {"rpc.discover": "Discover"}

#: Worker call → the miner's method that brings its result.
RETURN_OF: Final[Mapping[str, str]] = {
    s.name: "ReturnDownloadSector" if s.name == "DownloadSectorData" else f"Return{s.name}"
    for s in _WORKER
    if s.result is CallID
}
