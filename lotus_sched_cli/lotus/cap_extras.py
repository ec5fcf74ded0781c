"""The operator's extras among a worker's caps, to the wire and back (`extras.CapExtras`)."""

from __future__ import annotations

from dataclasses import replace

from lotus_sched_cli.core.caps import Caps

from .extras import CapExtras
from .units import SECOND

__all__ = ["extras_of", "with_extras"]


def extras_of(caps: Caps) -> CapExtras:
    """Those of these caps."""
    return CapExtras(
        caps.force_p1_from_local_ap,
        caps.force_c2_from_local_p2,
        not caps.allow_p2_c2_parallel,
        round(caps.precommit1_interval * SECOND),
        caps.precommit2_prefetch,
    )


def with_extras(caps: Caps, extras: CapExtras) -> Caps:
    """These caps with the extras that somebody told."""
    return replace(
        caps,
        force_p1_from_local_ap=extras.ForceP1FromLocalAP,
        force_c2_from_local_p2=extras.ForceC2FromLocalP2,
        allow_p2_c2_parallel=not extras.ForbidP2C2Parallel,
        precommit1_interval=extras.PreCommit1Interval / SECOND,
        precommit2_prefetch=max(0, extras.PreCommit2Prefetch),
    )
