"""Lotus's JSON types, member by member, for what miner, worker and commands say to each other.

Every member has Go's zero value as default, since Go leaves absent ones at zero; ``None`` stands where Go
writes ``null`` (nil slices, maps, pointers, undefined CIDs). Bytes are standard base64 on the wire. Times stay
RFC 3339 text with up to nine fraction digits (``units.go_time`` makes one), durations
are nanoseconds. Members that are ours alone come from ``extras`` and are left out while unset.

Sources: Lotus ``storage/sealer/storiface``, ``api/types.go``, ``storage/sealer/fsutil/statfs.go``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lotus_sched_cli.core.tasks import SectorId

from . import extras
from .extras import JobSched, WorkerSched

MINER_API_VERSION: Final = 0x010500
WORKER_API_VERSION: Final = 0x010700
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"
ZERO_TIME: Final = "0001-01-01T00:00:00Z"

#: A Go unsigned integer: below 0 is refused.
UInt = Annotated[int, msgspec.Meta(ge=0)]


class Cid(Struct, frozen=True):
    """A content id as Go's JSON has it, ``{"/": "baga…"}``."""

    text: str = msgspec.field(name="/", default="")

    def __str__(self) -> str:
        return self.text


class SectorID(Struct, frozen=True):
    """A sector of a miner; ``core.tasks.SectorId`` is the same as a tuple."""

    Miner: UInt = 0
    Number: UInt = 0

    @property
    def id(self) -> SectorId:
        return SectorId(self.Miner, self.Number)

    def __str__(self) -> str:
        return f"s-t0{self.Miner}-{self.Number}"


class SectorRef(Struct, frozen=True):
    ID: SectorID = SectorID()
    ProofType: int = 0


class CallID(Struct, frozen=True):
    """The name of one running call; ``str()`` is Lotus's text for it, ``1000-15-<uuid>``."""

    Sector: SectorID = SectorID()
    ID: str = NIL_UUID

    def __str__(self) -> str:
        return f"{self.Sector.Miner}-{self.Sector.Number}-{self.ID}"


class PieceInfo(Struct, frozen=True):
    """A piece; ``Size`` is in padded bytes."""

    Size: UInt = 0
    PieceCID: Cid | None = None


class SectorCids(Struct, frozen=True):
    Unsealed: Cid | None = None
    Sealed: Cid | None = None


class ReplicaUpdateOut(Struct, frozen=True):
    NewSealed: Cid | None = None
    NewUnsealed: Cid | None = None


class Range(Struct, frozen=True):
    """Unpadded bytes."""

    Offset: UInt = 0
    Size: UInt = 0


class CallError(Struct, frozen=True):
    """Why a call failed: code 0 any failure, 101 worker restarted, 102 no space (100–199 are temporary)."""

    Code: int = 0
    Message: str = ""

    @property
    def temporary(self) -> bool:
        return 100 <= self.Code < 200

    def __str__(self) -> str:
        return f"storage call error {self.Code}: {self.Message}"


#: What Lotus says for a call that an operator ended, and for a request that he took out of the queue.
TASK_ABORTED: Final = "task aborted"
REQUEST_REMOVED: Final = "scheduling request removed"
#: Our sealer says this when a PreCommit2 found the replica half encoded: only a new PreCommit1 helps.
REPLICA_SPOILED: Final = "replica is half encoded"


class Header(Struct, frozen=True):
    Key: str = ""
    Value: str = ""


class SectorLocation(Struct, frozen=True):
    Local: bool = False
    URL: str = ""
    Headers: list[Header] | None = None


class PostSectorChallenge(Struct, frozen=True):
    SealProof: int = 0
    SectorNumber: UInt = 0
    SealedCID: Cid | None = None
    Challenge: list[UInt] | None = None
    Update: bool = False


class PoStProof(Struct, frozen=True):
    PoStProof: int = 0
    ProofBytes: bytes | None = None


class WindowPoStResult(Struct, frozen=True):
    PoStProofs: PoStProof = PoStProof()
    Skipped: list[SectorID] | None = None


class StoragePath(Struct, frozen=True):
    """A path as its own process sees it."""

    ID: str = ""
    Weight: UInt = 0
    LocalPath: str = ""
    CanSeal: bool = False
    CanStore: bool = False


class FsStat(Struct, frozen=True):
    """Bytes of a path; ``Available`` is what is free less what is reserved, never below 0."""

    Capacity: int = 0
    Available: int = 0
    FSAvailable: int = 0
    Reserved: int = 0
    Max: int = 0
    Used: int = 0


class HealthReport(Struct, frozen=True):
    Stat: FsStat = FsStat()
    Err: str = ""


