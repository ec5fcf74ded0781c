"""Putting files in place: renames, replacing what is there, copies between file systems."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from .errors import os_error
from .path import FETCHING, REPLACED, remove_tree
from .tars import sync_folder

_CHUNK = 64 << 20


def clear(temp: Path) -> None:
    """Makes ``temp`` free for a transfer. Raises StorageError."""
    try:
        temp.parent.mkdir(mode=0o755, exist_ok=True)
    except OSError as err:
        raise os_error(f"creating {temp.parent}", err) from None
    remove_tree(temp)


def put(temp: Path, final: Path) -> None:
    """Renames a complete file or folder into its place; what stood there goes. Raises StorageError."""
    old = final.parent / FETCHING / f"{final.name}{REPLACED}"
    try:
        _rename_over(temp, final, old)
    except OSError as err:
        raise os_error(f"moving {temp} to {final}", err) from None
    remove_tree(old)


def transfer(source: Path, final: Path, temp: Path) -> bool:
    """Brings a file or folder to another path: a rename, or a synced copy via ``temp`` between file systems.

    Gives whether it was copied: then the source is still there. Raises StorageError.
    """
    clear(temp)
    old = temp.with_name(f"{final.name}{REPLACED}")
    try:
        # Never by way of ``temp``: what lies there is thrown away when a path is opened, and this is the only copy.
        _rename_over(source, final, old)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise os_error(f"moving {source} to {final}", err) from None
        try:
            _copy(source, temp)
        except OSError as err:
            remove_tree(temp)
            raise os_error(f"copying {source} to {final}", err) from None
        put(temp, final)
        return True
    remove_tree(old)
    return False


def _rename_over(source: Path, final: Path, old: Path) -> None:
    if final.is_dir():
        # A folder cannot be renamed over one that has files; the old one comes back if the new one cannot come.
        remove_tree(old)
        final.rename(old)
        try:
            source.rename(final)
        except OSError:
            old.rename(final)
            raise
    else:
        source.rename(final)
    sync_folder(final.parent)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(mode=0o755)
        for name in sorted(os.listdir(source)):  # noqa: PTH208
            _copy(source / name, target / name)
        sync_folder(target)
        return
    with source.open("rb") as read, target.open("xb") as write:
        left = os.fstat(read.fileno()).st_size
        while left > 0:
            moved = _copy_some(read.fileno(), write.fileno(), min(left, _CHUNK))
            if moved == 0:
                break
            left -= moved
        os.fsync(write.fileno())
    shutil.copystat(source, target)


def _copy_some(read: int, write: int, size: int) -> int:
    try:
        return os.copy_file_range(read, write, size)
    except OSError as err:
        if err.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise
        return os.sendfile(write, read, None, size)
