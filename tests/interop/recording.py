"""The recordings of a real farm as exchanges, grouped into their scenarios, in order of time."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

#: HOST:PORT of each program of the recorded farm; where the commands ran, a worker was tried out, too.
ADDRESSES = {
    "miner": "10.9.0.1:2345",
    "worker-1": "10.9.0.2:3456",
    "worker-2": "10.9.0.3:3456",
    "cli": "10.9.0.9:3456",
}


def folder() -> Path:
    default = Path(__file__).resolve().parents[3] / "shared" / "captures"
    return Path(os.environ.get("LOTUS_CAPTURES", default))


def available() -> bool:
    return (folder() / "wire").is_dir()


def need() -> Path:
    """The folder; a test without it is skipped with the reason, but fails in CI."""
    if not available():
        reason = f"no recordings of a real Lotus farm at {folder()} (set LOTUS_CAPTURES)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder()


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. ``body`` and ``answer`` are None where only a digest was recorded.

    ``ws``: a call over WebSocket, ``conn`` its connection, ``path`` and ``headers`` those of its upgrade. ``method`` is the RPC method without ``Filecoin.``, empty
    for what is no single call; ``params`` and ``result`` are decoded, ``error`` is the RPC error.
    """

    scenario: str
    t: float
    done: float
    sender: str
    to: str
    conn: int
    ws: bool
    verb: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    status: int
    answer_headers: tuple[tuple[str, str], ...]
    answer: bytes | None
    method: str = ""
    params: Any = None
    result: Any = None
    error: dict[str, Any] | None = None
    #: False: the answer written beside it bears another request's id.
    paired: bool = True

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def answer_header(self, name: str) -> str | None:
        return next((v for k, v in self.answer_headers if k.lower() == name.lower()), None)

    @property
    def label(self) -> str:
        return self.method or f"{self.verb} {'/'.join(self.path.split('?')[0].split('/')[:3])}"


def scenarios() -> list[str]:
    """Names of the recorded scenarios, ``s04-pledge-to-proving``."""
    if not available():
        return []
    return sorted(p.name.split(".")[0] for p in (folder() / "wire").glob("s*.jsonl*"))


@cache
def exchanges(scenario: str) -> tuple[Exchange, ...]:
    """All of a scenario but what went to the full node."""
    [path] = (folder() / "wire").glob(f"{scenario}.jsonl*")
    opener = gzip.open if path.suffix == ".gz" else open
    opened: dict[int, dict[str, Any]] = {}
    found = []
    with opener(path, "rt") as file:
        for record in map(json.loads, file):
            if record["kind"] == "ws-open":
                opened[record["conn"]] = record
            elif record["kind"] == "http" or record["kind"] == "ws-call":
                found.append(_exchange(scenario, record, opened.get(record["conn"])))
    return tuple(sorted((e for e in _repaired(found) if e.to != "fullnode"), key=lambda e: e.t))


def before(scenario: str) -> Iterator[Exchange]:
    """What was said in the recordings before a scenario began, in order of time."""
    begin = exchanges(scenario)[0].t
    yield from (e for e in timeline() if e.t < begin)


@cache
def timeline() -> tuple[Exchange, ...]:
    """Everything, each exchange once (a few scenarios overlap)."""
    once: dict[tuple[Any, ...], Exchange] = {}
    for scenario in scenarios():
        for e in exchanges(scenario):
            once.setdefault((e.t, e.sender, e.to, e.path, e.body), e)
    return tuple(sorted(once.values(), key=lambda e: e.t))


def _exchange(scenario: str, r: dict[str, Any], opened: dict[str, Any] | None) -> Exchange:
    """``opened``: how the WebSocket of a call was asked for; None where that was before the recording."""
    ws = r["kind"] == "ws-call"
    asked = opened if ws else r
    body = r["request"].encode() if ws else _bytes(r["request_body"])
    answer = r["response"].encode() if ws and r["response"] is not None else None
    if not ws:
        answer = _bytes(r.get("response_body"))
    known = Exchange(
        scenario=scenario,
        t=_unix(r["t"]),
        done=_unix(r.get("t_response") or r.get("t_end") or r["t"]),
        sender=r["from"],
        to=r["to"],
        conn=r["conn"],
        ws=ws,
        verb="POST" if ws else r["method"],
        path=asked["path"] if asked else "/rpc/v0",
        headers=tuple((k, v) for k, v in asked["request_headers"]) if asked else (),
        body=body,
        status=200 if ws else (r.get("status") or 0),
        answer_headers=() if ws else tuple((k, v) for k, v in r.get("response_headers") or ()),
        answer=answer,
    )
    return _call(known)


def _call(e: Exchange) -> Exchange:
    if not e.path.startswith("/rpc/v0") or not e.body or e.verb != "POST":
        return e
    try:
        request = json.loads(e.body)
        told = json.loads(e.answer or b"{}")
    except ValueError:
        return e
    if not isinstance(request, dict) or not isinstance(told, dict) or "method" not in request:
        return e
    more = {
        "method": str(request["method"]).removeprefix("Filecoin."),
        "params": request.get("params"),
        "result": told.get("result"),
        "error": told.get("error"),
        "paired": told.get("id") in (None, request.get("id")) or "id" not in request,
    }
    return replace(e, **more)


def _repaired(found: list[Exchange]) -> list[Exchange]:
    """On one kept connection each answer was written down one request too late: their ids tell whose they are."""
    late = {(e.conn, _id(e.answer)): e for e in found if not e.paired}
    whole = []
    for e in found:
        if not e.paired and (of := late.get((e.conn, _id(e.body)))) is not None:
            told = {"answer": of.answer, "status": of.status, "answer_headers": of.answer_headers}
            e = _call(replace(e, done=max(e.t, of.done), **told))  # type: ignore[arg-type]
        whole.append(e)
    return whole


def _id(text: bytes | None) -> Any:
    return json.loads(text or b"{}").get("id")


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _bytes(body: Any) -> bytes | None:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if "b64" in body:
        return base64.b64decode(body["b64"])
    return None
