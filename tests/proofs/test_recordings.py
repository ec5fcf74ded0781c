"""The same sector as real Lotus sealed: every phase must give the same bytes."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
import recordings

from .conftest import OK, Sector

pytestmark = pytest.mark.captures


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[Any]]:
    """The first call of each method in the scenario from pledge to proving, by name."""
    file = recordings.need("wire", "s04-pledge-to-proving.jsonl.gz")
    calls: dict[str, list[Any]] = {}
    with gzip.open(file, "rt") as lines:
        for line in lines:
            body = json.loads(line).get("request_body")
            if isinstance(body, str) and '"Filecoin.' in body:
                call = json.loads(body)
                calls.setdefault(call["method"].removeprefix("Filecoin."), call["params"])
    return calls


def without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_paths(inner) for key, inner in value.items() if key != "path"}
    return [without_paths(inner) for inner in value] if isinstance(value, list) else value


def test_a_sector_comes_out_as_it_did_in_lotus(sector: Sector, recorded: dict[str, list[Any]]) -> None:
    reference, ticket, pieces = recorded["SealPreCommit1"]
    _, _, seed, _, cids = recorded["SealCommit1"]
    sector.number, sector.proof = reference["ID"]["Number"], reference["ProofType"]
    sector.ticket, sector.seed = base64.b64decode(ticket), base64.b64decode(seed)
    assert reference["ID"]["Miner"] == 1000

    _, existing, size, data = recorded["AddPiece"]
    added = sector.program.run(
        "addpiece", sector.request(PieceSizes=existing, NewPieceSize=size, PieceData=data)
    )
    assert (added.code, added.result) == (OK, recorded["ReturnAddPiece"][1])
    sector.pieces = pieces

    request = sector.precommit1()
    ours = json.loads(base64.b64decode(request["PreCommit1Out"]))
    theirs = json.loads(base64.b64decode(recorded["ReturnSealPreCommit1"][1]))
    assert without_paths(ours) == without_paths(theirs)

    assert sector.precommit2(request) == recorded["ReturnSealPreCommit2"][1] == cids
    committed = sector.commit1().result["Commit1Out"]
    assert base64.b64decode(committed) == base64.b64decode(recorded["ReturnSealCommit1"][1])


def test_our_precommit2_takes_lotus_s_precommit1_output(
    sector: Sector, recorded: dict[str, list[Any]]
) -> None:
    reference, ticket, pieces = recorded["SealPreCommit1"]
    sector.number, sector.ticket = reference["ID"]["Number"], base64.b64decode(ticket)
    zeros = {"Type": "null", "Info": "2032"}
    sector.program.run("addpiece", sector.request(NewPieceSize=2032, PieceData=zeros))
    sector.pieces = pieces
    sector.precommit1()
    theirs = recorded["SealPreCommit2"][1]
    assert sector.precommit2(sector.request(PreCommit1Out=theirs)) == recorded["ReturnSealPreCommit2"][1]
