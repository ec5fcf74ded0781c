"""Recordings of a real farm: what Lotus's commands asked and were answered, beside what they printed."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import recordings

#: Address of each program in the recordings → our environment name for its API.
HOSTS = {"miner": 2345, "fullnode": 1234, "worker-1": 3456, "worker-2": 3457}


def need_captures() -> Path:
    return recordings.need("wire").parent


@dataclass(frozen=True)
class Call:
    """One recorded call of a command. Times in unix seconds."""

    begin: float
    end: float
    to: str
    conn: str
    method: str
    params: str
    answer: dict[str, Any]


@dataclass(frozen=True)
class Capture:
    """One recorded command."""

    name: str
    argv: tuple[str, ...]
    begin: float
    seconds: float
    tty: bool
    text: str
    code: int
    env: tuple[tuple[str, str], ...] = ()


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@cache
def calls(folder: Path) -> list[Call]:
    """All calls of commands in the recordings, in order of time."""
    found: dict[tuple[float, str, str], Call] = {}
    for path in sorted((folder / "wire").glob("s*.jsonl*")):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt") as file:
            for record in map(json.loads, file):
                call = call_of(record, path.name)
                if call:
                    found[call.begin, call.method, call.params] = call
    return sorted(found.values(), key=lambda c: c.begin)


def call_of(record: dict[str, Any], file: str) -> Call | None:
    if record.get("from") != "cli":
        return None
    if record["kind"] == "ws-call":
        asked, told = record["request"], record["response"]
    elif record["kind"] == "http" and record["path"].startswith("/rpc/v"):
        asked, told = record.get("request_body"), record.get("response_body")
    else:
        return None
    if not isinstance(asked, str) or not isinstance(told, str) or not told.startswith("{"):
        return None
    try:
        request, answer = json.loads(asked), json.loads(told)
    except ValueError:  # recordings of broken requests
        return None
    if "method" not in request:
        return None
    return Call(
        unix(record["t"]),
        unix(record.get("t_response") or record["t"]),
        record["to"],
        f"{file} {record['conn']}",
        request["method"].removeprefix("Filecoin."),
        json.dumps(request.get("params") or []),
        answer,
    )


def captures(folder: Path) -> Iterator[Capture]:
    """The commands that ran against the farm."""
    root = folder / "cli"
    for entry in json.loads((root / "manifest.json").read_text()):
        files = entry["files"]
        name = files.get("tty") or files.get("stdout")
        if name and entry["name"].startswith("state/") and isinstance(entry["exit"], int):
            text = (root / name).read_bytes().decode()
            yield Capture(
                entry["name"] + (" (tty)" if entry["tty"] else ""),
                tuple(entry["argv"]),
                unix(entry["t"]),
                entry["seconds"],
                entry["tty"],
                text.replace("\r\n", "\n"),
                entry["exit"],
                tuple((entry.get("env") or {}).items()),
            )


def sessions(folder: Path, capture: Capture, first: str) -> list[list[Call]]:
    """Runs of calls that may belong to a capture: each begins with the method ``first``, none is before its second."""
    every = calls(folder)
    begins = [c.begin for c in every]
    low = bisect_left(begins, capture.begin)
    high = bisect_left(begins, capture.begin + 1.0 + capture.seconds)
    starts = [i for i in range(low, high) if every[i].method == first]
    return [every[i : bisect_left(begins, begins[i] + capture.seconds + 0.2)] for i in starts]


def errors(folder: Path) -> Iterator[tuple[Capture, str]]:
    """The commands that failed against the farm, each with its line that begins with ``ERROR: ``."""
    root = folder / "cli"
    failed = {capture.name: capture for capture in captures(folder) if capture.code and not capture.tty}
    for entry in json.loads((root / "manifest.json").read_text()):
        capture = failed.get(entry["name"])
        if capture is None or "stderr" not in entry["files"] or not capture.argv[0].startswith("lotus-"):
            continue
        told = (root / entry["files"]["stderr"]).read_text().splitlines()
        for line in [line for line in told if line.startswith("ERROR: ")][-1:]:
            yield capture, line


@cache
def answered(folder: Path) -> dict[tuple[str, str, str], list[Call]]:
    """Every call by its (method, params, host), in order of time."""
    by: dict[tuple[str, str, str], list[Call]] = {}
    for call in calls(folder):
        by.setdefault((call.method, meant(call.method, call.params), call.to), []).append(call)
    return by


def meant(method: str, params: str) -> str:
    """The parameters without what cannot change the answer: a sector's size says nothing where no fetch is allowed."""
    if method == "StorageFindSector" and params.endswith(" false]"):
        return json.dumps([*json.loads(params)[:2], 0, False])
    return params


def elsewhere(folder: Path, method: str, params: str, to: str, at: float, rank: int = 0) -> Call | None:
    """What the same farm answered to the same call at another time: the ``rank``-nearest to ``at``."""
    near = sorted(
        answered(folder).get((method, meant(method, params), to), ()), key=lambda c: abs(c.begin - at)
    )
    return near[rank] if rank < len(near) else None
