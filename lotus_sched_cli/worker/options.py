"""What ``lotus-worker run`` was told on its command line. Standard library only: the command's help reads defaults here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Values of ``--sealer``; ``auto`` is proofs where its program is found, else simulated on a simulated chain.
SEALERS: Final = ("auto", "simulated", "proofs", "external")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Every flag of ``lotus-worker run`` with the global ones that concern it.

    ``None`` means *not given, neither by flag nor by environment*: the task switches and caps need to know, since an
    explicit value outranks ``--no-default`` and the operator's resource variables. Durations are seconds. A cap's
    environment name may be left to ``worker.caps``, which looks into ``environ`` where the option is None.
    """

    worker_repo: Path = field(default_factory=lambda: Path("~/.lotusworker").expanduser())
    miner_repo: Path = field(default_factory=lambda: Path("~/.lotusminer").expanduser())
    #: ``--miner-api-url`` of tests and scripts; None: MINER_API_INFO, else the miner's repo.
    miner_api_url: str | None = None
    enable_gpu_proving: bool = True

    listen: str = "0.0.0.0:3456"
    no_local_storage: bool = False
    no_swap: bool = False
    #: None: the host's name.
    name: str | None = None

    addpiece: bool | None = None
    #: None: as ``addpiece``.
    data_cid: bool | None = None
    precommit1: bool | None = None
    unseal: bool | None = None
    precommit2: bool | None = None
    commit: bool | None = None
    replica_update: bool | None = None
    prove_replica_update2: bool | None = None
    regen_sector_key: bool | None = None
    sector_download: bool | None = None
    windowpost: bool | None = None
    winningpost: bool | None = None
    no_default: bool = False

    parallel_fetch_limit: int = 5
    #: These two are taken and without effect: no PoSt is made here.
    post_parallel_reads: int = 32
    post_read_timeout: float = 0.0
    timeout: float = 1800.0
    http_server_timeout: float = 30.0
    external_pc2: str = ""

    precommit1max: int | None = None
    precommit1holdmax: int | None = None
    precommit2max: int | None = None
    commit2max: int | None = None
    forcep2fromlocalp1: bool | None = None
    #: The extras that were given, as text by their names (lotus/caps.py).
    extra_caps: Mapping[str, str] = field(default_factory=dict)

    sealer: str = "auto"
    #: ``--sealer-config FILE``; None: the sealer's ``….toml`` in the worker's repo where there is one.
    sealer_config: Path | None = None

    #: The environment that counts (MINER_API_INFO, LOTUS_WORKER_…, PC1_…, CUDA_VISIBLE_DEVICES); None: the process's.
    environ: Mapping[str, str] | None = None
    #: Seconds between heartbeats, health reports and retried returns; the defaults are Lotus's.
    heartbeat: float = 10.0
    return_retry: float = 5.0
