"""Commitments of a sector's data from those of its pieces (FIP-less basics: go-commp-utils ``GenerateUnsealedCID``)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import PieceInfo

from .base import SealError


def padded(unpadded: int) -> int:
    """Bytes that so much piece data takes in a sector (128 for each 127)."""
    return unpadded // 127 * 128


def comm_d(pieces: Sequence[PieceInfo], size: int) -> bytes:
    """The root of a sector of ``size`` padded bytes that holds these pieces in order, zeros between and after.

    Raises SealError for pieces that do not fit or have no id.
    """
    stack: list[tuple[int, bytes]] = []
    filled = 0
    for piece in pieces:
        if piece.Size < 128 or piece.Size & (piece.Size - 1) or piece.PieceCID is None:
            raise SealError(
                f"a piece of {piece.Size} padded bytes cannot be: a power of two from 128, with its CID"
            )
        while filled % piece.Size:
            filled += _fill(stack, filled & -filled)
        try:
            _push(stack, piece.Size, cids.commitment(piece.PieceCID.text))
        except ValueError as why:
            raise SealError(f"the piece CID {piece.PieceCID.text!r} is none: {why}") from why
        filled += piece.Size
    if filled > size:
        raise SealError(f"pieces of {filled} padded bytes do not fit into a sector of {size}")
    while filled < size:
        filled += _fill(stack, (filled & -filled) or size)
    return stack[0][1]


def _fill(stack: list[tuple[int, bytes]], size: int) -> int:
    _push(stack, size, cids.commitment(cids.zero_piece_cid(size)))
    return size


def _push(stack: list[tuple[int, bytes]], size: int, root: bytes) -> None:
    """Add a subtree; two of a size become their parent."""
    while stack and stack[-1][0] == size:
        root = _parent(stack.pop()[1], root)
        size *= 2
    stack.append((size, root))


def _parent(left: bytes, right: bytes) -> bytes:
    raw = hashlib.sha256(left + right).digest()
    return raw[:-1] + bytes([raw[-1] & 0x3F])
