"""Lotus's own description of its API (OpenRPC), and whether an answer is what it describes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from .compare import MOST, OURS
from .recording import folder, timeline

_KINDS: dict[str, Any] = {
    "string": str, "number": (int, float), "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None),
}  # fmt: skip


@cache
def described(side: str) -> dict[str, Any]:
    """Method without ``Filecoin.`` → the schema of its result."""
    methods = json.loads((folder() / "openrpc" / f"{side}.json").read_text())["methods"]
    return {m["name"].removeprefix("Filecoin."): m["result"]["schema"] for m in methods}


def violations(value: Any, schema: Any, at: str = "$") -> Iterator[str]:
    """Where a value is not what a schema says: type, members, entries. Null stands for whatever Go leaves nil."""
    if schema is True or not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    if kinds and value is not None:  # an empty list says nothing
        wanted = tuple(_KINDS[k] for k in ([kinds] if isinstance(kinds, str) else kinds))
        fits = any(_is(value, kind) for kind in wanted)
        if not fits:
            yield f"{at}: {type(value).__name__}, described as {kinds}"
            return
    if isinstance(value, dict):
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        patterns = list(schema.get("patternProperties", {}).values())
        for name, inner in value.items():
            if name in properties:
                yield from violations(inner, properties[name], f"{at}.{name}")
            elif patterns:
                yield from violations(inner, patterns[0], f"{at}[{name}]")
            elif more is False and properties:
                yield f"{at}.{name}: not described"
    elif isinstance(value, list):
        entries = schema.get("items")
        for i, inner in enumerate(value):
            yield from violations(inner, entries[0] if isinstance(entries, list) else entries, f"{at}[{i}]")


def undescribed(to: str, method: str, value: Any) -> set[str]:
    """What is not as described in an answer of ours, but for what is not in Lotus's own answers either.

    The description is generated from Go's types and knows nothing of their own JSON: ids stand there as arrays of bytes,
    CIDs and big numbers as other things than they are.
    """
    side = "miner" if to == "miner" else "worker"
    schema = described(side).get(method)
    if schema is None:
        return set()
    mine = {_place(text) for text in violations(value, schema)}
    return {text for text in mine if text.rpartition(".")[2] not in _OURS} - _of_lotus(side, method)


_OURS = frozenset(f"{name}: not described" for name in OURS)


@cache
def _of_lotus(side: str, method: str) -> frozenset[str]:
    schema, found = described(side)[method], set[str]()
    same = [
        e.result
        for e in timeline()
        if e.method == method and (e.to == "miner") == (side == "miner") and e.paired and e.error is None
    ]
    for result in same[:: max(1, len(same) // MOST)]:
        found.update(map(_place, violations(result, schema)))
    return frozenset(found)


def _place(text: str) -> str:
    return re.sub(r"\[[^\]]*\]", "[]", text)


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is int:
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, kind)
