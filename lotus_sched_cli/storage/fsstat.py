"""Space: what a volume has, what files take, and the FsStat that comes of it.

Source: Lotus ``storage/sealer/fsutil/statfs.go`` and ``storage/paths/local.go`` (path.stat).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lotus_sched_cli.lotus.types import FsStat


@dataclass(frozen=True, slots=True)
class Volume:
    """Bytes of the file system under a path; ``available`` is what this process may still write."""

    capacity: int
    available: int


class SpaceModel(Protocol):
    """Where the figures come from. Both calls block and run in the path's own threads.

    A sealer that writes small stand-ins puts its own model here and pretends a capacity.
    """

    def volume(self, root: Path) -> Volume:
        """Raises OSError."""
        ...

    def usage(self, path: Path) -> int:
        """Bytes that this file or folder takes; 0 if it is not there."""
        ...


class DiskSpace:
    """The real figures."""

    def volume(self, root: Path) -> Volume:
        vfs = os.statvfs(root)
        return Volume(vfs.f_blocks * vfs.f_frsize, vfs.f_bavail * vfs.f_frsize)

    def usage(self, path: Path) -> int:
        return disk_usage(path)


def disk_usage(path: str | os.PathLike[str]) -> int:
    """Allocated bytes of the files in and under ``path``, folders themselves not counted, as Lotus counts."""
    try:
        try:
            with os.scandir(path) as entries:
                return sum(_entry_usage(entry) for entry in entries)
        except NotADirectoryError:
            return os.lstat(path).st_blocks * 512
    except FileNotFoundError:
        return 0  # or gone while it was looked at: what was fetched is renamed to its place


def _entry_usage(entry: os.DirEntry[str]) -> int:
    try:
        if entry.is_dir(follow_symlinks=False):
            return disk_usage(entry.path)
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:
        return 0  # gone since it was listed


def fs_stat(volume: Volume, outstanding: int, limit: int = 0, used: int = 0) -> FsStat:
    """``outstanding``: reserved bytes not yet on disk; ``limit``: MaxStorage, 0 for none; ``used``: bytes under the path.

    Reservations count against MaxStorage too (Lotus forgets them there and overfills such a path).
    """
    free = volume.available
    if limit:
        free = min(free, max(limit - used, 0))
    return FsStat(
        Capacity=volume.capacity,
        Available=max(free - outstanding, 0),
        FSAvailable=volume.available,
        Reserved=outstanding,
        Max=limit,
        Used=used if limit else 0,
    )
