"""Names of the field: task types, sector files, path types, sectors.

Source: Lotus ``storage/sealer/sealtasks/task.go`` and ``storage/sealer/storiface/filetype.go``.
"""

from __future__ import annotations

from enum import IntFlag, StrEnum
from typing import Final, NamedTuple


class SectorId(NamedTuple):
    """A sector of one miner actor. ``str()`` gives Lotus's file name, ``s-t01000-15``."""

    miner: int
    number: int

    def __str__(self) -> str:
        return f"s-t0{self.miner}-{self.number}"


class TaskType(StrEnum):
    """Lotus's task types; the value is the text on the wire."""

    DATA_CID = "seal/v0/datacid"
    ADD_PIECE = "seal/v0/addpiece"
    PRECOMMIT1 = "seal/v0/precommit/1"
    PRECOMMIT2 = "seal/v0/precommit/2"
    COMMIT1 = "seal/v0/commit/1"
    COMMIT2 = "seal/v0/commit/2"
    FINALIZE = "seal/v0/finalize"
    FINALIZE_UNSEALED = "seal/v0/finalizeunsealed"
    FETCH = "seal/v0/fetch"
    UNSEAL = "seal/v0/unseal"
    REPLICA_UPDATE = "seal/v0/replicaupdate"
    PROVE_REPLICA_UPDATE1 = "seal/v0/provereplicaupdate/1"
    PROVE_REPLICA_UPDATE2 = "seal/v0/provereplicaupdate/2"
    REGEN_SECTOR_KEY = "seal/v0/regensectorkey"
    FINALIZE_REPLICA_UPDATE = "seal/v0/finalize/replicaupdate"
    DOWNLOAD_SECTOR = "seal/v0/download/sector"
    WINDOW_POST = "post/v0/windowproof"
    WINNING_POST = "post/v0/winningproof"

    # Enum hashes by name in Python code; these are dictionary keys in every pass.
    __hash__ = str.__hash__

    #: The name in tables: ``PC1``.
    short: str
    #: Lotus's order number; higher is less urgent (used for sorting task lists).
    order: int
    #: Rank of the stage in the queue (scheduling.md A5); higher goes first.
    stage: int
    #: The kind that the operator's caps count, or None for tasks without a cap of their own.
    kind: Kind | None


class Kind(StrEnum):
    """What caps count."""

    P1 = "PreCommit1"
    P2 = "PreCommit2"
    C2 = "Commit2"

    __hash__ = str.__hash__


_SHORT: Final = {
    TaskType.DATA_CID: "DC",
    TaskType.ADD_PIECE: "AP",
    TaskType.PRECOMMIT1: "PC1",
    TaskType.PRECOMMIT2: "PC2",
    TaskType.COMMIT1: "C1",
    TaskType.COMMIT2: "C2",
    TaskType.FINALIZE: "FIN",
    TaskType.FINALIZE_UNSEALED: "FUS",
    TaskType.FETCH: "GET",
    TaskType.UNSEAL: "UNS",
    TaskType.REPLICA_UPDATE: "RU",
    TaskType.PROVE_REPLICA_UPDATE1: "PR1",
    TaskType.PROVE_REPLICA_UPDATE2: "PR2",
    TaskType.REGEN_SECTOR_KEY: "GSK",
    TaskType.FINALIZE_REPLICA_UPDATE: "FRU",
    TaskType.DOWNLOAD_SECTOR: "DL",
    TaskType.WINDOW_POST: "WDP",
    TaskType.WINNING_POST: "WNP",
}

_ORDER: Final = {
    TaskType.DATA_CID: 10,
    TaskType.ADD_PIECE: 9,
    TaskType.PRECOMMIT1: 5,
    TaskType.PRECOMMIT2: 4,
    TaskType.COMMIT1: 2,
    TaskType.COMMIT2: 3,
    TaskType.FINALIZE: -3,
    TaskType.FINALIZE_UNSEALED: -4,
    TaskType.FETCH: -1,
    TaskType.UNSEAL: 1,
    TaskType.REPLICA_UPDATE: 8,
    TaskType.PROVE_REPLICA_UPDATE1: 6,
    TaskType.PROVE_REPLICA_UPDATE2: 7,
    TaskType.REGEN_SECTOR_KEY: 11,
    TaskType.FINALIZE_REPLICA_UPDATE: 0,
    TaskType.DOWNLOAD_SECTOR: -2,
    TaskType.WINDOW_POST: -5,
    TaskType.WINNING_POST: -6,
}

