"""A folder for what passes between a task and its process as a file."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from .base import SealError


@contextlib.asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """Under ``TMPDIR``, gone at the end. Raises SealError: no space."""
    try:
        made = Path(await asyncio.to_thread(tempfile.mkdtemp, "", "lotus-sealer-"))
    except OSError as why:
        raise SealError(f"no room for a task's files: {(why.strerror or str(why)).lower()}", 102) from why
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


async def given(file: Path, data: bytes) -> str:
    """The file's name, once it is written. Raises SealError: no space."""
    try:
        await asyncio.to_thread(file.write_bytes, data)
    except OSError as why:
        raise SealError(f"writing {file}: {(why.strerror or str(why)).lower()}", 102) from why
    return str(file)
