"""A miner actor's state as a full node gives it: what is read of it, and what is none."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotus_sched_cli.lotus.actor_state import Funds, funds

CID = b"\xd8\x2a\x58\x27" + bytes(39)
REST = b"\x80" * 9  # what comes after: nobody reads it


def amount(value: int) -> bytes:
    """A byte string of CBOR with a big integer as Filecoin writes it."""
    body = (
        b""
        if not value
        else bytes([value < 0]) + abs(value).to_bytes((abs(value).bit_length() + 7) // 8, "big")
    )
    return bytes([0x40 + len(body)]) + body if len(body) < 24 else bytes([0x58, len(body)]) + body


def state(deposits: int, locked: int, debt: int, pledge: int, vesting: bytes = CID) -> str:
    members = [CID, amount(deposits), amount(locked), vesting, amount(debt), amount(pledge)]
    return b64encode(b"\x8f" + b"".join(members) + REST).decode()


@given(st.lists(st.integers(-(1 << 200), 1 << 200), min_size=4, max_size=4))
def test_amounts_come_back_whatever_their_size(values: list[int]) -> None:
    deposits, locked, debt, pledge = values
    told = funds(state(*values))
    assert told == Funds(deposits, pledge, locked, debt)
    assert told.bound == sum(values)


@pytest.mark.parametrize(
    "vesting", [CID, b"\x82\x82\x19\x0d\xd2\x42\x00\x01" + CID, b"\xf6", b"\xa1\x61x\x1a\x00\x00\x00\x01"]
)
def test_what_vests_may_be_a_link_or_stand_there_itself(vesting: bytes) -> None:
    """Later actors keep the head of the vesting table in the state."""
    assert funds(state(1, 2, 3, 4, vesting)) == Funds(1, 4, 2, 3)


@given(st.binary(max_size=80))
def test_what_is_no_state_is_refused(data: bytes) -> None:
    try:
        funds(b64encode(data).decode())
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "", "%%%", b64encode(b"\x82\x01\x02").decode(), b64encode(b"\x81" * 5000).decode(), state(1, 2, 3, 4)[:40],
        b64encode(b"\x9f" + CID * 9).decode(), b64encode(b"\x86" + b"\x01" * 6).decode(),
        b64encode(b"\x8f\x5b" + b"\xff" * 8).decode(),
    ],
)  # fmt: skip
def test_each_of_these_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no miner actor's state|no dag-cbor"):
        funds(text)
