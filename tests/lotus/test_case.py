"""Go takes member names in any case; a peer that spells one otherwise must not be read as if it had said nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lotus_sched_cli.lotus import gojson, methods, types
from lotus_sched_cli.lotus.rpc.engine import ALL_PERMS, CallerInfo, Engine

from .conftest import FakeMiner


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ('{"miner":1000,"NUMBER":7}', types.SectorID, types.SectorID(1000, 7)),
        (
            '{"id":{"miner":1,"number":2},"prooftype":5}',
            types.SectorRef,
            types.SectorRef(types.SectorID(1, 2), 5),
        ),
        ('[{"size":2048}]', list[types.PieceInfo], [types.PieceInfo(2048, None)]),
        ('{"Miner":1000,"Number":7,"more":{"miner":3}}', types.SectorID, types.SectorID(1000, 7)),
    ],
)
def test_members_in_another_case_are_read(text: str, type_: Any, value: Any) -> None:
    assert gojson.decoder(type_)(text.encode()) == value


def test_text_that_looks_like_a_member_changes_nothing() -> None:
    error = types.CallError(0, 'he said "miner": 5 and "code":7')
    assert gojson.decoder(types.CallError)(msgspec.json.encode(error)) == error


def test_the_fast_way_is_kept_for_lotuss_own_spelling() -> None:
    known = gojson.names(types.SectorRef, types.WorkerInfo)
    assert not gojson.misspelt(b'{"ID":{"Miner":1,"Number":2},"ProofType":5,"Unknown":1}', known)
    assert gojson.misspelt(b'{"Id":{"Miner":1,"Number":2}}', known)
    assert not gojson.misspelt(b'{"x":"' + b"A" * (1 << 20) + b'"}', known)


def test_an_envelope_is_not_taken_for_misspelt_by_what_is_in_it() -> None:
    class Envelope(msgspec.Struct):
        id: int
        result: msgspec.Raw

    told = gojson.decoder(Envelope)(b'{"id":1,"result":{"ID":"x","Id":2}}')
    assert (told.id, bytes(told.result)) == (1, b'{"ID":"x","Id":2}')


@pytest.mark.parametrize(
    "body",
    [
        {"ID": 4, "Method": "Filecoin.SectorsStatus", "PARAMS": [5, True]},
        {"iD": 4, "method": "Filecoin.SectorsStatus", "params": [5, True]},
        {"id": 4, "METHOD": "Filecoin.SectorsStatus", "Params": [5, True]},
    ],
)
async def test_an_envelope_in_another_case_is_no_notification(body: dict[str, Any]) -> None:
    engine = Engine(methods.MINER, FakeMiner())
    answer = await engine.handle_body(json.dumps(body).encode(), CallerInfo(ALL_PERMS), None)
    told = json.loads(answer.body)
    assert (told["id"], told["result"]["SectorID"]) == (4, 5)


async def test_params_in_another_case_reach_the_method() -> None:
    miner = FakeMiner()
    body = {
        "id": 1,
        "method": "Filecoin.ReturnSealCommit1",
        "params": [
            {"sector": {"miner": 1000, "number": 3}, "id": "u"},
            "AQID",
            {"code": 101, "message": "m"},
        ],
    }
    answer = await Engine(methods.MINER, miner).handle_body(
        json.dumps(body).encode(), CallerInfo(ALL_PERMS), None
    )
    assert json.loads(answer.body)["result"] is None
    assert miner.seen == [(types.CallID(types.SectorID(1000, 3), "u"), 3, types.CallError(101, "m"))]
