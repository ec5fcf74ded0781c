"""What the sector index is asked: where files are, where new ones may go, what lies where (Lotus ``storage/paths/index.go``)."""

from __future__ import annotations

import random
from typing import Final

from lotus_sched_cli.core.events import ALL_TYPES
from lotus_sched_cli.core.proofs import space
from lotus_sched_cli.core.tasks import FileType, PathType, SectorId
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import Decl, SectorStorageInfo, StorageInfo

from .index import SectorIndex
from .known_paths import Path, allowed_types, located, miners

#: Weight of a copy that is to be fetched only if there is no other: they are tried in order of rising weight.
LAST: Final = 1 << 40


def find(index: SectorIndex, sector: SectorId, types: int, size: int, fetch: bool) -> list[SectorStorageInfo]:
    """`StorageFindSector`."""
    kinds = FileType(types) & ALL_TYPES
    found: list[SectorStorageInfo] = []
    sources: list[Path] = []
    for files in index.on(sector):
        path = index.paths.get(files.path_id)
        # Who asks with a size wants to work with the files, or with the room: a leftover is neither.
        matching = files.types & kinds & (~files.stale if size else ALL_TYPES)
        if path is None or not matching:
            continue
        sources.append(path)
        # What is only to be deleted is a whole copy, and looks like one as long as it lies there.
        spoilt = matching & files.stale & ~files.doomed
        weight = LAST if spoilt else path.info.Weight * len(matching.each())
        found.append(located(path, sector, types, weight, bool(files.primary & kinds)))
    random.shuffle(found)
    if not fetch:
        return found
    need = space(kinds, size, PathType.SEALING) if size else 0
    limited = all(p.info.AllowTo for p in sources)
    allowed = {group for p in sources for group in p.info.AllowTo or ()}
    have = {p.info.ID for p in sources}
    for path in index.paths.values():
        info = path.info
        if info.ID in have or not info.CanSeal or not _usable(path, need, sector.miner, index.now()):
            continue
        if not (allowed_types(info) & kinds):
            continue
        if limited and not allowed.intersection(info.Groups or ()):
            continue
        found.append(located(path, sector, types, 0, False))
    return found


def best_alloc(index: SectorIndex, types: int, size: int, path_type: str, miner: int) -> list[StorageInfo]:
    """`StorageBestAlloc`: where new files may go, best first. Raises RpcError if nowhere."""
    if path_type not in (PathType.SEALING, PathType.STORAGE):
        raise ValueError(f"unexpected pathType: {path_type}")
    kind = PathType(path_type)
    need = space(FileType(types) & ALL_TYPES, size, kind)
    fit = [
        path
        for path in index.paths.values()
        if (path.info.CanSeal if kind is PathType.SEALING else path.info.CanStore)
        and _usable(path, need, miner, index.now())
    ]
    if not fit:
        raise RpcError(1, "no good path found")
    fit.sort(key=lambda p: p.stat.Available * p.info.Weight, reverse=True)
    return [path.info for path in fit]


def _usable(path: Path, need: int, miner: int, now: float) -> bool:
    if not path.well(now) or path.stat.Available < need:
        return False
    allow, deny = miners(path.info.AllowMiners), miners(path.info.DenyMiners)
    return (not allow or miner in allow) and miner not in deny


def listed(index: SectorIndex) -> dict[str, list[Decl]]:
    """`StorageList`: every path with what it holds; one not attached since the miner started is none of Lotus's."""
    out: dict[str, list[Decl]] = {}
    for path_id, path in index.paths.items():
        if not path.attached:
            continue
        out[path_id] = [
            Decl(s.miner, s.number, int(index.entry(s, path_id).types)) for s in index.sectors_on(path_id)
        ]
    return out