class StorageInfo(Struct, frozen=True):
    """A path as the index knows it."""

    ID: str = ""
    URLs: list[str] | None = None
    Weight: UInt = 0
    MaxStorage: UInt = 0
    CanSeal: bool = False
    CanStore: bool = False
    Groups: list[str] | None = None
    AllowTo: list[str] | None = None
    AllowTypes: list[str] | None = None
    DenyTypes: list[str] | None = None
    AllowMiners: list[str] | None = None
    DenyMiners: list[str] | None = None


class SectorStorageInfo(Struct, frozen=True):
    """Where a file of a sector is; ``URLs`` are right only when a single type was asked for."""

    ID: str = ""
    URLs: list[str] | None = None
    BaseURLs: list[str] | None = None
    Weight: UInt = 0
    CanSeal: bool = False
    CanStore: bool = False
    Primary: bool = False
    AllowTypes: list[str] | None = None
    DenyTypes: list[str] | None = None
    AllowMiners: list[str] | None = None
    DenyMiners: list[str] | None = None


class Decl(Struct, frozen=True):
    """One declaration of the index, ``SectorFileType`` a bit set."""

    Miner: UInt = 0
    Number: UInt = 0
    SectorFileType: int = 0


class SectorLock(Struct, frozen=True):
    Sector: SectorID = SectorID()
    Write: list[int] = msgspec.field(default_factory=lambda: [0] * 6)
    Read: list[int] = msgspec.field(default_factory=lambda: [0] * 6)


class SectorLocks(Struct, frozen=True):
    Locks: list[SectorLock] | None = None


class LocalStorageMeta(Struct, frozen=True):
    """``sectorstore.json`` in the root of a path."""

    ID: str = ""
    Weight: UInt = 0
    CanSeal: bool = False
    CanStore: bool = False
    MaxStorage: UInt = 0
    Groups: list[str] | None = None
    AllowTo: list[str] | None = None
    AllowTypes: list[str] | None = None
    DenyTypes: list[str] | None = None
    AllowMiners: list[str] | None = None
    DenyMiners: list[str] | None = None


class StorageLocalPath(Struct, frozen=True):
    Path: str = ""


class StorageConfig(Struct, frozen=True):
    """``storage.json`` in a repo."""

    StoragePaths: list[StorageLocalPath] | None = None


class Resources(Struct, frozen=True):
    """Limits of one task type and proof; memory in bytes, ``MaxConcurrent`` 0 means no limit."""

    MinMemory: UInt = 0
    MaxMemory: UInt = 0
    GPUUtilization: int | float = 0
    MaxParallelism: int = 0
    MaxParallelismGPU: int = 0
    BaseMinMemory: UInt = 0
    MaxConcurrent: int = 0


class WorkerResources(Struct, frozen=True):
    """What a worker has; the last six are ours (its caps, scheduling.md A2).

    ``Resources``: task type → seal proof number as text (``"8"``) → limits.
    """

    MemPhysical: UInt = 0
    MemUsed: UInt = 0
    MemSwap: UInt = 0
    MemSwapUsed: UInt = 0
    CPUs: UInt = 0
    GPUs: list[str] | None = None
    Resources: dict[str, dict[str, Resources]] | None = None
    PreCommit1Max: int | UnsetType = UNSET
    PreCommit1HoldMax: int | UnsetType = UNSET
    PreCommit2Max: int | UnsetType = UNSET
    Commit2Max: int | UnsetType = UNSET
    ForceP2FromLocalP1: bool | UnsetType = UNSET
    CapExtras: extras.CapExtras | UnsetType = UNSET


class WorkerInfo(Struct, frozen=True):
    """What a worker says of itself; ``WorkerID`` is ours."""

    Hostname: str = ""
    IgnoreResources: bool = False
    Resources: WorkerResources = WorkerResources()
    WorkerID: str | UnsetType = UNSET


class WorkerStats(Struct, frozen=True):
    """A worker as the miner sees it; ``Sched`` is ours."""

    Info: WorkerInfo = WorkerInfo()
    Tasks: list[str] | None = None
    Enabled: bool = False
    MemUsedMin: UInt = 0
    MemUsedMax: UInt = 0
    GpuUsed: int | float = 0
    CpuUse: UInt = 0
    TaskCounts: dict[str, int] | None = None
    Sched: WorkerSched | UnsetType = UNSET


class WorkerJob(Struct, frozen=True):
    """A job of a worker: ``RunWait`` 0 running, 1 prepared, n assigned(n−1), below 0 waiting for or having its result."""

    ID: CallID = CallID()
    Sector: SectorID = SectorID()
    Task: str = ""
    RunWait: int = 0
    Start: str = ZERO_TIME
    Hostname: str | UnsetType = UNSET
    Sched: JobSched | UnsetType = UNSET


