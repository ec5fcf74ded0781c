"""A storage path and its files as the sector index knows them, and how they look on the wire and to the scheduler."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from lotus_sched_cli.core.events import ALL_TYPES, PathSpec
from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FILE_TYPES_BY_NAME, FileType, SectorId
from lotus_sched_cli.lotus.types import FsStat, SectorStorageInfo, StorageInfo

#: Seconds after which the last report of a path says nothing any more: it takes nothing new then.
SKIPPED_HEARTBEAT: Final = 50.0


@dataclass(slots=True)
class Path:
    """A path as it is known. ``beat`` is the time of the last heartbeat; ``attached`` since this process started."""

    info: StorageInfo
    stat: FsStat = field(default_factory=FsStat)
    beat: float = -math.inf
    error: str = ""
    attached: bool = False
    owners: frozenset[str] = frozenset()

    @property
    def netlocs(self) -> frozenset[str]:
        return frozenset(urlsplit(u).netloc for u in self.info.URLs or ())

    def well(self, now: float) -> bool:
        """Whether it was reported not long ago, and without an error."""
        return now - self.beat <= SKIPPED_HEARTBEAT and not self.error


@dataclass(slots=True)
class Files:
    """What one path holds of one sector; ``confirmed`` are the types declared since this process started.

    ``fresh`` are those that were not known before, ``stale`` those that a broken-off PreCommit1 left (leftovers.py) or
    that are ``doomed``, to be removed (removals.py).
    """

    path_id: str
    types: FileType = FileType.NONE
    primary: FileType = FileType.NONE
    confirmed: FileType = FileType.NONE
    fresh: FileType = FileType.NONE
    stale: FileType = FileType.NONE
    doomed: FileType = FileType.NONE
    by: str | None = None


@dataclass(slots=True)
class Away:
    """What lay on a path that was detached, and what of it is ``doomed``; ``worker_id`` served it, if that is known."""

    worker_id: str | None
    can_store: bool = False
    files: dict[SectorId, FileType] = field(default_factory=dict)
    doomed: dict[SectorId, FileType] = field(default_factory=dict)


def spec(path: Path) -> PathSpec:
    info = path.info
    return PathSpec(
        id=info.ID,
        owners=path.owners,
        can_seal=info.CanSeal,
        can_store=info.CanStore,
        weight=info.Weight,
        groups=frozenset(info.Groups or ()),
        allow_to=frozenset(info.AllowTo or ()),
        allow_types=allowed_types(info),
        allow_miners=miners(info.AllowMiners),
        deny_miners=miners(info.DenyMiners),
    )


def allowed_types(info: StorageInfo) -> FileType:
    allow = _types(info.AllowTypes) if info.AllowTypes else ALL_TYPES
    return allow & ~_types(info.DenyTypes)


def _types(names: Sequence[str] | None) -> FileType:
    out = FileType.NONE
    for name in names or ():
        out |= FILE_TYPES_BY_NAME.get(name, FileType.NONE)
    return out


def miners(addresses: Sequence[str] | None) -> frozenset[int]:
    return frozenset(int(a[2:]) for a in addresses or () if a[:2] in ("t0", "f0") and a[2:].isdigit())


def located(path: Path, sector: SectorId, types: int, weight: int, primary: bool) -> SectorStorageInfo:
    info = path.info
    bases = list(info.URLs or ())
    kind = quote(_type_text(types), safe="")
    return SectorStorageInfo(
        ID=info.ID,
        URLs=[f"{base.rstrip('/')}/{kind}/{sector}" for base in bases],
        BaseURLs=bases,
        Weight=weight,
        CanSeal=info.CanSeal,
        CanStore=info.CanStore,
        Primary=primary,
        AllowTypes=info.AllowTypes,
        DenyTypes=info.DenyTypes,
        AllowMiners=info.AllowMiners,
        DenyMiners=info.DenyMiners,
    )


def _type_text(types: int) -> str:
    """Lotus's text of a type set; for more than one type it is no folder name, and Lotus's URLs are as wrong."""
    name = FILE_TYPE_NAMES.get(FileType(types)) if 0 <= types < 64 else None
    return name or f"<unknown {types} [{' '.join(FILE_TYPE_NAMES[t] for t in FileType(types & 63).each())}]>"


def names(types: FileType) -> str:
    return ", ".join(FILE_TYPE_NAMES[t] for t in types.each())
