"""The first members of a miner actor's state, which no method of a full node tells: Lotus reads the object itself.

Source: Lotus ``chain/actors/builtin/miner`` (every version since actors v2 begins alike); CBOR is RFC 8949, of which only what
stands in front of these members is read here.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any, Final

#: Place of each in the state, an array.
_DEPOSITS, _LOCKED, _FEE_DEBT, _PLEDGE = 1, 2, 4, 5


@dataclass(frozen=True, slots=True)
class Funds:
    """attoFIL that are not the miner's to spend: deposits of precommits, pledge, what vests, and debt."""

    precommit_deposits: int
    initial_pledge: int
    vesting: int
    fee_debt: int

    @property
    def bound(self) -> int:
        return self.precommit_deposits + self.initial_pledge + self.vesting + self.fee_debt


def funds(text: str) -> Funds:
    """Of the object that ``ChainReadObj`` gives, in base64. Raises ValueError for one that is no miner's state."""
    try:
        reader = _Reader(b64decode(text, validate=True))
        kind, count = reader.head()
        if kind != _ARRAY or count <= _PLEDGE:
            raise ValueError("no miner actor's state")
        members = [reader.value() for _ in range(_PLEDGE + 1)]
        return Funds(*(_amount(members[at]) for at in (_DEPOSITS, _PLEDGE, _LOCKED, _FEE_DEBT)))
    except (Base64Error, IndexError, RecursionError) as error:
        raise ValueError(f"no miner actor's state: {error}") from None


def _amount(value: Any) -> int:
    """A big integer as Filecoin writes it: no bytes for 0, else a byte for the sign and the absolute value."""
    if not isinstance(value, bytes):
        raise ValueError("no miner actor's state: an amount is no number")
    return int.from_bytes(value[1:], "big") * (-1 if value[:1] == b"\x01" else 1)


_BYTES, _TEXT, _ARRAY, _MAP, _TAG = 2, 3, 4, 5, 6
_SIZES: Final = {24: 1, 25: 2, 26: 4, 27: 8}


class _Reader:
    """CBOR of definite lengths, as dag-cbor has it."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def head(self) -> tuple[int, int]:
        """Major type and argument of what comes next."""
        first = self._data[self._at]
        self._at += 1
        short = first & 31
        if short < 24:
            return first >> 5, short
        if short not in _SIZES:
            raise ValueError("no dag-cbor")
        return first >> 5, int.from_bytes(self._take(_SIZES[short]), "big")

    def value(self) -> Any:
        """Bytes as bytes; of everything else only that it is passed over."""
        kind, argument = self.head()
        if kind in (_BYTES, _TEXT):
            taken = self._take(argument)
            return taken if kind == _BYTES else None
        for _ in range({_ARRAY: argument, _MAP: 2 * argument, _TAG: 1}.get(kind, 0)):
            self.value()
        return None

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise IndexError("it ends too soon")
        self._at += count
        return taken
