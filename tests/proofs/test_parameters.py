"""Groth parameters: found cut, made once, and what comes of them. Needs those of 2KiB in the cache folder."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

from .conftest import INVALID_PROOF, NO_PARAMETERS, OK, Program, Sector, b64


def in_folder(program: Program, folder: Path) -> Program:
    return Program(program.path, program.environment | {"FIL_PROOFS_PARAMETER_CACHE": str(folder)})


def files(folder: Path) -> tuple[Path, Path]:
    (parameters,) = folder.glob("*.params")
    return parameters, parameters.with_suffix(".vk")


def verify_request(sector: Sector, proof: str) -> dict[str, object]:
    return {
        "SealProof": sector.proof,
        "SectorID": sector.request()["Sector"]["ID"],
        "Randomness": b64(sector.ticket),
        "InteractiveRandomness": b64(sector.seed),
        "Proof": proof,
        "SealedCID": sector.cids["Sealed"],
        "UnsealedCID": sector.cids["Unsealed"],
    }


def test_without_parameters_commit2_and_verify_say_so_at_once(sealed: Sector) -> None:
    request = {"Sector": sealed.request()["Sector"], **sealed.commit1().result}
    for answer in (
        sealed.program.run("commit2", request),
        sealed.program.run("verify", verify_request(sealed, b64(bytes(192)))),
        sealed.program.run("params", {"ProofType": 5}),
    ):
        assert answer.code == NO_PARAMETERS
        assert "is missing" in answer.error and "FIL_PROOFS_PARAMETER_CACHE" in answer.error


def test_those_of_the_main_network_are_not_made_here(program: Program) -> None:
    answer = program.run("params", {"ProofType": 8, "Make": True})
    assert answer.code == 2 and "not made here" in answer.error


@pytest.mark.parametrize("length", [0, 3, 4708, 100_000])
def test_cut_parameters_are_found_by_their_own_lengths(
    sealed: Sector, parameters: Path, tmp_path: Path, length: int
) -> None:
    """Whole they have a gigabyte; where they were cut does not matter."""
    whole, _ = files(parameters)
    with whole.open("rb") as file:
        (tmp_path / whole.name).write_bytes(file.read(length))
    program = in_folder(sealed.program, tmp_path)
    request = {"Sector": sealed.request()["Sector"], **sealed.commit1().result}
    answer = program.run("commit2", request)
    assert answer.code == NO_PARAMETERS and f"is cut: {length}" in answer.error


def test_a_broken_or_foreign_verifying_key_is_taken_anew_from_the_parameters(
    sealed: Sector, parameters: Path, tmp_path: Path
) -> None:
    whole, key = files(parameters)
    (tmp_path / whole.name).symlink_to(whole)
    program = in_folder(sealed.program, tmp_path)
    good = key.read_bytes()
    for broken in (b"", good[:100], good[:50] + bytes([good[50] ^ 1]) + good[51:]):
        (tmp_path / key.name).write_bytes(broken)
        assert program.run("params", {"ProofType": 5}).code == NO_PARAMETERS
        answer = program.run("verify", verify_request(sealed, b64(bytes(192))))
        assert answer.code == INVALID_PROOF, answer.error
        assert (tmp_path / key.name).read_bytes() == good


def test_of_two_makers_the_second_waits_and_takes_what_the_first_made(
    program: Program, parameters: Path, tmp_path: Path
) -> None:
    whole, key = files(parameters)
    cut = tmp_path / whole.name
    cut.write_bytes(b"cut")
    own = in_folder(program, tmp_path)
    with (tmp_path / "lotus-proofs-params-2048.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            own.command("params"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=own.environment,
        )
        assert second.stdin and second.stdout and second.stderr
        second.stdin.write(json.dumps({"ProofType": 5, "Make": True}))
        second.stdin.close()
        while "waiting" not in second.stderr.readline():
            assert second.poll() is None
        cut.unlink()
        cut.symlink_to(whole)
    assert second.wait(timeout=60) == OK
    assert json.loads(second.stdout.read())["Made"] is False
    assert (tmp_path / key.name).read_bytes() == key.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(
    "LOTUS_PROOFS_MAKE" not in os.environ, reason="ten minutes and 5 GB: set LOTUS_PROOFS_MAKE=1"
)
def test_cut_parameters_are_made_again(program: Program, parameters: Path, tmp_path: Path) -> None:
    whole, _ = files(parameters)
    (tmp_path / whole.name).write_bytes(b"cut")
    left = tmp_path / "lotus-proofs-scratch-1-dead"
    left.mkdir()
    own = in_folder(program, tmp_path)
    answer = own.run("params", {"ProofType": 5, "Make": True})
    assert answer.code == OK, answer.error
    assert answer.result["Made"] is True and answer.said("TEST NETWORKS ONLY")
    assert own.run("params", {"ProofType": 5}).code == OK
    assert not left.exists()
    assert "test networks only" in (tmp_path / whole.name).with_suffix(".test-network-only.json").read_text()


@pytest.mark.slow
def test_a_sector_from_data_to_a_proof_that_holds(program: Program, parameters: Path, tmp_path: Path) -> None:
    own = in_folder(program, parameters)
    sector = Sector(own, tmp_path, number=9)
    sector.seal()
    committed = own.run("commit2", {"Sector": sector.request()["Sector"], **sector.commit1().result})
    assert committed.code == OK, committed.error
    proof = committed.result["Proof"]
    assert len(base64.b64decode(proof)) == 192
    request = verify_request(sector, proof)
    assert own.run("verify", request).result == {"Valid": True}

    flipped = bytearray(base64.b64decode(proof))
    flipped[5] ^= 1
    for wrong in (
        {"Proof": b64(bytes(flipped))},
        {"Proof": b64(base64.b64decode(proof)[:-1])},
        {"Proof": ""},
        {"Randomness": b64(sector.seed)},
        {"InteractiveRandomness": b64(sector.ticket)},
        {"SectorID": {"Miner": 1000, "Number": 10}},
        {"SectorID": {"Miner": 1001, "Number": 9}},
    ):
        assert own.run("verify", request | wrong).code == INVALID_PROOF
    # Lotus trusts only the field's own parameters when told so.
    refused = own.run("verify", request, FIL_PROOFS_VERIFY_PRODUCTION_PARAMS="1")
    assert refused.code == NO_PARAMETERS