class SchedRequest(Struct, frozen=True):
    Sector: SectorID = SectorID()
    TaskType: str = ""
    Priority: int = 0
    SchedId: str = NIL_UUID


class SchedInfo(Struct, frozen=True):
    Requests: list[SchedRequest] | None = None
    OpenWindows: list[str] | None = None


class SchedDiag(Struct, frozen=True):
    SchedInfo: Any = None
    ReturnedWork: list[str] | None = None
    Waiting: list[str] | None = None
    CallToWork: dict[str, str] | None = None
    EarlyRet: list[str] | None = None


class SealTicket(Struct, frozen=True):
    Value: bytes | None = None
    Epoch: int = 0


class SealSeed(Struct, frozen=True):
    Value: bytes | None = None
    Epoch: int = 0


class SectorLog(Struct, frozen=True):
    """``Timestamp`` in unix seconds."""

    Kind: str = ""
    Timestamp: int = 0
    Trace: str = ""
    Message: str = ""


class PieceDealInfo(Struct, frozen=True):
    PublishCid: Cid | None = None
    DealID: UInt = 0
    DealProposal: Any = None
    DealSchedule: dict[str, int] = msgspec.field(default_factory=lambda: {"StartEpoch": 0, "EndEpoch": 0})
    PieceActivationManifest: Any = None
    KeepUnsealed: bool = False


class SectorPiece(Struct, frozen=True):
    Piece: PieceInfo = PieceInfo()
    DealInfo: PieceDealInfo | None = None


class SectorInfo(Struct, frozen=True):
    """What ``SectorsStatus`` tells; the last seven are filled from the chain only when asked for."""

    SectorID: UInt = 0
    State: str = ""
    CommD: Cid | None = None
    CommR: Cid | None = None
    Proof: bytes | None = None
    Deals: list[UInt] | None = None
    Pieces: list[SectorPiece] | None = None
    Ticket: SealTicket = SealTicket()
    Seed: SealSeed = SealSeed()
    PreCommitMsg: Cid | None = None
    CommitMsg: Cid | None = None
    Retries: UInt = 0
    ToUpgrade: bool = False
    ReplicaUpdateMessage: Cid | None = None
    LastErr: str = ""
    Log: list[SectorLog] | None = None
    SealProof: int = 0
    Activation: int = 0
    Expiration: int = 0
    DealWeight: str = "0"
    VerifiedDealWeight: str = "0"
    InitialPledge: str = "0"
    OnTime: int = 0
    Early: int = 0


class SectorOffset(Struct, frozen=True):
    Sector: UInt = 0
    Offset: UInt = 0


class SealedRef(Struct, frozen=True):
    """``Offset`` padded, ``Size`` unpadded bytes."""

    SectorID: UInt = 0
    Offset: UInt = 0
    Size: UInt = 0


class PreCommitBatchRes(Struct, frozen=True):
    Sectors: list[UInt] | None = None
    Msg: Cid | None = None
    Error: str = ""


class CommitBatchRes(Struct, frozen=True):
    Sectors: list[UInt] | None = None
    FailedSectors: dict[str, str] | None = None
    Msg: Cid | None = None
    Error: str = ""


class NumAssignerMeta(Struct, frozen=True):
    """Bit fields as run lengths (``units.runs_of_rle``)."""

    Reserved: list[int] | None = None
    Allocated: list[int] | None = None
    InUse: list[int] | None = None
    Next: UInt = 0


class AddressConfig(Struct, frozen=True):
    PreCommitControl: list[str] | None = None
    CommitControl: list[str] | None = None
    TerminateControl: list[str] | None = None
    DealPublishControl: list[str] | None = None
    DisableOwnerFallback: bool = False
    DisableWorkerFallback: bool = False


class APIVersion(Struct, frozen=True):
    """``APIVersion`` is ``major<<16 | minor<<8 | patch``, ``BlockDelay`` whole seconds."""

    Version: str = ""
    APIVersion: int = 0
    BlockDelay: UInt = 0
    Agent: str = "lotus"


class AlertType(Struct, frozen=True):
    System: str = ""
    Subsystem: str = ""


class AlertEvent(Struct, frozen=True):
    Type: str = ""
    Message: Any = None
    Time: str = ZERO_TIME


class Alert(Struct, frozen=True):
    Type: AlertType = AlertType()
    Active: bool = False
    LastActive: AlertEvent | None = None
    LastResolved: AlertEvent | None = None
