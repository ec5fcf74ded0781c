"""Which sealer a worker works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.sealers import proofsconfig, prover, simconfig
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.sealers.external import ExternalConfig, ExternalSealer
from lotus_sched_cli.sealers.external import load as load_external
from lotus_sched_cli.sealers.proofs import ProofsSealer
from lotus_sched_cli.sealers.proofsconfig import ProofsConfig
from lotus_sched_cli.sealers.simconfig import SimConfig
from lotus_sched_cli.sealers.simspace import SimSpace
from lotus_sched_cli.sealers.simulated import SimulatedSealer
from lotus_sched_cli.storage.fsstat import SpaceModel

from .options import SEALERS, RunOptions
from .registration import SIMULATED

#: Name of the simulated sealer's settings in a worker's repo.
SETTINGS: Final = "simulated.toml"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sealer, the space model that goes with it (None: the disks' real figures), and a line to say at start.

    ``proves`` is the program's sealer where C2 is its work: that needs parameters.
    """

    sealer: Sealer
    space: SpaceModel | None = None
    note: str = ""
    proves: ProofsSealer | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What can be known before the miner is asked: each sealer's settings that could be meant, and the program."""

    program: Path | None
    simulated: SimConfig | None = None
    proofs: ProofsConfig | None = None
    external: ExternalConfig | None = None


def prepare(options: RunOptions, environ: Mapping[str, str]) -> Prepared:
    """Read the settings, look for the program. Raises UserError for what is wrong whatever the miner says."""
    if options.sealer not in SEALERS:
        raise UserError(f'invalid value "{options.sealer}" for --sealer: give one of {", ".join(SEALERS)}')
    program = prover.find(environ)
    match options.sealer:
        case "simulated":
            if options.external_pc2:
                raise UserError(
                    "--external-pc2 needs a sealer that runs commands, simulated runs none; leave it out"
                )
            return Prepared(program, simulated=_simulated(options))
        case "proofs":
            proofs = _proofs(options)
            found = proofs.program or program or prover.need(environ, "--sealer proofs")
            return Prepared(found, proofs=proofs)
        case "external":
            external = _external(options)
            if external.rest == "proofs":
                program = program or prover.need(environ, "--sealer external with rest = 'proofs'")
            return Prepared(program, external=external)
    return _auto(options, program)


def choose_sealer(
    options: RunOptions,
    version: str,
    miner: str,
    sector_size: int,
    environ: Mapping[str, str],
    prepared: Prepared,
    chain: str = "",
) -> Chosen:
    """By ``--sealer``, ``--sealer-config`` and what the miner's chain is. Raises UserError.

    ``version`` is the text of the miner's ``Version``, ``miner`` its address for errors, ``chain`` what a simulated
    chain takes as proof (``stand-in``, ``real``; empty: not told). ``auto`` goes with the chain: on one that takes
    stand-ins the miner's own worker makes stand-ins too, and a sector cannot be half of each.
    """
    simulated = SIMULATED in version
    match options.sealer:
        case "simulated":
            if not simulated:
                raise UserError(
                    f"--sealer simulated works for a simulated chain only, and the miner at {miner} is on a real one "
                    f"({version}); leave it to a worker that really seals"
                )
            if chain == "real":
                raise UserError(
                    f"the chain of the miner at {miner} verifies each proof, simulated ones cannot pass; leave out "
                    "--sealer simulated, or make a miner with lotus-miner init --proofs stand-in"
                )
            return _pretend(prepared, sector_size, "")
        case "proofs":
            return _real(options, prepared, environ, _mixed(chain))
        case "external":
            return _commands(options, prepared, environ)
    if prepared.program is not None and prepared.proofs is not None and chain != "stand-in":
        return _real(options, prepared, environ, "")
    if not simulated or chain == "real":
        if prepared.program is not None:
            raise UserError(
                f"the chain of the miner at {miner} verifies each proof, and {options.sealer_config} of --sealer-config has "
                "no settings of the sealer proofs; give it a proofs.toml, or leave it out"
            )
        which = "proofs-verifying" if simulated else "real"
        raise UserError(
            f"no sealer for the {which} chain of the miner at {miner} ({version}): the program {prover.PROGRAM} is not here; "
            f"{prover.REMEDY}"
        )
    if options.external_pc2:
        raise UserError("--external-pc2 needs a sealer that runs commands, simulated runs none; leave it out")
    return _pretend(prepared, sector_size, "sealing is simulated: the miner's chain is a simulated one")


