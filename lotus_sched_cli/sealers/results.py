"""What a task's process gave, looked at before it is a result: a file that is one, and members of their kind and size.

A program or command that answers wrongly is its task's error, in one line; a miner would find out hours later.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from lotus_sched_cli.core.proofs import proof_bytes
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import Cid, PieceInfo, SectorCids
from lotus_sched_cli.storage.partial import padded

from .base import SealError

#: Bytes of a phase's output at most; Commit1's of 64GiB has some hundred million.
LONGEST_OUTPUT: Final = 1 << 30

T = TypeVar("T")


class _Proof(msgspec.Struct):
    Proof: bytes


def read(file: Path, longest: int = LONGEST_OUTPUT) -> bytes:
    """All of a plain file. Raises OSError, also for what is none or longer: a pipe is not waited for."""
    with _opened(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > longest:
            raise OSError(errno.EFBIG, f"it has {size} bytes, and more than {longest} are not read")
        return opened.read(size)


def end_of(file: Path, length: int) -> bytes:
    """The last bytes of a plain file. Raises OSError."""
    with _opened(file) as opened:
        opened.seek(-length, os.SEEK_END)
        return opened.read(length)


def _opened(file: Path) -> BinaryIO:
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise OSError(errno.EINVAL, "it is no plain file")


def document(raw: bytes) -> bytes:
    """The same, if it is a JSON object. Raises ValueError."""
    try:
        msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.MsgspecError as why:
        raise ValueError(str(why)) from why
    return raw


def piece(result: Any, size: int, who: str) -> PieceInfo:
    """A piece of ``size`` unpadded bytes, out of decoded JSON. Raises SealError; ``who`` gave it."""
    found = _convert(result, PieceInfo, who)
    if found.Size != padded(size):
        raise _wrong(who, f"Size is {found.Size}, not {padded(size)}")
    _unsealed(found.PieceCID, "PieceCID", who)
    return found


def sector_cids(result: Any, who: str) -> SectorCids:
    found = _convert(result, SectorCids, who)
    _unsealed(found.Unsealed, "Unsealed", who)
    if not cids.is_sealed(str(found.Sealed or "")):
        raise _wrong(who, f"Sealed is {str(found.Sealed or '')!r}, the id of no sealed sector")
    return found


def proof(result: Any, proof_type: int | None, who: str) -> bytes:
    """A proof's bytes; with ``proof_type``, a seal's, which have a known length."""
    found = _convert(result, _Proof, who).Proof
    if proof_type is not None and len(found) != proof_bytes(proof_type):
        raise _wrong(who, f"Proof has {len(found)} bytes, not {proof_bytes(proof_type)}")
    return found


def _convert(result: Any, kind: type[T], who: str) -> T:
    try:
        return msgspec.convert(result, kind)
    except (msgspec.MsgspecError, RecursionError) as why:
        raise _wrong(who, str(why)) from why


def _unsealed(cid: Cid | None, name: str, who: str) -> None:
    text = str(cid or "")
    try:
        right = cids.unsealed_cid(cids.commitment(text)) == text
    except ValueError:
        right = False
    if not right:
        raise _wrong(who, f"{name} is {text!r}, the id of no data")


def _wrong(who: str, why: str) -> SealError:
    return SealError(f"the output of {who} is not as it must be: {why}")
