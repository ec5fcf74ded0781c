"""What goes wrong with files, as one line with the path, and the code that goes to the miner."""

from __future__ import annotations

import errno
import os


class StorageError(Exception):
    """A failure of a path or a transfer. ``code`` is the CallError code of a job that fails with it.

    Source of the codes: Lotus ``storage/sealer/storiface/worker.go``.
    """

    code = 0

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class AllocateSpaceError(StorageError):
    """No room: temporary, the task may run elsewhere or later (ErrTempAllocateSpace)."""

    code = 102


class NotFoundError(StorageError):
    """A sector file that is not where it was looked for."""


_REMEDY = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "raise the quota or free some space",
    errno.EACCES: "let this process's user write there",
    errno.EPERM: "let this process's user write there",
    errno.EROFS: "mount it writable",
    errno.ENOENT: "is the disk mounted?",
    errno.EIO: "look at the disk's health",
    errno.ESTALE: "mount it again",
}


def os_error(doing: str, err: OSError) -> StorageError:
    """``doing`` names what was tried and the path: ``writing /p/sealed/s-t01000-1``."""
    why = os.strerror(err.errno).lower() if err.errno else str(err)
    remedy = _REMEDY.get(err.errno or 0)
    text = f"{doing}: {why}" + (f"; {remedy}" if remedy else "")
    full = err.errno in (errno.ENOSPC, errno.EDQUOT)
    return AllocateSpaceError(text) if full else StorageError(text)
