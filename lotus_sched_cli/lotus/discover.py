"""The OpenRPC description of what we answer, for ``rpc.discover``. Source: Lotus ``build/openrpc``, ``api/docgen-openrpc``."""

from __future__ import annotations

from typing import Any

import msgspec

from .methods import MethodSpec, ReaderParam, Table
from .rpc.streams import ReaderStream

__all__ = ["document"]


def document(table: Table, *, title: str = "Lotus RPC API", version: str) -> dict[str, Any]:
    """The description of a table of methods, in Lotus's layout; make it once, it is large."""
    return {
        "info": {"title": title, "version": version},
        "methods": [_method(table[name]) for name in sorted(table)],
        "openrpc": "1.2.6",
    }


def _method(spec: MethodSpec) -> dict[str, Any]:
    return {
        "deprecated": False,
        "description": f"Perms: {spec.perm}" + (" (not in Lotus)" if spec.ours else ""),
        "name": f"Filecoin.{spec.name}",
        "paramStructure": "by-position",
        "params": [
            {
                "deprecated": False,
                "description": param.go,
                "name": f"p{i}",
                "required": True,
                "schema": _schema(param.type),
                "summary": "",
            }
            for i, param in enumerate(spec.params, 1)
        ],
        "result": _result(spec),
        "summary": "",
    }


def _result(spec: MethodSpec) -> dict[str, Any]:
    if spec.result is type(None):
        null = {"deprecated": False, "description": "Null", "name": "Null", "required": True}
        return null | {"schema": {"type": ["null"]}}
    return {
        "deprecated": False,
        "description": spec.go_result,
        "name": spec.go_result,
        "required": True,
        "schema": _schema(spec.result),
        "summary": "",
    }


def _schema(type_: Any) -> dict[str, Any]:
    """What goes over the wire, in Lotus's layout: nothing by reference, the outermost type and its items in lists.

    Lotus's own generator takes ids and bytes for arrays of numbers; here they are the strings that both send.
    """
    (outer,), parts = msgspec.json.schema_components((ReaderStream if type_ is ReaderParam else type_,))
    laid = _laid(outer, parts)
    if "type" in laid:
        laid["type"] = [laid["type"]]
    if "items" in laid:
        laid["items"] = [laid["items"]]
    return laid


def _laid(node: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return _laid(parts[node["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in node:  # a pointer of Go's may be null, which its description leaves out
        return _laid(next(kind for kind in node["anyOf"] if kind.get("type") != "null"), parts)
    match node.get("type"):
        case "object":
            return _object(node, parts)
        case "array":
            sizes = {name: node[name] for name in ("minItems", "maxItems") if name in node}
            return {"items": _laid(node.get("items") or {}, parts), "type": "array"} | sizes
        case "integer" | "number":
            return {"title": "number", "type": "number"}
        case "string" if node.get("contentEncoding") == "base64":
            return {"media": {"binaryEncoding": "base64"}, "type": "string"}
        case None:
            return {"additionalProperties": True}
        case kind:
            return {"type": kind}


def _object(node: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    each = node.get("additionalProperties")
    if isinstance(each, dict):
        return {"patternProperties": {".*": _laid(each, parts)}, "type": "object"}
    if "properties" not in node:
        return {"additionalProperties": True, "type": "object"}
    properties = {name: _laid(inner, parts) for name, inner in node["properties"].items()}
    return {"additionalProperties": False, "properties": properties, "type": "object"}
