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
        "result": {
            "deprecated": False,
            "description": spec.go_result,
            "name": spec.go_result,
            "required": True,
            "schema": _schema(spec.result),
            "summary": "",
        },
        "summary": "",
    }


def _schema(type_: Any) -> dict[str, Any]:
    return msgspec.json.schema(ReaderStream if type_ is ReaderParam else type_)
