"""Content ids: what Lotus and the proofs library give for the same bytes."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotus_sched_cli.core import proofs
from lotus_sched_cli.lotus import cids

ZERO = {
    2048: "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy",
    32 << 30: "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq",
}


@pytest.mark.parametrize("size", ZERO)
def test_filler_pieces_are_those_of_the_network(size: int) -> None:
    assert cids.zero_piece_cid(size) == ZERO[size]


def test_every_sector_size_has_a_filler_piece() -> None:
    assert len({cids.zero_piece_cid(size) for size in proofs.SECTOR_SIZES}) == len(proofs.SECTOR_SIZES)


@given(st.binary(min_size=32, max_size=32))
def test_commitments_travel_as_ids(digest: bytes) -> None:
    assert cids.unsealed_cid(digest).startswith("baga6ea4seaq")
    assert cids.sealed_cid(digest).startswith("bagboea4b5abc")
    assert cids.commitment(cids.unsealed_cid(digest)) == cids.commitment(cids.sealed_cid(digest)) == digest
    assert cids.is_sealed(cids.sealed_cid(digest)) and not cids.is_sealed(cids.unsealed_cid(digest))


def test_messages_are_named_by_their_bytes() -> None:
    assert cids.message_cid(b"one").startswith("bafy2bzace")
    assert cids.message_cid(b"one") != cids.message_cid(b"two")
    assert not cids.is_sealed(cids.message_cid(b"one"))


@pytest.mark.parametrize(
    "text", ["", "b", "x", "Qmabc", "baga", "baga6ea4seaqpy7usq", "b0189", "é", "bafy2bzacé"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(cids.CidError):
        cids.commitment(text)
    assert not cids.is_sealed(text)


def test_comm_d_of_an_empty_sector_is_its_filler_s() -> None:
    assert cids.comm_d([], 2048) == ZERO[2048]
    assert cids.comm_d([(2048, ZERO[2048])], 2048) == ZERO[2048]
    assert cids.comm_d([(1024, cids.zero_piece_cid(1024))], 2048) == ZERO[2048]


def test_pieces_are_aligned_to_their_size() -> None:
    small = cids.data_commitment(bytes(range(127)))
    big = cids.data_commitment(bytes([7]) * 254)
    zero = cids.zero_commitment(128)
    laid = cids.piece_sum([(128, small), (256, big)], 512)
    assert laid == cids.piece_sum([(128, small), (128, zero), (256, big)], 512)
    with pytest.raises(cids.CidError, match="do not fit"):
        cids.piece_sum([(256, big), (512, cids.zero_commitment(512))], 512)
    with pytest.raises(cids.CidError, match="power of two"):
        cids.piece_sum([(200, small)], 512)


def test_padding_adds_two_bits_to_each_254() -> None:
    assert cids.fr32_pad(bytes(127)) == bytes(128)
    assert cids.fr32_pad(b"\xff" * 127) == (b"\xff" * 31 + b"\x3f") * 4
    with pytest.raises(cids.CidError):
        cids.fr32_pad(bytes(128))


@pytest.mark.captures
def test_recorded_data_has_the_recorded_piece_id(captures: Path) -> None:
    posted: dict[str, bytes] = {}
    answers: list[str] = []
    with gzip.open(captures / "wire" / "s29-ddo-piece.jsonl.gz", "rt") as file:
        for line in file:
            record = json.loads(line)
            if record["kind"] != "http":
                continue
            if record["method"] == "POST" and "/streams/" in record["path"]:
                posted["data"] = base64.b64decode(record["request_body"]["b64"])
            elif "ReturnAddPiece" in str(record.get("request_body")):
                answers.append(json.loads(record["request_body"])["params"][1]["PieceCID"]["/"])
    assert cids.unsealed_cid(cids.data_commitment(posted["data"])) in answers
