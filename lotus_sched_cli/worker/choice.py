"""Which sealer a worker works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.sealers.simconfig import SimConfig, load
from lotus_sched_cli.sealers.simspace import SimSpace
from lotus_sched_cli.sealers.simulated import SimulatedSealer
from lotus_sched_cli.storage.fsstat import SpaceModel

from .options import SEALERS, RunOptions
from .registration import SIMULATED

#: Name of the simulated sealer's settings in a worker's repo.
SETTINGS: Final = "simulated.toml"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sealer, the space model that goes with it (None: the disks' real figures), and a line to say at start."""

    sealer: Sealer
    space: SpaceModel | None = None
    note: str = ""


def choose_sealer(options: RunOptions, version: str, miner: str, sector_size: int) -> Chosen:
    """By ``--sealer``, ``--sealer-config`` and what the miner's chain is. Raises UserError.

    ``version`` is the text of the miner's ``Version``, ``miner`` its address for errors.
    """
    if options.sealer not in SEALERS:
        raise UserError(f'invalid value "{options.sealer}" for --sealer: give one of {", ".join(SEALERS)}')
    if options.sealer in ("proofs", "external"):
        raise UserError(f"--sealer {options.sealer} is not part of this version yet; simulated is")
    if options.external_pc2:
        raise UserError("--external-pc2 needs a sealer that runs commands, simulated runs none; leave it out")
    if SIMULATED not in version:
        if options.sealer == "simulated":
            raise UserError(
                f"--sealer simulated works for a simulated chain only, and the miner at {miner} is on a real one "
                f"({version}); leave it to a worker that really seals"
            )
        raise UserError(
            f"no sealer for the real chain of the miner at {miner} ({version}): this version seals only simulated "
            "chains (lotus-miner init makes one)"
        )
    config = _config(options)
    note = (
        "" if options.sealer == "simulated" else "sealing is simulated: the miner's chain is a simulated one"
    )
    space = SimSpace(config, sector_size) if config.paths else None
    return Chosen(SimulatedSealer(config), space, note)


def _config(options: RunOptions) -> SimConfig:
    if options.sealer_config is not None:
        return load(options.sealer_config.expanduser())
    own: Path = options.worker_repo / SETTINGS
    return load(own) if own.exists() else SimConfig()
