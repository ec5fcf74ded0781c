"""Which sealer ``--sealer`` gives: what is found here decides, then what the miner's chain takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.sealers.external import ExternalSealer
from lotus_sched_cli.sealers.proofs import TASKS, ProofsSealer
from lotus_sched_cli.worker.choice import Chosen, choose_sealer, prepare
from lotus_sched_cli.worker.options import RunOptions

SIMULATED, MAINNET = "0.1.0+simulated", "v1.36.2-dev+mainnet+git.0123abcd"
MINER = "/ip4/127.0.0.1/tcp/2345/http"


class Host:
    """A worker's machine, with the program on its PATH or without it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        self.environ = {"PATH": str(self.bin), "HOME": str(root)}

    def build(self) -> Path:
        program = self.bin / "lotus-proofs"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        return program

    def choose(self, version: str, chain: str = "", **flags: object) -> Chosen:
        options = RunOptions(worker_repo=self.root / "w1", **flags)  # type: ignore[arg-type]
        prepared = prepare(options, self.environ)
        return choose_sealer(options, version, MINER, 2048, self.environ, prepared, chain)

    def refused(self, version: str, chain: str = "", **flags: object) -> str:
        with pytest.raises(UserError) as why:
            self.choose(version, chain, **flags)
        assert "\n" not in why.value.text
        return why.value.text


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# -- auto: the program is found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "chain"), [(MAINNET, ""), (SIMULATED, "real"), (SIMULATED, "")], ids=str)
def test_where_the_program_is_found_sealing_is_real(host: Host, version: str, chain: str) -> None:
    program = host.build()
    chosen = host.choose(version, chain)
    assert isinstance(chosen.sealer, ProofsSealer) and chosen.sealer.program == program
    assert not chosen.sealer.simulated and chosen.sealer.tasks() == TASKS and not chosen.note


def test_a_chain_of_stand_ins_gets_stand_ins_and_a_line_says_so(host: Host) -> None:
    """The miner's own worker makes stand-ins there, and a sector cannot be half of each."""
    host.build()
    chosen = host.choose(SIMULATED, "stand-in")
    assert chosen.sealer.simulated and "simulated" in chosen.note
    mixed = host.choose(SIMULATED, "stand-in", sealer="proofs")
    assert not mixed.sealer.simulated and "init --proofs real" in mixed.note


# -- auto: it is not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chain", ["", "stand-in"])
def test_without_the_program_a_simulated_chain_gets_stand_ins_and_a_line_says_so(
    host: Host, chain: str
) -> None:
    chosen = host.choose(SIMULATED, chain)
    assert chosen.sealer.simulated
    assert chosen.note == "sealing is simulated: the miner's chain is a simulated one"


@pytest.mark.parametrize(("version", "chain"), [(MAINNET, ""), (SIMULATED, "real")], ids=str)
def test_without_the_program_a_chain_that_verifies_is_refused_with_the_way_to_get_it(
    host: Host, version: str, chain: str
) -> None:
    text = host.refused(version, chain)
    assert "lotus-proofs is not here" in text and "make proofs" in text and "LOTUS_PROOFS" in text
    assert MINER in text


# -- asked for by name ------------------------------------------------------------------------------------------------


def test_pretending_on_a_chain_that_verifies_is_refused(host: Host) -> None:
    assert "real one" in host.refused(MAINNET, sealer="simulated")
    assert "verifies each proof" in host.refused(SIMULATED, "real", sealer="simulated")


def test_a_program_of_that_name_that_is_none_is_told_by_its_variable(host: Host) -> None:
    host.environ["LOTUS_PROOFS"] = str(host.root / "nowhere")
    for sealer in ("auto", "proofs"):
        assert f"LOTUS_PROOFS={host.root}/nowhere is no program" in host.refused(MAINNET, sealer=sealer)


def test_lotuss_own_flag_gives_pc2_a_command_and_leaves_the_rest_to_the_program(host: Host) -> None:
    assert "--external-pc2" in host.refused(SIMULATED, external_pc2="/opt/pc2.sh")
    host.build()
    chosen = host.choose(MAINNET, external_pc2="/opt/pc2.sh")
    assert isinstance(chosen.sealer, ExternalSealer) and chosen.sealer.tasks() == TASKS
    assert chosen.sealer.config.commands == {TaskType.PRECOMMIT2: "/opt/pc2.sh"}


def test_commands_alone_offer_only_themselves_and_the_rest_needs_the_program(host: Host) -> None:
    settings = host.root / "external.toml"
    settings.write_text("[commands]\nPC1 = 'true'\n")
    chosen = host.choose(MAINNET, sealer="external", sealer_config=settings)
    assert chosen.sealer.tasks() == {TaskType.PRECOMMIT1, TaskType.FETCH}
    settings.write_text("rest = 'proofs'\n[commands]\nPC1 = 'true'\n")
    assert "make proofs" in host.refused(MAINNET, sealer="external", sealer_config=settings)
    host.build()
    assert host.choose(MAINNET, sealer="external", sealer_config=settings).sealer.tasks() == TASKS


def test_the_program_that_the_settings_name_counts_as_found(host: Host) -> None:
    named = host.build().rename(host.root / "elsewhere")
    (host.root / "w1").mkdir()
    (host.root / "w1/proofs.toml").write_text(f'program = "{named}"\n')
    chosen = host.choose(MAINNET)
    assert isinstance(chosen.sealer, ProofsSealer) and chosen.sealer.program == named


@pytest.mark.parametrize("chain", ["stand-in", "real"])
def test_settings_of_one_sealer_are_no_settings_of_another(host: Host, chain: str) -> None:
    host.build()
    settings = host.root / "settings.toml"
    settings.write_text("speed = 2.0\n" if chain == "real" else "[limits]\nPC1 = '9h'\n")
    text = host.refused(SIMULATED, chain, sealer_config=settings)
    assert "--sealer-config" in text
