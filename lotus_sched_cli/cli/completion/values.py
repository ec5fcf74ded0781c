"""Names that only a running miner knows: workers, sectors, jobs. Asked for by completion scripts, so it must be quick.

No answer within 100 ms, no miner, no right: then there is nothing to offer, and nothing is said.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

#: Seconds that a miner may take.
PATIENCE: Final = 0.1
_REPO: Final = ("miner-repo", "storagerepo")
_ENVIRON: Final = ("LOTUS_MINER_PATH", "LOTUS_STORAGE_PATH")


def lines(kind: str, typed: Sequence[str]) -> list[str]:
    """The candidates; ``typed`` are the words of the command line, read for its ``--miner-repo``."""
    try:
        return _READERS[kind](typed)
    except Exception:
        # Whatever it is, the operator is typing: he will hear of it from the command itself.
        return []


def _call(typed: Sequence[str], method: str, *params: Any) -> Any:
    from lotus_sched_cli.lotus import apiinfo
    from lotus_sched_cli.lotus.rpc.oneshot import OneShot

    known = next((os.environ[name] for name in _ENVIRON if name in os.environ), "~/.lotusminer")
    repo = _given(typed, _REPO) or known
    url = _given(typed, ("miner-api-url",))
    info = apiinfo.find(apiinfo.MINER, url=url, repo=repo, warn=lambda text: None)
    with OneShot(info.url, info.token, timeout=PATIENCE) as peer:
        return peer.call(method, *params)


def _given(typed: Sequence[str], names: Sequence[str]) -> str:
    words = [w for w in typed if w != "="]
    for word, after in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name in names:
            return value if equals else after
    return ""


def _workers(typed: Sequence[str]) -> list[str]:
    stats: dict[str, Any] = _call(typed, "WorkerStats") or {}
    return sorted({s["Info"]["Hostname"] for s in stats.values()})


def _sectors(typed: Sequence[str]) -> list[str]:
    return [str(n) for n in sorted(_call(typed, "SectorsList") or [])]


def _jobs(typed: Sequence[str]) -> list[str]:
    jobs: dict[str, Any] = _call(typed, "WorkerJobs") or {}
    return sorted(job["ID"]["ID"][:8] for rows in jobs.values() for job in rows if job["RunWait"] >= 0)


_READERS: Final = {"workers": _workers, "sectors": _sectors, "jobs": _jobs}
