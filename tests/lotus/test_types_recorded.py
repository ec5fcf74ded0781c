"""What a real farm said fits our types: nothing lost, nothing added, nothing of another kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lotus_sched_cli.lotus import discover, extras, gojson, methods, types
from lotus_sched_cli.lotus.rpc.streams import ReaderStream

from .conftest import records, rpc_pairs

pytestmark = pytest.mark.captures

OURS = frozenset().union(*extras.MEMBERS.values())


def _type(param: methods.Param) -> Any:
    return ReaderStream if param.type is methods.ReaderParam else param.type


def _again(value: Any, type_: Any) -> Any:
    return json.loads(gojson.encode(gojson.decoder(type_)(json.dumps(value).encode())))


def test_every_recorded_call_of_miner_and_worker_survives_our_types(captures: Path) -> None:
    seen: set[tuple[str, str]] = set()
    faults: list[str] = []
    for path in sorted((captures / "wire").glob("*.jsonl*")):
        for record in records(path):
            pair = rpc_pairs(record)
            if pair is None or pair[0] == "fullnode":
                continue
            try:
                request, answer = json.loads(pair[1]), json.loads(pair[2])
            except ValueError:
                continue
            if not isinstance(request, dict) or not isinstance(answer, dict) or "result" not in answer:
                continue
            if request.get("id") != answer.get("id"):
                continue  # a few records of s22 pair a request with its neighbour's answer
            name = {"rpc.discover": "Discover"}.get(
                request["method"], request["method"].removeprefix("Filecoin.")
            )
            is_miner = pair[0] == "miner"
            table = methods.MINER if is_miner else methods.WORKER
            spec = table[name]
            seen.add(("miner" if is_miner else "worker", name))
            params = request.get("params") or []
            values = [*zip(params, (_type(p) for p in spec.params), strict=True)]
            if not spec.channel:
                values.append((answer["result"], spec.result))
            for value, type_ in values:
                try:
                    got = _again(value, type_)
                except (msgspec.DecodeError, TypeError) as error:
                    got = error
                if got != value:
                    faults.append(f"{path.name} {name}: {str(value)[:200]} became {str(got)[:200]}")
    assert not faults, "\n".join(faults[:20])
    assert len(seen) > 90


@pytest.mark.parametrize("side", ["miner", "worker"])
def test_our_table_has_every_method_of_lotus_s_description_with_its_parameters(
    captures: Path, side: str
) -> None:
    table = methods.MINER if side == "miner" else methods.WORKER
    described = json.loads((captures / "openrpc" / f"{side}.json").read_text())["methods"]
    for method in described:
        spec = table[method["name"].removeprefix("Filecoin.")]
        assert [p.go for p in spec.params] == [p["description"] for p in method["params"]], spec.name
        assert spec.go_result == method["result"]["description"], spec.name


def test_sectorstore_and_storage_json_of_real_repos_are_read(captures: Path) -> None:
    for file in [
        *(captures / "repo" / "paths").glob("*.json"),
        *(captures / "repo").glob("*/*sectorstore.json"),
    ]:
        assert _again(json.loads(file.read_text()), types.LocalStorageMeta) == json.loads(file.read_text())
    for file in (captures / "repo").glob("*/storage.json"):
        assert _again(json.loads(file.read_text()), types.StorageConfig) == json.loads(file.read_text())


@pytest.mark.parametrize("side", ["miner", "worker"])
def test_our_description_names_what_lotus_s_names(captures: Path, side: str) -> None:
    table = methods.MINER if side == "miner" else methods.WORKER
    ours = json.loads(gojson.encode(discover.document(table, version="1")))
    theirs = json.loads((captures / "openrpc" / f"{side}.json").read_text())
    assert set(ours) == set(theirs)
    mine = {m["name"]: m for m in ours["methods"]}
    for method in theirs["methods"]:
        assert [p["name"] for p in mine[method["name"]]["params"]] == [p["name"] for p in method["params"]]


#: What Lotus's generator makes of types that write themselves (ids and bytes, addresses and big numbers, CIDs, bit fields),
#: beside what goes over the wire: (ours, theirs). None: opaque to us.
WRITES_ITSELF = {("string", "array"), ("string", "object"), ("object", "string"), ("array", "object")}
#: Described as a number, sent as a name; left out of the description.
SUBSYSTEMS, FILE_TYPE = "Filecoin.RuntimeSubsystems result[]", "SectorFileType"


def kind(schema: dict[str, Any]) -> str | None:
    """The type; the outermost stands in a list."""
    given = schema.get("type")
    return given[0] if isinstance(given, list) else given


def apart(mine: dict[str, Any], theirs: Any, at: str) -> Iterator[str]:
    """Where our description of a value says something else than Lotus's."""
    if not isinstance(theirs, dict) or kind(mine) is None:
        return
    if kind(mine) != kind(theirs):
        known = (kind(mine), kind(theirs)) in WRITES_ITSELF or kind(theirs) is None or at == SUBSYSTEMS
        if not known:
            yield f"{at}: {kind(mine)}, Lotus has {kind(theirs)}"
        return
    told = theirs.get("properties", {})
    if told and "properties" in mine:  # an interface of Go has none
        if more := set(mine["properties"]) - set(told) - OURS - {FILE_TYPE}:
            yield f"{at}: has {more} too"
        if fewer := set(told) - set(mine["properties"]):
            yield f"{at}: lacks {fewer}"
    for name in told.keys() & mine.get("properties", {}).keys():
        yield from apart(mine["properties"][name], told[name], f"{at}.{name}")
    for each in theirs.get("patternProperties", {}).values():
        yield from apart(mine["patternProperties"][".*"], each, f"{at}{{}}")
    if "items" in theirs:
        ours, lotus = ([i["items"]] if isinstance(i["items"], dict) else i["items"] for i in (mine, theirs))
        yield from apart(ours[0], lotus[0] if isinstance(lotus, list) else lotus, f"{at}[]")


@pytest.mark.parametrize("side", ["miner", "worker"])
def test_our_description_describes_as_lotus_s_does(captures: Path, side: str) -> None:
    table = methods.MINER if side == "miner" else methods.WORKER
    mine = {m["name"]: m for m in json.loads(gojson.encode(discover.document(table, version="1")))["methods"]}
    assert "$ref" not in json.dumps(mine)
    found: list[str] = []
    for method in json.loads((captures / "openrpc" / f"{side}.json").read_text())["methods"]:
        name, ours = method["name"], mine[method["name"]]
        assert set(ours) == set(method) - {"externalDocs"}
        assert set(ours["result"]) == set(method["result"]), name
        found += apart(ours["result"]["schema"], method["result"]["schema"], f"{name} result")
        for p, q in zip(ours["params"], method["params"], strict=True):
            assert set(p) == set(q), name
            found += apart(p["schema"], q["schema"], f"{name} {p['name']}")
    assert not found, "\n".join(found)
