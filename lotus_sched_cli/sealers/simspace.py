"""Pretended disks: paths with the capacity that ``simulated.toml`` gives them, stand-ins counted at full size."""

from __future__ import annotations

import os
from pathlib import Path

from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FILE_TYPES_BY_NAME, FileType
from lotus_sched_cli.storage.fsstat import DiskSpace, Volume

from .simconfig import SimConfig
from .standins import pretended

_FETCHING = "fetching"


class SimSpace:
    """A storage SpaceModel. A path without a pretended capacity has the real figures of its disk.

    ``sector_size`` in bytes: that of the miner, whose sectors the stand-ins stand for.
    """

    def __init__(self, config: SimConfig, sector_size: int) -> None:
        self._config = config
        self._size = sector_size
        self._disk = DiskSpace()

    def volume(self, root: Path) -> Volume:
        capacity = self._config.capacity(root)
        if capacity is None:
            return self._disk.volume(root)
        root.stat()  # a vanished folder is an error, as on a real disk
        return Volume(capacity, max(0, capacity - self._everything(root)))

    def usage(self, path: Path) -> int:
        """Of a whole path, a type folder's file or folder, or one that is being fetched."""
        if path.name in FILE_TYPES_BY_NAME or (path / "sectorstore.json").exists():
            root = path if path.name not in FILE_TYPES_BY_NAME else path.parent
            return self._disk.usage(path) if self._config.capacity(root) is None else self._everything(root)
        folder = path.parent.parent if path.parent.name == _FETCHING else path.parent
        file_type = FILE_TYPES_BY_NAME.get(folder.name)
        if file_type is None or self._config.capacity(folder.parent) is None:
            return self._disk.usage(path)
        return self._one(file_type, path)

    def _everything(self, root: Path) -> int:
        total = 0
        for file_type, name in FILE_TYPE_NAMES.items():
            for entry in (*_entries(root / name), *_entries(root / name / _FETCHING)):
                if entry.name != _FETCHING:
                    total += self._one(file_type, entry)
        return total

    def _one(self, file_type: FileType, path: Path) -> int:
        if file_type in (FileType.CACHE, FileType.UPDATE_CACHE):
            return sum(pretended(file_type, file.name, self._size) for file in _entries(path))
        return self._size if path.exists() else 0


def _entries(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]  # noqa: PTH208 - names only
    except (FileNotFoundError, NotADirectoryError):
        return []
