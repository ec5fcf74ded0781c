"""Whether another running process has a storage path open: an advisory lock on its folder, shared by all that have.

Several workers may share a path, as in Lotus, so nobody is refused; but whoever opens it next must not clear away what
another is just fetching. Lotus takes no such lock, and is not hindered by it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from pathlib import Path


class InUse:
    """A path's lock, held from ``take`` to ``release`` or the end of the process. These calls may block."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._close: weakref.finalize[[int], InUse] | None = None

    def take(self) -> bool:
        """Hold it. Returns whether another process has it; False, too, where the file system cannot tell. Raises OSError."""
        self.release()
        fd = os.open(self._root, os.O_RDONLY)
        self._close = weakref.finalize(self, os.close, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            others = True
        except OSError:
            return False  # a network file system without locks
        else:
            others = False
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_SH)
        return others

    def release(self) -> None:
        if self._close is not None:
            self._close()
            self._close = None