_STAGE: Final = {
    TaskType.FINALIZE: 900,
    TaskType.FINALIZE_REPLICA_UPDATE: 900,
    TaskType.FINALIZE_UNSEALED: 900,
    TaskType.FETCH: 900,
    TaskType.UNSEAL: 850,
    TaskType.COMMIT2: 800,
    TaskType.PROVE_REPLICA_UPDATE2: 800,
    TaskType.COMMIT1: 700,
    TaskType.PROVE_REPLICA_UPDATE1: 700,
    TaskType.PRECOMMIT2: 600,
    TaskType.PRECOMMIT1: 500,
    TaskType.ADD_PIECE: 400,
    TaskType.REPLICA_UPDATE: 400,
    TaskType.REGEN_SECTOR_KEY: 400,
    TaskType.DOWNLOAD_SECTOR: 400,
    TaskType.DATA_CID: 300,
}

_KIND: Final = {TaskType.PRECOMMIT1: Kind.P1, TaskType.PRECOMMIT2: Kind.P2, TaskType.COMMIT2: Kind.C2}

# Plain attributes, not properties: they are asked for several times in every step of a pass.
for _task in TaskType:
    _task.short, _task.order = _SHORT[_task], _ORDER[_task]
    _task.stage, _task.kind = _STAGE.get(_task, 400), _KIND.get(_task)

BY_SHORT: Final = {short: task for task, short in _SHORT.items()}

#: A sealing worker offers these whatever its flags say.
ALWAYS_OFFERED: Final = frozenset(
    {
        TaskType.FETCH,
        TaskType.COMMIT1,
        TaskType.PROVE_REPLICA_UPDATE1,
        TaskType.FINALIZE,
        TaskType.FINALIZE_UNSEALED,
        TaskType.FINALIZE_REPLICA_UPDATE,
    }
)

#: Key of [Storage] in the miner's config.toml → the task types that it lets the built-in worker do.
ALLOWS: Final = {
    "AllowSectorDownload": (TaskType.DOWNLOAD_SECTOR,),
    "AllowAddPiece": (TaskType.ADD_PIECE, TaskType.DATA_CID),
    "AllowPreCommit1": (TaskType.PRECOMMIT1,),
    "AllowPreCommit2": (TaskType.PRECOMMIT2,),
    "AllowCommit": (TaskType.COMMIT2,),
    "AllowUnseal": (TaskType.UNSEAL,),
    "AllowReplicaUpdate": (TaskType.REPLICA_UPDATE,),
    "AllowProveReplicaUpdate2": (TaskType.PROVE_REPLICA_UPDATE2,),
    "AllowRegenSectorKey": (TaskType.REGEN_SECTOR_KEY,),
}


class FileType(IntFlag):
    """Bit set of sector file types, a number on the wire."""

    NONE = 0
    UNSEALED = 1
    SEALED = 2
    CACHE = 4
    UPDATE = 8
    UPDATE_CACHE = 16
    PIECE = 32

    def each(self) -> tuple[FileType, ...]:
        """The single types in this set, in Lotus's order."""
        return tuple(t for t in ALL_FILE_TYPES if t & self)


ALL_FILE_TYPES: Final = (
    FileType.UNSEALED,
    FileType.SEALED,
    FileType.CACHE,
    FileType.UPDATE,
    FileType.UPDATE_CACHE,
    FileType.PIECE,
)

#: Every set of types by its number: looking one up is ten times faster than making it.
FILE_TYPE_SETS: Final = tuple(FileType(number) for number in range(1 << len(ALL_FILE_TYPES)))

#: Folder name under a path, and the name in AllowTypes/DenyTypes and in ``/remote`` URLs.
FILE_TYPE_NAMES: Final = {
    FileType.UNSEALED: "unsealed",
    FileType.SEALED: "sealed",
    FileType.CACHE: "cache",
    FileType.UPDATE: "update",
    FileType.UPDATE_CACHE: "update-cache",
    FileType.PIECE: "piece",
}

FILE_TYPES_BY_NAME: Final = {name: t for t, name in FILE_TYPE_NAMES.items()}


class PathType(StrEnum):
    """What a path is wanted for."""

    SEALING = "sealing"
    STORAGE = "storage"


class AcquireMode(StrEnum):
    """What happens to the source of a fetch."""

    MOVE = "move"
    COPY = "copy"
