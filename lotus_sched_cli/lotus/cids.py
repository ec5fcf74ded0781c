"""Content ids of the field: commitments (CommD, CommR, pieces) and their text, zero pieces, sums of pieces, messages.

Sources: go-fil-commcid ``commcid.go``; go-commp-utils ``nonffi/commd.go``, ``zerocomm``; multiformats' tables.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Final

__all__ = [
    "CidError", "comm_d", "commitment", "data_commitment", "fr32_pad", "is_sealed", "message_cid", "piece_sum", "sealed_cid",
    "unsealed_cid", "zero_commitment", "zero_piece_cid",
]  # fmt: skip

_UNSEALED: Final = (0xF101, 0x1012)  # fil-commitment-unsealed, sha2-256-trunc254-padded
_SEALED: Final = (0xF102, 0xB401)  # fil-commitment-sealed, poseidon-bls12_381-a2-fc1
_MESSAGE: Final = (0x71, 0xB220)  # dag-cbor, blake2b-256


class CidError(ValueError):
    """A text that is no content id, or one of another kind."""


def unsealed_cid(commitment: bytes) -> str:
    """``baga6ea4seaq…`` of a piece or CommD commitment (32 bytes)."""
    return _cid(_UNSEALED, commitment)


def sealed_cid(commitment: bytes) -> str:
    """``bagboea4b5abc…`` of a CommR commitment (32 bytes)."""
    return _cid(_SEALED, commitment)


def commitment(text: str) -> bytes:
    """The 32 bytes of a piece, CommD or CommR id. Raises CidError."""
    kind, digest = _split(text)
    if kind not in (_UNSEALED, _SEALED):
        raise CidError(f"{text!r} is the id of no commitment")
    return digest


def is_sealed(text: str) -> bool:
    """Whether this is the id of a sealed sector (CommR)."""
    try:
        return _split(text)[0] == _SEALED
    except CidError:
        return False


def message_cid(content: bytes) -> str:
    """``bafy2bzace…`` for these bytes, as chain messages are named."""
    return _cid(_MESSAGE, hashlib.blake2b(content, digest_size=32).digest())


@cache
def zero_commitment(padded_size: int) -> bytes:
    """The commitment of so many padded zero bytes (a power of two, at least 32)."""
    if padded_size == 32:
        return bytes(32)
    if padded_size < 32 or padded_size & (padded_size - 1):
        raise CidError(f"a piece has a power of two of padded bytes, not {padded_size}")
    half = zero_commitment(padded_size // 2)
    return _node(half, half)


@cache
def zero_piece_cid(padded_size: int) -> str:
    """The id of a filler piece: ``zero_piece_cid(2048)`` is ``baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy``."""
    return unsealed_cid(zero_commitment(padded_size))


def piece_sum(pieces: Iterable[tuple[int, bytes]], total: int) -> bytes:
    """The commitment of pieces (padded size, commitment) laid side by side, filled with zeros to ``total`` padded bytes.

    Each piece starts at a multiple of its size, zeros between where needed. Raises CidError when they do not fit.
    """
    stack: list[tuple[int, bytes]] = []
    offset = 0
    for size, digest in pieces:
        if size < 128 or size & (size - 1) or len(digest) != 32:
            raise CidError(f"a piece has a power of two of padded bytes, at least 128, not {size}")
        while offset % size:
            gap = offset & -offset
            offset += _push(stack, gap, zero_commitment(gap))
        offset += _push(stack, size, digest)
    if offset > total:
        raise CidError(f"pieces of {offset} padded bytes do not fit in {total}")
    while offset < total:
        gap = (offset & -offset) if offset else total
        offset += _push(stack, gap, zero_commitment(gap))
    if len(stack) != 1:
        raise CidError(f"{total} padded bytes is no power of two")
    return stack[0][1]


def comm_d(pieces: Iterable[tuple[int, str]], sector_size: int) -> str:
    """CommD of a sector with these pieces (padded size, piece id)."""
    return unsealed_cid(piece_sum(((size, commitment(cid)) for size, cid in pieces), sector_size))


def fr32_pad(data: bytes) -> bytes:
    """Unpadded bytes (a multiple of 127) with two zero bits after each 254: 127 bytes become 128."""
    if len(data) % 127:
        raise CidError(f"data comes in 127s of bytes, not {len(data)}")
    out = bytearray()
    mask = (1 << 254) - 1
    for at in range(0, len(data), 127):
        chunk = int.from_bytes(data[at : at + 127], "little")
        for i in range(4):
            out += (chunk >> (254 * i) & mask).to_bytes(32, "little")
    return bytes(out)


def data_commitment(data: bytes) -> bytes:
    """The commitment of unpadded data whose padded size is a power of two. For small data: it is all Python."""
    level = fr32_pad(data)
    if len(level) & (len(level) - 1) or not level:
        raise CidError(f"{len(data)} bytes of data pad to {len(level)}, which is no power of two")
    nodes = [level[i : i + 32] for i in range(0, len(level), 32)]
    while len(nodes) > 1:
        nodes = [_node(nodes[i], nodes[i + 1]) for i in range(0, len(nodes), 2)]
    return nodes[0]


def _push(stack: list[tuple[int, bytes]], size: int, digest: bytes) -> int:
    """Put a subtree beside the others and join equal neighbours; gives its size."""
    given = size
    while stack and stack[-1][0] == size:
        digest = _node(stack.pop()[1], digest)
        size *= 2
    stack.append((size, digest))
    return given


def _node(left: bytes, right: bytes) -> bytes:
    digest = bytearray(hashlib.sha256(left + right).digest())
    digest[31] &= 0x3F
    return bytes(digest)


def _cid(kind: tuple[int, int], digest: bytes) -> str:
    if len(digest) != 32:
        raise CidError(f"a commitment has 32 bytes, not {len(digest)}")
    raw = b"\x01" + _varint(kind[0]) + _varint(kind[1]) + _varint(32) + digest
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


def _split(text: str) -> tuple[tuple[int, int], bytes]:
    if text[:1] != "b":
        raise CidError(f"{text!r} is no content id in base32, which starts with b")
    body = text[1:].upper()
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
        version, raw = _read_varint(raw)
        codec, raw = _read_varint(raw)
        hash_, raw = _read_varint(raw)
        length, raw = _read_varint(raw)
    except (ValueError, IndexError):
        raise CidError(f"{text!r} is no content id") from None
    if version != 1 or length != len(raw) or length != 32:
        raise CidError(f"{text!r} is no content id of version 1 with 32 bytes")
    return (codec, hash_), raw


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(raw: bytes) -> tuple[int, bytes]:
    number = shift = 0
    for i, byte in enumerate(raw):
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, raw[i + 1 :]
        shift += 7
    raise IndexError
