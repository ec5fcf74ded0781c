"""Sector folders as tar streams: flat, bare names, sorted; made member by member, read as they come in.

Source: Lotus ``storage/sealer/tarutil/systar.go``.
"""

from __future__ import annotations

import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from .errors import StorageError, os_error
from .extents import preallocate

BLOCK: Final = 512
_GIB: Final = 1 << 30

#: Names that may come in, with the most bytes of each: Lotus's list. ``sc-02-data-tree-c.dat`` (small sectors between PC2
#: and FinalizeSector, when nobody fetches) is not on it, there as here.
LIMITS: Final[dict[str, int]] = {
    "p_aux": 64,
    "t_aux": 10240,
    "sc-02-data-tree-r-last.dat": 10_000_000,
    **{f"sc-02-data-tree-r-last-{n}.dat": 10_000_000 for n in range(16)},
    **{f"sc-02-data-layer-{n}.dat": 65 * _GIB for n in range(1, 12)},
    **{f"sc-02-data-tree-c-{n}.dat": 5 * _GIB for n in range(16)},
    "sc-02-data-tree-d.dat": 130 * _GIB,
}


class Source(Protocol):
    """What an archive is read from."""

    def read(self, size: int) -> bytes: ...

    def pour(self, out: int, size: int | None = None) -> int: ...


@dataclass(frozen=True, slots=True)
class Member:
    """One file to send: its header block(s), the open file's path, its bytes, and what pads it."""

    path: Path
    header: bytes
    size: int

    @property
    def padding(self) -> bytes:
        return bytes(-self.size % BLOCK)


#: Closes an archive (Lotus leaves it out; every reader takes it).
CLOSING: Final = bytes(2 * BLOCK)


def members(folder: Path) -> list[Member]:
    """The files of a folder as they are sent. Raises StorageError for anything but plain files."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((e.name, e.stat(follow_symlinks=False)) for e in entries)
    except OSError as err:
        raise os_error(f"listing {folder}", err) from None
    return [_member(folder / name, info) for name, info in found]


def _member(path: Path, info: os.stat_result) -> Member:
    if not stat.S_ISREG(info.st_mode):
        raise StorageError(f"{path} is no plain file and cannot be sent")
    header = tarfile.TarInfo(path.name)
    header.size = info.st_size
    header.mode = stat.S_IMODE(info.st_mode)
    header.uid, header.gid = info.st_uid, info.st_gid
    header.mtime = int(info.st_mtime)
    plain = info.st_size < 8 * _GIB and max(header.uid, header.gid) < 1 << 21
    return Member(path, header.tobuf(tarfile.USTAR_FORMAT if plain else tarfile.PAX_FORMAT), info.st_size)


def unpack(source: Source, folder: Path, *, durable: bool = False) -> int:
    """Writes the files of an archive into ``folder`` (made here, must not be there). Gives their bytes.

    Takes archives without a proper end, as Lotus's server sends them. ``durable`` syncs each file to the disk.
    Raises StorageError: a name not on the list, too big, no plain file, cut off, disk full.
    """
    total = 0
    try:
        folder.mkdir(mode=0o755)
        while (header := _next_header(source)) is not None:
            total += _unpack_file(source, header, folder, durable)
            source.read(-header.size % BLOCK)  # may be missing after the last one
        while source.read(1 << 16):
            pass  # what follows the end, so that a broken connection is noticed
        if durable:
            sync_folder(folder)
    except OSError as err:
        raise os_error(f"writing {folder}", err) from None
    return total


def _unpack_file(source: Source, header: tarfile.TarInfo, folder: Path, durable: bool) -> int:
    if not header.isreg():
        raise StorageError(f'tar file "{header.name}" is no plain file')
    if header.name not in LIMITS:
        raise StorageError(f'tar file "{header.name}" isn\'t expected')
    if header.size > LIMITS[header.name]:
        raise StorageError(
            f'tar file "{header.name}" has {header.size} bytes, at most {LIMITS[header.name]} are expected'
        )
    path = folder / header.name
    try:
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            preallocate(out, header.size)
            got = source.pour(out, header.size) if header.size else 0
            if durable:
                os.fsync(out)
        finally:
            os.close(out)
    except OSError as err:
        raise os_error(f"writing {path}", err) from None
    if got != header.size:
        raise StorageError(
            f'unexpected EOF: tar file "{header.name}" ends after {got} of {header.size} bytes'
        )
    return got


def _next_header(source: Source) -> tarfile.TarInfo | None:
    size: int | None = None
    name: str | None = None
    while block := source.read(BLOCK):
        if not block.strip(b"\0"):
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as err:
            raise StorageError(f"the tar stream is broken: {err}") from None
        if header.type in (tarfile.XHDTYPE, tarfile.XGLTYPE):
            if header.size > 1 << 16:
                raise StorageError(f"the tar stream is broken: an extended header of {header.size} bytes")
            records = _pax(source.read(header.size))
            source.read(-header.size % BLOCK)
            if header.type == tarfile.XHDTYPE:
                size = int(records["size"]) if records.get("size", "").isdigit() else size
                name = records.get("path", name)
            continue
        if size is not None:
            header.size = size
        if name is not None:
            header.name = name
        return header
    return None


def _pax(data: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    while data:
        length, _, rest = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            raise StorageError("the tar stream is broken: a bad extended header")
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        data = data[int(length) :]
    return records


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
