"""Exchanges that are not replayed, each with its reason; docs/interop.md shows the list."""

from __future__ import annotations

from .recording import Exchange

#: Lotus method → why our miner answers otherwise.
REFUSED: dict[str, str] = {}


def why(e: Exchange) -> str | None:
    """The reason, None for what is replayed."""
    if not e.status:
        return "the recorded connection broke before an answer"
    if e.body is None:
        return "only a digest of the request was recorded"
    if _mispaired(e):
        return "the recording pairs it with its neighbour's answer"
    return REFUSED.get(e.method) if e.to == "miner" else None


def _mispaired(e: Exchange) -> bool:
    """On a kept connection a few answers were written down one request too late."""
    kind = e.answer_header("Content-Type")
    if e.path.startswith("/remote/") and e.status == 200:
        return (e.verb == "DELETE" and kind is not None) or (e.verb == "GET" and kind is None)
    return False
