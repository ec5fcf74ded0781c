"""What a client sees on the wire: statuses, bodies, texts, as go-jsonrpc gives them."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lotus_sched_cli.lotus import auth, methods
from lotus_sched_cli.lotus.rpc.server import CallerInfo

from .conftest import SECRET, FakeMiner, Running, records, start


class Wire:
    """Raw requests; answers as (status, body text)."""

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session
        self.headers: Any = {}

    async def post(
        self,
        body: str | bytes,
        *,
        token: str | None = "",
        headers: dict[str, str] | None = None,
        method: str = "POST",
        query: str = "",
    ) -> tuple[int, str]:
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {token or self.running.token}"
        async with self.session.request(method, self.running.url + query, data=body, headers=sent) as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def call(self, method: str, *params: Any, **how: Any) -> tuple[int, str]:
        request = {"jsonrpc": "2.0", "id": 1, "method": f"Filecoin.{method}", "params": list(params)}
        return await self.post(json.dumps(request), **how)


@pytest.fixture
async def wire(running: Running) -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as session:
        yield Wire(running, session)


VERSION = '{"Version":"v1.36.2-dev+simulated","APIVersion":66816,"BlockDelay":30,"Agent":"lotus"}'


def error(code: int, message: str, id_: str = "1") -> str:
    return f'{{"error":{{"code":{code},"message":{json.dumps(message)}}},"id":{id_},"jsonrpc":"2.0"}}\n'


async def test_an_answer_has_go_s_member_order_and_newline(wire: Wire) -> None:
    assert await wire.call("Version") == (200, f'{{"id":1,"jsonrpc":"2.0","result":{VERSION}}}\n')
    assert wire.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("id_", "echoed"),
    [
        ("1", "1"), ('"abc"', '"abc"'), ("1.5", "1.5"), ("1e3", "1000"), ("-7", "-7"), ("1.0", "1"),
        ("9007199254740993", "9007199254740992"), ("1e21", "1e+21"), ("1e-7", "1e-7"), ('"<>"', '"\\u003c\\u003e"'),
    ],
)  # fmt: skip
async def test_the_id_comes_back_as_go_would_write_it(wire: Wire, id_: str, echoed: str) -> None:
    status, body = await wire.post(f'{{"jsonrpc":"2.0","id":{id_},"method":"Filecoin.Version","params":[]}}')
    assert (status, body) == (200, f'{{"id":{echoed},"jsonrpc":"2.0","result":{VERSION}}}\n')


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ("", 400, error(-32600, "Invalid request", "null")),
        (" \n", 400, error(-32600, "Invalid request", "null")),
        ("[]", 400, error(-32600, "Invalid request", "null")),
        ("{oops", 500, error(-32700, "Parse error", "null")),
        ("5", 500, error(-32700, "Parse error", "null")),
        ("[1]", 500, error(-32700, "Parse error", "null")),
        ('{"id":1,"method":5}', 500, error(-32700, "Parse error")),
        ('{"id":1,"method":"Filecoin.Version","meta":5}', 500, error(-32700, "Parse error")),
        ('{"id":1,"method":"Filecoin.Version","meta":{"a":5}}', 500, error(-32700, "Parse error")),
        ('{"id":true,"method":"x"}', 500, error(-32700, "failed to parse ID: invalid id type: bool", "null")),
        ('{"id":[],"method":"x"}', 500, error(-32700, "failed to parse ID: invalid id type: []interface {}", "null")),
        ('{"id":{},"method":"x"}', 500, error(-32700, "failed to parse ID: invalid id type: map[string]interface {}", "null")),
        ('{"id":1}', 500, error(-32601, "method '' not found")),
        ('{"id":1,"method":"Version"}', 500, error(-32601, "method 'Version' not found")),
        ('{"id":1,"method":"Filecoin.version"}', 500, error(-32601, "method 'Filecoin.version' not found")),
        ('{"method":"Filecoin.Nope"}', 500, error(-32601, "method 'Filecoin.Nope' not found", "null")),
        ('{"id":1,"method":"Filecoin.Closing"}', 500, error(-32601, "method 'Filecoin.Closing' not supported in this mode (no out channel support)")),
        ('{"id":1,"method":"Filecoin.SectorsStatus","params":{"a":1}}', 500, error(-32700, "unmarshaling param array: json: cannot unmarshal object into Go value of type []jsonrpc.param")),
        ('{"id":1,"method":"Filecoin.Version","params":5}', 500, error(-32700, "unmarshaling param array: json: cannot unmarshal number into Go value of type []jsonrpc.param")),
        ('{"id":1,"method":"Filecoin.SectorsStatus","params":[1]}', 500, error(-32602, "wrong param count (method 'Filecoin.SectorsStatus'): 1 != 2")),
        ('{"id":1,"method":"Filecoin.SectorsStatus"}', 500, error(-32602, "wrong param count (method 'Filecoin.SectorsStatus'): 0 != 2")),
        ('{"id":1,"method":"Filecoin.Version","params":[1]}', 500, error(-32602, "wrong param count (method 'Filecoin.Version'): 1 != 0")),
        ('{"id":1,"method":"Filecoin.SectorsStatus","params":["x",true]}', 500, error(-32700, "unmarshaling params for 'Filecoin.SectorsStatus' (param: *abi.SectorNumber): json: cannot unmarshal string into Go value of type abi.SectorNumber")),
        ('{"id":1,"method":"Filecoin.SectorsStatus","params":[-1,true]}', 500, error(-32700, "unmarshaling params for 'Filecoin.SectorsStatus' (param: *abi.SectorNumber): json: cannot unmarshal number -1 into Go value of type abi.SectorNumber")),
        ('{"id":1,"method":"Filecoin.StorageBestAlloc","params":[1,2048,"foo",1000]}', 500, error(0, "fatal error calling 'Filecoin.StorageBestAlloc': panic in rpc method 'Filecoin.StorageBestAlloc': unexpected pathType: foo")),
        ('{"id":1,"method":"Filecoin.SectorsStatus","params":[99,false]}', 200, error(1, "No state for /99: datastore: key not found")),
    ],
)  # fmt: skip
async def test_mistakes_are_answered_in_lotus_s_words(
    wire: Wire, body: str, status: int, answer: str
) -> None:
    assert await wire.post(body) == (status, answer)


async def test_what_go_forgives_is_forgiven(wire: Wire) -> None:
    good = f'{{"id":1,"jsonrpc":"2.0","result":{VERSION}}}\n'
    for body in (
        '{"ID":1,"Method":"Filecoin.Version","PARAMS":[]}',
        '{"id":1,"method":"Filecoin.Version","params":null,"extra":[1,{"a":2}],"meta":{"SpanContext":"AAAB"}}',
        '{"id":1,"method":"Filecoin.Version"} trailing',
        '\n {"id":1,"method":"Filecoin.Version","params":[ ]}\n',
    ):
        assert await wire.post(body) == (200, good)
    # null leaves the zero value in a parameter that is no pointer
    status, body = await wire.post('{"id":1,"method":"Filecoin.SectorsStatus","params":[null,null]}')
    assert status == 200 and json.loads(body)["result"]["SectorID"] == 0
    assert (await wire.post('{"id":1,"method":"Filecoin.StorageRedeclareLocal","params":[null,true]}'))[
        0
    ] == 200
    assert wire.running.miner.seen[-1] == (None, True)


async def test_angle_brackets_and_line_separators_are_escaped_as_go_does(wire: Wire) -> None:
    _, body = await wire.call("SectorsStatus", 7, False)
    assert '"LastErr":"a \\u003cb\\u003e \\u0026 c\\u2028"' in body


async def test_a_notification_runs_and_gets_an_empty_body(wire: Wire) -> None:
    assert await wire.post('{"jsonrpc":"2.0","method":"Filecoin.Version","params":[]}') == (200, "")
    assert await wire.post('{"id":null,"method":"Filecoin.SectorsStatus","params":[99,false]}') == (200, "")
    assert wire.running.miner.seen == ["Version"]
    assert wire.headers["Content-Type"] == "application/json"


async def test_a_batch_is_answered_in_order_and_notifications_leave_nothing(wire: Wire) -> None:
    one = f'{{"id":1,"jsonrpc":"2.0","result":{VERSION}}}\n'
    two = error(-32601, "method 'Filecoin.Nope' not found", "2")
    both = '[{"id":1,"method":"Filecoin.Version"},{"id":2,"method":"Filecoin.Nope"}]'
    assert await wire.post(both) == (200, f"[{one},{two}]")
    assert await wire.post('[{"id":1,"method":"Filecoin.Version"},{"method":"Filecoin.Version"}]') == (
        200,
        f"[{one}]",
    )
    assert await wire.post('[{"method":"Filecoin.Version"}]') == (200, "")


async def test_tokens_decide_what_may_be_called(wire: Wire) -> None:
    miner = wire.running.miner
    assert (await wire.call("Version", token=None))[0] == 200
    missing = error(1, "missing permission to invoke 'WorkerStats' (need 'admin')")
    assert await wire.call("WorkerStats", token=None) == (200, missing)
    admin_only = auth.sign(SECRET, ["admin"])
    assert await wire.call("Version", token=admin_only) == (
        200,
        error(1, "missing permission to invoke 'Version' (need 'read')"),
    )
    assert (await wire.call("WorkerStats", token=None, query=f"?token={admin_only}"))[0] == 200
    assert await wire.call("WorkerConnect", "http://10.0.0.1:3456/rpc/v0", token=admin_only) == (
        200,
        '{"id":1,"jsonrpc":"2.0","result":null}\n',
    )
    who: CallerInfo = miner.seen[-1][1]
    assert who.perms == {"admin"} and who.token == admin_only and who.remote.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "header", ["Bearer abc", "Bearer a.b.c", "Bearer ", "Basic abc", "eyJhbGciOiJIUzI1NiJ9.e30.x"]
)
async def test_a_bad_token_is_a_401_without_body(wire: Wire, header: str) -> None:
    assert await wire.call("Version", headers={"Authorization": header}) == (401, "")
    assert wire.headers["Content-Length"] == "0"


async def test_a_form_without_a_header_loses_its_body_as_in_go(wire: Wire) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert await wire.call("Version", token=None, headers=form) == (
        400,
        error(-32600, "Invalid request", "null"),
    )
    assert (await wire.call("Version", headers=form))[0] == 200


async def test_a_get_is_an_invalid_request_and_other_paths_are_not_found(wire: Wire) -> None:
    assert await wire.post("", method="GET") == (400, error(-32600, "Invalid request", "null"))
    base = wire.running.url.removesuffix("/rpc/v0")
    for path in ("/rpc/v0/", "/rpc/v1", "/"):
        async with wire.session.get(base + path) as answer:
            assert (answer.status, await answer.text()) == (404, "404 page not found\n")


async def test_discover_goes_by_its_alias_on_the_miner(wire: Wire) -> None:
    alias = await wire.post('{"id":1,"method":"rpc.discover","params":[]}')
    assert alias == (200, error(1, "method not supported"))  # known, but this miner has none


async def test_a_c1_output_of_60_mib_passes_and_more_than_the_limit_does_not() -> None:
    miner = FakeMiner()
    running, runner = await start(miner, max_body=81 << 20)
    async with aiohttp.ClientSession() as session:
        wire = Wire(running, session)
        call = {"Sector": {"Miner": 1000, "Number": 1}, "ID": "6c5b2b3a-0000-0000-0000-000000000000"}
        big = "A" * (80 << 20)  # base64 of 60 MiB
        body = json.dumps({"id": 1, "method": "Filecoin.ReturnSealCommit1", "params": [call, big, None]})
        assert await wire.post(body) == (200, '{"id":1,"jsonrpc":"2.0","result":null}\n')
        assert miner.seen[-1][1] == 60 << 20
        too_big = "request bigger than maximum 84934656 allowed"
        assert await wire.post(" " * ((81 << 20) + 1)) == (500, error(-32700, too_big, "null"))
    await runner.cleanup()


async def test_a_client_that_dies_in_the_middle_of_a_request_leaves_no_trace_in_the_log(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = wire.running.url.split("/")[2].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /rpc/v0 HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {wire.running.token}\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b'{"jsonrpc":')
    await writer.drain()
    # The server has read what there is once it answers somebody else.
    assert (await wire.call("Version"))[0] == 200
    linger = struct.pack("ii", 1, 0)  # closing sends RST, as the kernel does for a killed process
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    assert (await wire.call("Version"))[0] == 200
    assert not [r for r in caplog.records if r.name.startswith("aiohttp") and r.levelno >= logging.WARNING]


async def test_a_worker_asks_no_default_permission_and_has_no_discover_alias() -> None:
    class Worker:
        async def Version(self) -> int:
            return 67328

    running, runner = await start(Worker(), methods.WORKER, default_perms=frozenset({"read"}))
    running.server.engine.methods.pop("rpc.discover", None)
    async with aiohttp.ClientSession() as session:
        wire = Wire(running, session)
        assert await wire.call("Version", token=None) == (
            200,
            error(1, "missing permission to invoke 'Version' (need 'admin')"),
        )
        assert await wire.call("Version") == (200, '{"id":1,"jsonrpc":"2.0","result":67328}\n')
    await runner.cleanup()


async def test_calls_run_side_by_side_on_one_server(wire: Wire) -> None:
    locked = asyncio.create_task(wire.call("StorageLock", {"Miner": 1000, "Number": 1}, 0, 1))
    await wire.running.miner.running.wait()
    assert (await wire.call("Version"))[0] == 200
    locked.cancel()


@pytest.mark.captures
async def test_recorded_mistakes_get_the_recorded_answers(captures: Path, wire: Wire) -> None:
    compared = 0
    for record in records(captures / "wire" / "s12-errors.jsonl.gz"):
        if record["kind"] != "http" or record["to"] != "miner" or not record["path"].startswith("/rpc/"):
            continue
        headers = {k: v for k, v in record["request_headers"] if k in ("Authorization", "Content-Type")}
        bearer = headers.get("Authorization", "")
        if bearer.startswith("Bearer eyJ"):
            allow = json.loads(auth._unbase64(bearer.split(".")[1]))["Allow"]
            headers["Authorization"] = f"Bearer {auth.sign(SECRET, allow)}"
        path, _, query = record["path"].partition("?")
        if query:
            query = f"?token={wire.running.token}"
        url = wire.running.url.removesuffix("/rpc/v0") + path + query
        body = record["request_body"] or ""
        if path == "/rpc/v0" and "WorkerConnect" in body:
            continue
        async with wire.session.request(
            record["method"], url, data=body.encode(), headers=headers, skip_auto_headers=["Content-Type"]
        ) as answer:
            text = await answer.text()
        want = record["response_body"] or ""
        assert answer.status == record["status"], (body, text)
        protocol = '"code":-32' in want or '"code":0' in want or "missing permission" in want or not want
        if protocol and not want.startswith("["):
            assert text == want, body
            compared += 1
    assert compared >= 20
