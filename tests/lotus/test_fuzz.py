"""Whatever arrives, an answer of Lotus's kind leaves: no exception, no status that Lotus would not give."""

from __future__ import annotations

import json
import random

import pytest

from lotus_sched_cli.lotus import methods
from lotus_sched_cli.lotus.rpc.engine import ALL_PERMS, CallerInfo, Engine
from lotus_sched_cli.lotus.rpc.streams import StreamHub

from .conftest import FakeMiner

SEEDS = (
    b'{"jsonrpc":"2.0","id":1,"method":"Filecoin.SectorsStatus","params":[1,true],"meta":{"SpanContext":"AAAB"}}',
    b'{"id":"x","method":"Filecoin.ReturnSealCommit1","params":[{"Sector":{"Miner":1000,"Number":1},"ID":"a"},"AAAA",{"Code":101,"Message":"m"}]}',
    b'[{"id":1,"method":"Filecoin.Version"},{"method":"Filecoin.Version"},{"id":2,"method":"Filecoin.Nope"}]',
    b'{"id":1.5,"method":"Filecoin.ComputeDataCid","params":[2032,{"Type":"null","Info":"2032"}]}',
    b'{"id":1,"method":"Filecoin.StorageRedeclareLocal","params":[null,true]}',
)
BITS = (
    b"null", b"true", b"[]", b"{}", b'""', b"-1", b"1e400", b"1e999999", b"\xff", b"\xed\xa0\x80", b'"\\ud800"', b"NaN", b"Infinity",
    b'"a":', b",", b"[" * 50, b"9" * 400, b"9" * 5000, b"\x00", b" ", b'"\\u0000"', b"18446744073709551616", b'"=="',
)  # fmt: skip


def mangled(chance: random.Random) -> bytes:
    body = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(4):
            case 0:
                body[at:at] = chance.choice(BITS)
            case 1:
                del body[at : at + chance.randint(1, 12)]
            case 2:
                body[at : at + chance.randint(1, 8)] = chance.choice(BITS)
            case _:
                body[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(body)


async def check(engine: Engine, body: bytes) -> None:
    hub = StreamHub(timeout=0)
    answer = await engine.handle_body(body, CallerInfo(ALL_PERMS), hub.decode)
    assert answer.status in (200, 400, 500), body
    if not answer.body:
        return
    answered = json.loads(answer.body)
    for one in answered if isinstance(answered, list) else [answered]:
        assert set(one) == {"id", "jsonrpc", "result"} or set(one) == {"id", "jsonrpc", "error"}, body
        if answer.status != 200:
            assert one["error"]["code"] in (-32700, -32600, -32601, -32602), (body, one)


async def test_mangled_requests_are_answered() -> None:
    engine = Engine(methods.MINER, FakeMiner(), aliases=methods.MINER_ALIASES)
    chance = random.Random(20260806)
    for _ in range(5000):
        await check(engine, mangled(chance))


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":1,"method":"Filecoin.Version","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"id":' + b"9" * 100_000 + b',"method":"Filecoin.Version"}',
        b'{"id":"\\ud800","method":"Filecoin.Version"}',
        b'{"id":1,"method":"\xff"}',
        b'{"id":1,"method":"Filecoin.AuthVerify","params":["\xff"]}',
        b'{"id":1,"method":"Filecoin.AuthVerify","params":["\\ud800"]}',
        b'{"id":1e999,"method":"Filecoin.Version"}',
        b"\xef\xbb\xbf{}",
    ],
)
async def test_hostile_requests_are_answered(body: bytes) -> None:
    await check(Engine(methods.MINER, FakeMiner()), body)
