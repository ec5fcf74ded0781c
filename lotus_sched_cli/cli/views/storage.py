"""``storage list`` and ``storage find`` (Lotus: ``cli/miner/storage.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lotus_sched_cli.core.tasks import FileType

#: As ``storage list`` counts them and ``storage find`` asks for them.
COUNTED: Final = (
    FileType.UNSEALED,
    FileType.SEALED,
    FileType.CACHE,
    FileType.UPDATE,
    FileType.UPDATE_CACHE,
)
FIND_NAMES: Final = {
    FileType.UNSEALED: "Unsealed",
    FileType.SEALED: "Sealed",
    FileType.CACHE: "Cache",
    FileType.UPDATE: "Update",
    FileType.UPDATE_CACHE: "UpdateCache",
}
TYPE_NAMES: Final = ("unsealed", "sealed", "cache", "update", "update-cache", "piece")


@dataclass(frozen=True, slots=True)
class Space:
    """``FsStat``, in bytes."""

    capacity: int
    available: int
    fs_available: int
    reserved: int
    max: int
    used: int


@dataclass(frozen=True, slots=True)
class StoragePath:
    """One path. ``space`` None: it could not be asked, ``error`` says why. ``latency`` in seconds, of a remote one.

    ``local`` is the folder where it is the daemon's own. ``counts``: files of each of the types of `COUNTED`.
    """

    id: str
    space: Space | None
    error: str
    counts: tuple[int, ...]
    weight: int
    can_seal: bool
    can_store: bool
    groups: tuple[str, ...]
    allow_to: tuple[str, ...]
    allow_types: tuple[str, ...]
    deny_types: tuple[str, ...]
    local: str | None
    urls: tuple[str, ...]
    latency: float | None


@dataclass(frozen=True, slots=True)
class StorageList:
    """Largest first; those that could not be asked last."""

    rows: tuple[StoragePath, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one path answered: ``StorageInfo``, ``StorageStat`` with its duration in seconds, or the error."""

    info: Mapping[str, Any] | None
    stat: Mapping[str, Any] | None
    seconds: float = 0.0
    error: str = ""


def storage_view(
    files: Mapping[str, Sequence[Mapping[str, Any]] | None],
    local: Mapping[str, str],
    asked: Mapping[str, Asked],
) -> StorageList:
    """Of ``StorageList``, ``StorageLocal`` and what each path answered."""
    rows = [
        path_row(path_id, entries or (), local.get(path_id), asked[path_id])
        for path_id, entries in files.items()
    ]
    rows.sort(key=lambda row: (-(row.space.capacity if row.space else 0), row.id))
    return StorageList(tuple(rows))


def path_row(
    path_id: str, files: Sequence[Mapping[str, Any]], local: str | None, asked: Asked
) -> StoragePath:
    info, stat = asked.info or {}, asked.stat
    counts = tuple(sum(1 for f in files if f["SectorFileType"] & kind) for kind in COUNTED)
    return StoragePath(
        id=path_id,
        space=None
        if stat is None
        else Space(
            stat["Capacity"],
            stat["Available"],
            stat["FSAvailable"],
            stat["Reserved"],
            stat["Max"],
            stat["Used"],
        ),
        error=asked.error,
        counts=counts,
        weight=info.get("Weight", 0),
        can_seal=info.get("CanSeal", False),
        can_store=info.get("CanStore", False),
        groups=tuple(info.get("Groups") or ()),
        allow_to=tuple(info.get("AllowTo") or ()),
        allow_types=tuple(info.get("AllowTypes") or ()),
        deny_types=tuple(info.get("DenyTypes") or ()),
        local=local,
        urls=tuple(info.get("URLs") or ()),
        latency=None if local is not None or stat is None else asked.seconds,
    )


def split_types(path: StoragePath) -> tuple[list[str], list[str]]:
    """(allowed, denied) of the six file types."""
    denied = [
        name
        for name in TYPE_NAMES
        if (path.allow_types and name not in path.allow_types) or name in path.deny_types
    ]
    return [name for name in TYPE_NAMES if name not in denied], denied


@dataclass(frozen=True, slots=True)
class Found:
    """A path that has files of a sector; ``urls`` are those of the first type found there."""

    id: str
    types: tuple[str, ...]
    can_seal: bool
    can_store: bool
    local: str | None
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """Where the files of one sector are, by path id."""

    rows: tuple[Found, ...]


def find_view(
    found: Mapping[FileType, Sequence[Mapping[str, Any]] | None], local: Mapping[str, str]
) -> FoundFiles:
    """Of ``StorageFindSector`` once per file type, and ``StorageLocal``."""
    rows: dict[str, Found] = {}
    for kind in COUNTED:
        for entry in found.get(kind) or ():
            old = rows.get(entry["ID"])
            names = (*old.types, FIND_NAMES[kind]) if old else (FIND_NAMES[kind],)
            rows[entry["ID"]] = Found(
                id=entry["ID"],
                types=names,
                can_seal=entry["CanSeal"],
                can_store=entry["CanStore"],
                local=local.get(entry["ID"]),
                urls=old.urls if old else tuple(entry["URLs"] or ()),
            )
    return FoundFiles(tuple(rows[path_id] for path_id in sorted(rows)))
