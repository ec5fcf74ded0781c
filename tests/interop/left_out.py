"""Exchanges that are not replayed, each with its reason; docs/interop.md shows the list."""

from __future__ import annotations

import json
from functools import cache

from lotus_sched_cli.lotus import methods

from .recording import Exchange, exchanges

#: Lotus method → why our miner answers otherwise.
REFUSED: dict[str, str] = {
    "SectorsRefs": "Lotus's own handler panics (a miner without a market); ours answers that there are none",
    "SectorGetExpectedSealDuration": "Lotus's own handler panics (a miner without a market)",
    "CheckProvable": "needs proofs of a chain; our miner refuses it",
    "ComputeWindowPoSt": "needs proofs of a chain; our miner refuses it",
    "SectorAddPieceToAny": "our miner seals committed capacity only and refuses it",
    "SectorMarkForUpgrade": "our miner seals committed capacity only and refuses it",
    "SectorUnseal": "our miner's sectors hold no data to unseal; it refuses it",
    "SectorPreCommitFlush": "our miner sends each sector's message at once and has no batch to flush",
    "SectorSetSealDelay": "our miner has no deals to wait for and refuses it",
}
_VANILLA = "needs the vanilla proofs of a real sector"
#: Path → why our miner answers otherwise below it.
_PATHS = {
    "/remote/vanilla/": _VANILLA,
    "/debug/": "Go's own insight into Go",
}


def why(e: Exchange) -> str | None:
    """The reason, None for what is replayed."""
    if not e.status or (e.ws and e.answer is None):
        return "the recorded connection broke before an answer"
    if e.body is None:
        return "only a digest of the request was recorded"
    if not e.method and (e.answer or b"").rstrip().endswith(b",]"):
        return "go-jsonrpc before 0.10.2 left a comma where a notification was; that is no JSON"
    if not e.method and b'"method"' in e.body and e.status == 200 and _cut(e):
        return "only a part of the answer was recorded"
    if mispaired(e):
        return "the recording pairs it with its neighbour's answer"
    if e.to != "miner":
        return _worker(e)
    for start, reason in _PATHS.items():
        if e.path.startswith(start):
            return reason
    if e.path.rpartition("/")[2] in _refused_streams(e.scenario):
        return "a stream of a call that our miner refuses"
    return REFUSED.get(e.method)


@cache
def _refused_streams(scenario: str) -> frozenset[str]:
    """The UUIDs under which data was to be sent for calls that our miner refuses."""
    refused = [e for e in exchanges(scenario) if e.to == "miner" and e.method in REFUSED]
    readers = [p for e in refused for p in e.params or () if isinstance(p, dict)]
    return frozenset(p["Info"] for p in readers if p.get("Type") == "push")


def mispaired(e: Exchange) -> bool:
    """On a kept connection a few answers were written down one request too late."""
    if not e.paired or _another_result(e):
        return True
    kind = e.answer_header("Content-Type")
    if e.path.startswith("/remote/") and e.status == 200:
        return (e.verb == "DELETE" and kind is not None) or (e.verb == "GET" and kind is None)
    return False


#: Worker methods that no sealer of ours does.
UNSEALED = frozenset(
    {
        "GenerateWindowPoSt", "GenerateWinningPoSt", "ReplicaUpdate", "ProveReplicaUpdate1", "ProveReplicaUpdate2",
        "FinalizeReplicaUpdate", "GenerateSectorKeyFromData", "DownloadSectorData",
    }
)  # fmt: skip


def _worker(e: Exchange) -> str | None:
    if e.method in UNSEALED:
        return "no sealer of ours does it; our worker does not offer it and refuses it"
    if e.path.startswith("/remote/vanilla/"):
        return _VANILLA
    if e.status == 401 and e.sender == "miner":
        return "the recorded worker could not ask its miner, who was away, about the token"
    return None


def _another_result(e: Exchange) -> bool:
    """An equal id by chance, but a result that this method cannot have."""
    spec = methods.MINER.get(e.method) if e.to == "miner" else None
    if spec is None or e.result is None:
        return False
    if spec.result is type(None):
        return not (e.method == "Closing" and e.ws)  # a channel's number
    strings = isinstance(e.result, list) and any(isinstance(entry, str) for entry in e.result)
    return e.method == "StorageFindSector" and strings


def _cut(e: Exchange) -> bool:
    try:
        json.loads(e.answer or b"null")
    except ValueError:
        return not (e.answer or b"").rstrip().endswith((b"]", b"}"))
    return False
