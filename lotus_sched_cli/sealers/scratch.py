"""A folder for what passes between a task and its process as a file."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from lotus_sched_cli.lotus import logs

from .base import SealError

log: Final = logs.get("sealer")

_HEAD: Final = "lotus-sched-task-"


@contextlib.asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """Under ``TMPDIR``, gone at the end. Raises SealError: no space.

    It is locked as long as its process lives: a killed one's, with up to a whole piece in it, goes with the next worker's first.
    """
    try:
        made, held = await asyncio.to_thread(_made)
    except OSError as why:
        raise SealError(f"no room for a task's files: {(why.strerror or str(why)).lower()}", 102) from why
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(held)


async def given(file: Path, data: bytes) -> str:
    """The file's name, once it is written. Raises SealError: no space."""
    try:
        await asyncio.to_thread(file.write_bytes, data)
    except OSError as why:
        raise SealError(f"writing {file}: {(why.strerror or str(why)).lower()}", 102) from why
    return str(file)


def sweep(parent: Path) -> int:
    """Remove the folders whose processes are gone; how many those were."""
    count = 0
    for found in parent.glob(f"{_HEAD}*"):
        with contextlib.suppress(OSError), _opened(found) as held:
            if os.fstat(held).st_uid == os.geteuid():
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found, ignore_errors=True)
                count += 1
    return count


def _made() -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    _swept(tempfile.gettempdir())
    while True:
        made = Path(tempfile.mkdtemp("", _HEAD))
        with contextlib.suppress(FileNotFoundError), _opened(made) as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # a sweeper has it, between its making and its lock
            except OSError:
                pass  # where there are no locks nobody sweeps
            if made.exists():
                return made, os.dup(held)


@functools.cache
def _swept(parent: str) -> None:
    """Once a process."""
    if count := sweep(Path(parent)):
        log.info(f"removed {count} folders in {parent} that killed workers had left")


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield held
    finally:
        os.close(held)
