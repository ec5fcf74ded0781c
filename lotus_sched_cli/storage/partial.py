"""The unsealed file: a sector's padded data, and after it which of its bytes are there.

Layout: sector-size bytes of data, RLE+ of the allocated padded bytes, its length in 4 bytes little endian. A file of
exactly the sector size counts as wholly there. Source: Lotus ``storage/sealer/partialfile/partialfile.go``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from . import rleplus
from .errors import StorageError, os_error
from .extents import punch
from .rleplus import Span

#: Most bytes of the RLE+ part: Lotus refuses longer ones.
MAX_TRAILER = 1 << 20


def padded(unpadded: int) -> int:
    """Where an unpadded byte offset lies in the padded data. Raises StorageError for one that is no multiple of 127."""
    if unpadded % 127:
        raise StorageError(f"{unpadded} is no number of unpadded bytes: not a multiple of 127")
    return unpadded // 127 * 128


class PartialFile:
    """An open unsealed file. Offsets and sizes are padded bytes. All calls block.

    `write`, then `allocate` what was written; `free` gives ranges back to the disk.
    """

    def __init__(self, path: Path, file: int, size: int, allocated: list[Span]) -> None:
        self.path = path
        self.size = size
        self._file = file
        self._allocated = allocated

    @classmethod
    def create(cls, path: Path, size: int) -> PartialFile:
        """A new one with nothing in it. Raises StorageError: it is there already, disk full."""
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as err:
            raise os_error(f"creating {path}", err) from None
        made = cls(path, file, size, [])
        try:
            made._save()
        except BaseException:
            made.close()
            path.unlink(missing_ok=True)
            raise
        return made

    @classmethod
    def open(cls, path: Path, size: int) -> PartialFile:
        """Raises StorageError: not there, or its length and trailer do not fit the sector size."""
        try:
            try:
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except PermissionError:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as err:
            raise os_error(f"opening {path}", err) from None
        try:
            return cls(path, file, size, _read_trailer(file, size))
        except (ValueError, OSError) as err:
            os.close(file)
            raise StorageError(f"{path} is no unsealed file of a {size} byte sector: {err}") from None

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._file)

    def fileno(self) -> int:
        """The descriptor of the data, at the same offsets."""
        return self._file

    @property
    def allocated(self) -> tuple[Span, ...]:
        """Ranges that are there, as (start, end)."""
        return tuple(self._allocated)

    def has(self, offset: int, size: int) -> bool:
        """Whether the whole range is there."""
        return size == 0 or any(a <= offset and offset + size <= b for a, b in self._allocated)

    def write(self, offset: int, data: bytes) -> None:
        """Raises StorageError: beyond the sector, disk full."""
        self._check(offset, len(data))
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self._file, view, offset)
                offset, view = offset + done, view[done:]
        except OSError as err:
            raise os_error(f"writing {self.path}", err) from None

    def read(self, offset: int, size: int) -> bytes:
        """Fewer bytes only if the file is cut short. Raises StorageError."""
        self._check(offset, size)
        try:
            return os.pread(self._file, size, offset)
        except OSError as err:
            raise os_error(f"reading {self.path}", err) from None

    def allocate(self, offset: int, size: int) -> None:
        """Marks a range as there, once its data is written."""
        self._check(offset, size)
        self._sync_data()
        self._allocated = _joined([*self._allocated, (offset, offset + size)])
        self._save()

    def free(self, offset: int, size: int) -> None:
        """Marks a range as gone and gives its space back where the file system can."""
        self._check(offset, size)
        end = offset + size
        self._allocated = _joined(
            part for a, b in self._allocated for part in ((a, min(b, offset)), (max(a, end), b))
        )
        self._save()
        punch(self._file, offset, size)

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise StorageError(
                f"{size} bytes at {offset} do not lie within the {self.size} bytes of {self.path}"
            )

    def _sync_data(self) -> None:
        try:
            os.fdatasync(self._file)
        except OSError as err:
            raise os_error(f"writing {self.path}", err) from None

    def _save(self) -> None:
        packed = rleplus.encode(self._allocated)
        trailer = packed + len(packed).to_bytes(4, "little")
        try:
            os.pwrite(self._file, trailer, self.size)
            os.ftruncate(self._file, self.size + len(trailer))
        except OSError as err:
            raise os_error(f"writing {self.path}", err) from None


def _read_trailer(file: int, size: int) -> list[Span]:
    length = os.fstat(file).st_size
    if length == size:
        return [(0, size)]
    if length < size + 4:
        raise ValueError(f"it has {length} bytes")
    packed = int.from_bytes(os.pread(file, 4, length - 4), "little")
    if packed > MAX_TRAILER or size + packed + 4 != length:
        raise ValueError(f"it has {length} bytes, its trailer says {size + packed + 4}")
    spans = rleplus.decode(os.pread(file, packed, size))
    if spans and spans[-1][1] > size:
        raise ValueError(f"its trailer marks bytes up to {spans[-1][1]}")
    return spans


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
