"""RLE+, the packed run lengths of Filecoin's bit fields.

Source: go-bitfield ``rle/rleplus.go`` (Filecoin specification, "RLE+ Bitset Encoding").
"""

from __future__ import annotations

from collections.abc import Iterable

#: A bit range, end excluded.
Span = tuple[int, int]


def encode(spans: Iterable[Span]) -> bytes:
    """The bits set, given as ordered spans that do not touch."""
    runs: list[int] = []
    at = 0
    for start, end in spans:
        runs += [start - at, end - start]
        at = end
    if not runs:
        return b""
    first = 1 if runs[0] == 0 else 0
    bits = _Bits()
    bits.put(0, 2)
    bits.put(first, 1)
    for run in runs[first:]:
        if run == 1:
            bits.put(1, 1)
        elif run < 16:
            bits.put(0b10, 2)
            bits.put(run, 4)
        else:
            bits.put(0, 2)
            while run >= 0x80:
                bits.put(run & 0x7F | 0x80, 8)
                run >>= 7
            bits.put(run, 8)
    return bits.value.to_bytes((bits.size + 7) // 8, "little")


def decode(data: bytes) -> list[Span]:
    """The spans of bits set. Raises ValueError for what is no RLE+."""
    if not data:
        return []
    left = int.from_bytes(data, "little")
    if left & 3:
        raise ValueError("no RLE+ of version 0")
    bit = left >> 2 & 1
    left >>= 3
    spans: list[Span] = []
    at = 0
    while left:
        run, left = _next_run(left)
        if bit and run:
            if spans and spans[-1][1] == at:
                spans[-1] = (spans[-1][0], at + run)
            else:
                spans.append((at, at + run))
        at += run
        bit ^= 1
    return spans


def _next_run(left: int) -> tuple[int, int]:
    if left & 1:
        return 1, left >> 1
    if left & 2:
        return left >> 2 & 15, left >> 6
    left >>= 2
    run = shift = 0
    while True:
        part = left & 0xFF
        left >>= 8
        run |= (part & 0x7F) << shift
        shift += 7
        if part < 0x80:
            break
    if shift > 70:
        raise ValueError("a run length of more than 64 bits")
    return run, left


class _Bits:
    """Bits put one after another, the lowest first."""

    def __init__(self) -> None:
        self.value = 0
        self.size = 0

    def put(self, value: int, width: int) -> None:
        self.value |= value << self.size
        self.size += width