def _auto(options: RunOptions, program: Path | None) -> Prepared:
    """The settings must be right for one of the two that may be chosen."""
    if options.sealer_config is None:
        own = _proofs(options)
        return Prepared(own.program or program, _simulated(options), own)
    found: dict[str, SimConfig | ProofsConfig] = {}
    wrong: list[UserError] = []
    for name, read in (("simulated", _simulated), ("proofs", _proofs)):
        try:
            found[name] = read(options)
        except UserError as why:
            wrong.append(why)
    if not found:
        raise wrong[0]
    named = proofs.program if isinstance(proofs := found.get("proofs"), ProofsConfig) else None
    return Prepared(named or program, **found)  # type: ignore[arg-type]


def _pretend(prepared: Prepared, sector_size: int, note: str) -> Chosen:
    config = prepared.simulated
    if config is None:
        raise UserError(
            "the miner's chain takes stand-ins, and the file of --sealer-config has no settings of the simulated sealer; "
            "give it a simulated.toml, or --sealer proofs"
        )
    space = SimSpace(config, sector_size) if config.paths else None
    return Chosen(SimulatedSealer(config), space, note)


def _real(options: RunOptions, prepared: Prepared, environ: Mapping[str, str], note: str) -> Chosen:
    assert prepared.program is not None and prepared.proofs is not None
    sealer: Sealer
    sealer = proofs = ProofsSealer(prepared.program, environ, prepared.proofs, _mark(options))
    if options.external_pc2:
        sealer = ExternalSealer(
            ExternalConfig.of_pc2(options.external_pc2), environ, _mark(options), base=sealer
        )
    return Chosen(sealer, None, note, proofs)


def _commands(options: RunOptions, prepared: Prepared, environ: Mapping[str, str]) -> Chosen:
    assert prepared.external is not None
    base = None
    if prepared.external.rest == "proofs":
        assert prepared.program is not None
        base = ProofsSealer(prepared.program, environ, repo=_mark(options))
    proves = None if TaskType.COMMIT2 in prepared.external.commands else base
    return Chosen(ExternalSealer(prepared.external, environ, _mark(options), base=base), proves=proves)


def _mixed(chain: str) -> str:
    if chain != "stand-in":
        return ""
    return (
        "--sealer proofs on a chain that takes stand-ins: the miner's own worker makes stand-ins too and cannot go on "
        "with real files; make a miner with lotus-miner init --proofs real"
    )


def _mark(options: RunOptions) -> Path:
    """What marks this worker's processes."""
    return options.worker_repo.expanduser().absolute()


def _simulated(options: RunOptions) -> SimConfig:
    if options.sealer_config is not None:
        return simconfig.load(options.sealer_config.expanduser())
    own: Path = options.worker_repo / SETTINGS
    return simconfig.load(own) if own.exists() else SimConfig()


def _proofs(options: RunOptions) -> ProofsConfig:
    if options.sealer_config is not None:
        return proofsconfig.load(options.sealer_config.expanduser())
    own: Path = options.worker_repo / "proofs.toml"
    return proofsconfig.load(own) if own.exists() else ProofsConfig()


def _external(options: RunOptions) -> ExternalConfig:
    own: Path = options.worker_repo / "external.toml"
    file = options.sealer_config.expanduser() if options.sealer_config is not None else own
    if options.external_pc2 and options.sealer_config is None and not own.exists():
        return ExternalConfig.of_pc2(options.external_pc2)
    config = load_external(file)
    return config.with_pc2(options.external_pc2) if options.external_pc2 else config
