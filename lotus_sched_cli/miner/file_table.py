"""Which files of which sectors lie on which paths: the sector index's own table, without its rules."""

from __future__ import annotations

from collections.abc import Mapping

from lotus_sched_cli.core.tasks import FileType, SectorId

from .known_paths import Files, Path


class FileTable:
    """``paths`` are those that are known. Entries of one sector are a tuple, as nearly every one of ten thousand lies on one
    path or two."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}
        self._sectors: dict[SectorId, tuple[Files, ...]] = {}
        self._on_path: dict[str, set[SectorId]] = {}

    def on(self, sector: SectorId) -> tuple[Files, ...]:
        """What each path holds of a sector."""
        return self._sectors.get(sector, ())

    def sectors_on(self, path_id: str) -> tuple[SectorId, ...]:
        return tuple(self._on_path.get(path_id, ()))

    def holders(self, sector: SectorId) -> Mapping[str, Files]:
        """Path id → files; only paths that are known."""
        return {f.path_id: f for f in self._sectors.get(sector, ()) if f.path_id in self.paths}

    def lacking(self, sector: SectorId, types: FileType, worker_id: str) -> FileType:
        """Which of these types lie somewhere, but on no path of this worker."""
        anywhere = own = FileType.NONE
        for files in self._sectors.get(sector, ()):
            good = files.types & ~files.stale
            anywhere |= good
            path = self.paths.get(files.path_id)
            if path is not None and worker_id in path.owners:
                own |= good
        return types & anywhere & ~own

    def entry(self, sector: SectorId, path_id: str) -> Files:
        """The entry for a sector on a path, made if there is none."""
        on = self._sectors.get(sector, ())
        for files in on:
            if files.path_id == path_id:
                return files
        path = self.paths.get(path_id)
        # One text for all its sectors.
        path_id = path_id if path is None else path.info.ID
        files = Files(path_id)
        self._sectors[sector] = (*on, files)
        self._on_path.setdefault(path_id, set()).add(sector)
        return files

    def take(self, path_id: str, sector: SectorId, types: FileType) -> FileType:
        """These are there no more; which of them were."""
        on = self._sectors.get(sector, ())
        files = next((f for f in on if f.path_id == path_id), None)
        if files is None:
            return FileType.NONE
        gone = files.types & types
        files.types &= ~types
        files.primary &= ~types
        files.confirmed &= ~types
        files.stale &= ~types
        files.doomed &= ~types
        files.fresh &= ~types
        if not files.types:
            self._on_path[path_id].discard(sector)
            rest = tuple(f for f in on if f is not files)
            if rest:
                self._sectors[sector] = rest
            else:
                del self._sectors[sector]
        return gone
