"""Exchanges that are not replayed, each with its reason; docs/interop.md shows the list."""

from __future__ import annotations

from .recording import Exchange

#: Lotus method → why our miner answers otherwise.
REFUSED: dict[str, str] = {
    "SectorsRefs": "Lotus's own handler panics (a miner without a market); ours answers that there are none",
    "SectorGetExpectedSealDuration": "Lotus's own handler panics (a miner without a market)",
    "CheckProvable": "needs proofs of a chain; our miner refuses it",
    "ComputeWindowPoSt": "needs proofs of a chain; our miner refuses it",
    "ComputeDataCid": "our miner refuses it",
    "SectorAddPieceToAny": "our miner seals committed capacity only and refuses it",
    "SectorMarkForUpgrade": "our miner seals committed capacity only and refuses it",
    "SectorUnseal": "our miner refuses it",
    "SectorSetSealDelay": "our miner has no deals to wait for and refuses it",
}
#: Streams and PoSt files that belong to them.
_PATHS = {
    "/rpc/streams/v0/push/": "a stream of a call that our miner refuses",
    "/remote/vanilla/": "needs proofs of a chain; our miner serves none",
    "/debug/": "Go's own insight into Go",
}


def why(e: Exchange) -> str | None:
    """The reason, None for what is replayed."""
    if not e.status:
        return "the recorded connection broke before an answer"
    if e.body is None:
        return "only a digest of the request was recorded"
    if _mispaired(e):
        return "the recording pairs it with its neighbour's answer"
    if e.to != "miner":
        return _worker(e)
    for start, reason in _PATHS.items():
        if e.path.startswith(start) and e.status != 400:
            return reason
    if e.method == "SealingRemoveRequest" and e.error is None:
        return "names a request in the memory of the recorded process"
    return REFUSED.get(e.method)


def _mispaired(e: Exchange) -> bool:
    """On a kept connection a few answers were written down one request too late."""
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
        return "needs the vanilla proofs of a real sector"
    if e.status == 401 and e.sender == "miner":
        return "the recorded worker could not ask its miner, who was away, about the token"
    return None
