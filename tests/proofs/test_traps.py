"""The seven ways in which the library bites: each is sprung here, and handled."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import (
    BAD_INPUT,
    INVALID_PROOF,
    OK,
    REPLICA_TOUCHED,
    Program,
    Sector,
    b64,
    random_bytes,
)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Returns once the file is there while the process runs."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, "the process ended before it wrote the file"
        assert time.monotonic() < deadline
        time.sleep(0.005)


# 1: PreCommit2 encodes the replica in place.


def test_a_finished_precommit2_asked_again_gives_its_first_result(sector: Sector) -> None:
    sector.fill()
    request = sector.precommit1()
    first = sector.precommit2(request)
    replica = sector.sealed.read_bytes()
    again = sector.program.run("precommit2", request)
    assert (again.code, again.result) == (OK, first)
    assert again.said("done before")
    assert sector.sealed.read_bytes() == replica
    assert sector.commit1().code == OK


def test_a_second_precommit2_that_nothing_stops_is_caught_by_the_trial(sector: Sector) -> None:
    """The trap itself: without marker and trees the library encodes twice and is content."""
    sector.fill()
    request = sector.precommit1()
    first = sector.precommit2(request)
    for name in ("lotus-proofs-pc2.json", "p_aux", "t_aux", "sc-02-data-tree-r-last.dat"):
        (sector.cache / name).unlink()
    tried = sector.program.run("precommit2", request)
    assert tried.code == INVALID_PROOF
    (sector.cache / "lotus-proofs-pc2.json").unlink()
    for name in ("p_aux", "t_aux", "sc-02-data-tree-r-last.dat"):
        (sector.cache / name).unlink()
    trusted = sector.program.run("precommit2", request | {"CheckRounds": 0})
    assert trusted.code == OK and trusted.result != first


def test_a_killed_precommit2_goes_back_to_precommit1_and_the_sector_is_sealed(
    program: Program, tmp_path: Path
) -> None:
    sector = Sector(program, tmp_path, proof=6, number=5)
    sector.fill()
    request = sector.precommit1()
    process = program.start("precommit2", request)
    wait_for(sector.cache / "lotus-proofs-pc2.json", process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    refused = program.run("precommit2", request)
    assert refused.code == REPLICA_TOUCHED
    assert "precommit1" in refused.error
    sector.precommit2(sector.precommit1())
    assert sector.commit1().code == OK


def test_the_work_of_another_program_is_seen_by_its_trees(sector: Sector) -> None:
    sector.fill()
    request = sector.precommit1()
    (sector.cache / "sc-02-data-tree-r-last.dat").write_bytes(b"")
    refused = sector.program.run("precommit2", request)
    assert refused.code == REPLICA_TOUCHED and "another program" in refused.error


# 2: PreCommit1 takes old layers for its own.


def test_a_new_ticket_in_an_old_cache_folder_seals_as_in_a_new_one(sector: Sector, tmp_path: Path) -> None:
    sector.fill()
    sector.precommit2(sector.precommit1())
    sector.ticket = b"\x33" * 32
    again = sector.precommit2(sector.precommit1())
    (tmp_path / "fresh").mkdir()
    fresh = Sector(sector.program, tmp_path / "fresh", ticket=sector.ticket)
    fresh.seal()
    assert again == fresh.cids
    assert sector.commit1().code == OK


def test_precommit1_killed_in_the_middle_begins_anew(program: Program, tmp_path: Path) -> None:
    sector = Sector(program, tmp_path, proof=6, number=6)
    sector.fill()
    process = program.start("precommit1", sector.precommit1_request())
    wait_for(sector.cache / "sc-02-data-layer-1.dat", process)
    process.kill()
    process.wait()
    sector.precommit2(sector.precommit1())
    assert sector.commit1().code == OK


def test_a_folder_that_is_no_cache_is_not_emptied(sector: Sector) -> None:
    sector.fill()
    sector.cache.mkdir()
    (sector.cache / "thesis.tex").write_text("years of work")
    refused = sector.program.run("precommit1", sector.precommit1_request())
    assert refused.code == BAD_INPUT and "thesis.tex" in refused.error
    assert (sector.cache / "thesis.tex").exists()


# 3: unsealing overwrites the data tree.


def test_unsealing_before_commit1_leaves_the_sector_whole(sector: Sector) -> None:
    sector.seal()
    before = {path.name: path.read_bytes() for path in sector.cache.iterdir()}
    scratch, output = sector.folder / "scratch", sector.folder / "output"
    request = sector.unseal_request(0, sector.capacity, Output=str(output), Scratch=str(scratch))
    answer = sector.program.run("unseal-range", request)
    assert answer.code == OK, answer.error
    assert output.read_bytes() == sector.data
    assert {path.name: path.read_bytes() for path in sector.cache.iterdir()} == before
    assert list(scratch.iterdir()) == []
    assert sector.commit1().code == OK


def test_what_a_killed_unseal_left_goes_with_the_next(sealed: Sector, tmp_path: Path) -> None:
    left = tmp_path / "lotus-proofs-scratch-1-abc"
    left.mkdir()
    (left / "sc-02-data-tree-d.dat").write_bytes(b"labels")
    left.with_suffix(".lock").touch()
    (tmp_path / "lotus-proofs-scratch-2-def.lock").touch()
    request = sealed.unseal_request(0, 127, Output=str(tmp_path / "out"), Scratch=str(tmp_path))
    assert sealed.program.run("unseal-range", request).code == OK
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# 4: an offset that is no multiple of 127.


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 1), (1, 1), (126, 2), (127, 127), (5, 300), (1000, 1032), (2031, 1), (0, 2032)]
)
def test_any_offset_gives_the_bytes_that_went_in(
    sealed: Sector, tmp_path: Path, offset: int, size: int
) -> None:
    output = tmp_path / "output"
    answer = sealed.program.run("unseal-range", sealed.unseal_request(offset, size, Output=str(output)))
    assert answer.code == OK, answer.error
    assert output.read_bytes() == sealed.data[offset : offset + size]


@pytest.mark.parametrize(("offset", "size"), [(0, 0), (0, 2033), (2032, 1), (2**64 - 1, 2)])
def test_outside_of_the_sector_there_is_nothing(sealed: Sector, offset: int, size: int) -> None:
    refused = sealed.program.run("unseal-range", sealed.unseal_request(offset, size, Output="/tmp/never"))
    assert refused.code == BAD_INPUT and "2032" in refused.error


def test_an_unseal_killed_while_it_marks_leaves_a_file_to_go_on_with(sealed: Sector, tmp_path: Path) -> None:
    """The list of the whole file is shorter than that of its second half, whose end stands behind it for a moment."""
    file = tmp_path / "unsealed"
    request = sealed.unseal_request(1016, 1016)
    request["Paths"] = request["Paths"] | {"Unsealed": str(file)}
    assert sealed.program.run("unseal-range", request).code == OK
    half, whole = file.read_bytes(), sealed.unsealed.read_bytes()
    assert len(half) > len(whole)
    file.write_bytes(whole + half[len(whole) :])
    assert sealed.program.run("unseal-range", request).code == OK
    assert file.read_bytes() == whole
    file.write_bytes(b"")
    assert sealed.program.run("unseal-range", request | {"Offset": 0, "Size": 2032}).code == OK
    assert file.read_bytes() == whole


def test_a_piece_unseals_into_lotus_s_unsealed_file(sealed: Sector, tmp_path: Path) -> None:
    """Twice, in two halves: what is written is marked, and the whole equals what addpiece had written."""
    file = tmp_path / "unsealed"
    request = sealed.unseal_request(1016, 1016)
    request["Paths"] = request["Paths"] | {"Unsealed": str(file)}
    assert sealed.program.run("unseal-range", request).code == OK
    assert file.read_bytes()[1024:2048] == sealed.unsealed.read_bytes()[1024:2048]
    assert file.read_bytes()[2048:] != sealed.unsealed.read_bytes()[2048:]
    assert sealed.program.run("unseal-range", request | {"Offset": 0}).code == OK
    assert file.read_bytes() == sealed.unsealed.read_bytes()
    refused = sealed.program.run("unseal-range", request | {"Offset": 1})
    assert refused.code == BAD_INPUT and "127" in refused.error


# 5: add piece believes what it is told.


@pytest.mark.parametrize(
    ("given", "words"), [(1015, "ended after 1015 of 1016"), (1017, "goes on after 1016")]
)
def test_a_piece_of_another_length_than_said_is_refused(sector: Sector, given: int, words: str) -> None:
    piece = sector.folder / "piece"
    piece.write_bytes(random_bytes("piece", given))
    request = sector.request(NewPieceSize=1016, PieceData=str(piece))
    refused = sector.program.run("addpiece", request)
    assert refused.code == BAD_INPUT and words in refused.error
    # It was written in part, and does not count as written.
    second = sector.program.run("addpiece", request | {"PieceSizes": [1016]})
    assert second.code == BAD_INPUT and "lacks" in second.error


@pytest.mark.parametrize(
    ("before", "size", "words"),
    [
        ([1016, 1016], 127, "too small"),
        ([], 4064, "too small"),
        ([127], 1016, "no multiple of its size"),
        ([], 1000, "power of two"),
        ([128], 127, "power of two"),
    ],
)
def test_a_piece_that_does_not_fit_is_refused(
    sector: Sector, before: list[int], size: int, words: str
) -> None:
    zeros = {"Type": "null", "Info": str(size)}
    request = sector.request(PieceSizes=before, NewPieceSize=size, PieceData=zeros)
    refused = sector.program.run("addpiece", request)
    assert refused.code == BAD_INPUT and words in refused.error
    assert not sector.unsealed.exists()


def test_pieces_one_by_one_are_the_sector_as_one(sector: Sector, sealed: Sector) -> None:
    """Their commitments combine: PreCommit1 checks them against the data."""
    sector.number = sealed.number
    data, sizes = sealed.data, [1016, 508, 254, 127, 127]
    for index, size in enumerate(sizes):
        start = sum(sizes[:index])
        (sector.folder / "piece").write_bytes(data[start : start + size])
        request = sector.request(
            PieceSizes=sizes[:index], NewPieceSize=size, PieceData=str(sector.folder / "piece")
        )
        answer = sector.program.run("addpiece", request)
        assert answer.code == OK, answer.error
        sector.pieces.append(answer.result)
    assert sector.unsealed.read_bytes() == sealed.unsealed.read_bytes()
    assert sector.precommit2(sector.precommit1()) == sealed.cids


# 6: the sealed file must exist.


def test_precommit1_makes_the_sealed_file_and_the_cache_folder(sector: Sector) -> None:
    sector.fill()
    assert not sector.sealed.exists() and not sector.cache.exists()
    sector.precommit1()
    assert sector.sealed.stat().st_size == sector.size


# 7: the parent cache is taken on trust.


@pytest.mark.parametrize("damage", ["zeroed", "cut", "empty", "one byte"])
def test_a_broken_parent_cache_is_found_and_made_again(
    program: Program, sealed: Sector, tmp_path: Path, damage: str
) -> None:
    parents = tmp_path / "parents"
    own = Program(program.path, program.environment | {"FIL_PROOFS_PARENT_CACHE": str(parents)})
    sector = Sector(own, tmp_path, number=sealed.number)
    sector.fill()
    sector.precommit1()
    (file,) = parents.glob("*.cache")
    whole = file.read_bytes()
    broken = {
        "zeroed": bytes(len(whole)),
        "cut": whole[:1000],
        "empty": b"",
        "one byte": whole[:-1] + bytes([whole[-1] ^ 1]),
    }
    # In place, as a process leaves it that was killed while it made the file.
    file.write_bytes(broken[damage])
    os.utime(file, ns=(1, 1))
    request = sector.precommit1()
    assert file.read_bytes() == whole
    assert sector.precommit2(request) == sealed.cids


def test_a_checked_parent_cache_is_not_read_again(program: Program, tmp_path: Path) -> None:
    own = Program(program.path, program.environment | {"FIL_PROOFS_PARENT_CACHE": str(tmp_path / "parents")})
    sector = Sector(own, tmp_path)
    sector.fill()
    sector.precommit1()
    request = sector.precommit1_request()
    assert not own.run("precommit1", request).said("checking the parent cache")
    assert own.run("precommit1", request, FIL_PROOFS_VERIFY_CACHE="1").said("checking the parent cache")


def test_the_wrong_ticket_is_found_by_commit1(sealed: Sector) -> None:
    request = sealed.commit1_request() | {"Ticket": b64(b"\x44" * 32)}
    refused = sealed.program.run("commit1", request)
    assert refused.code == INVALID_PROOF, refused.error


def test_a_tampered_cache_file_is_found_by_commit1(sector: Sector) -> None:
    sector.seal()
    layer = sector.cache / "sc-02-data-layer-1.dat"
    layer.write_bytes(bytes(sector.size))
    refused = sector.commit1()
    assert refused.code == INVALID_PROOF, refused.error
