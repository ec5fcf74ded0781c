"""What whoever calls the program relies on: exit codes, one line of error, results in one piece, its end."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import BAD_INPUT, FAILED, NO_SPACE, OK, Program, Sector, b64


def test_it_says_what_it_is(program: Program) -> None:
    answer = program.run("version", "")
    assert answer.code == OK
    assert answer.result["Program"] == "lotus-proofs" and answer.result["Contract"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command"),
        (["precommit3"], "precommit3"),
        (["verify", "--fast"], "--fast"),
        (["verify", "--log", "xml"], "xml"),
        (["verify", "--parent", "me"], "me"),
        (["verify", "--result"], "--result"),
        (["verify", "--output", "x"], "--output"),
        (["verify", "version"], "version"),
    ],
)
def test_a_wrong_command_line_is_one_line(program: Program, arguments: list[str], words: str) -> None:
    done = subprocess.run([program.path, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == BAD_INPUT
    assert done.stderr.startswith("ERROR: ") and words in done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Tickets": ""}, "Tickets"),
        ({"Ticket": b64(b"short")}, "Ticket has 5 bytes"),
        ({"Ticket": "%%%"}, "base64"),
        ({"Sector": {"ID": {"Miner": 1, "Number": 1}, "ProofType": 99}}, "99"),
        ({"Sector": {"ID": {"Miner": 1, "Number": 1}, "ProofType": 15}}, "non-interactive"),
        ({"Pieces": []}, "0 padded bytes"),
        ({"Pieces": [{"Size": 2048, "PieceCID": {"/": "bafy"}}]}, "bafy"),
        ({"Paths": {}}, "Paths.Unsealed"),
        ({"Paths": {"Unsealed": "/nowhere", "Sealed": "/nowhere", "Cache": "/nowhere"}}, "/nowhere"),
    ],
)
def test_a_wrong_request_says_what_and_begins_nothing(
    sector: Sector, change: dict[str, object], words: str
) -> None:
    sector.fill()
    answer = sector.program.run("precommit1", sector.precommit1_request() | change)
    assert answer.code == BAD_INPUT
    assert words in answer.error and "\n" not in answer.error
    assert answer.result["Error"]["Kind"] == "bad-input"
    assert answer.log[-1]["level"] == "error" and answer.log[-1]["msg"] == answer.error
    assert not sector.sealed.exists() and not sector.cache.exists()


def test_a_request_that_is_no_json(program: Program) -> None:
    answer = program.run("verify", '{"Sector":')
    assert answer.code == BAD_INPUT and "no JSON" in answer.error


def test_a_truncated_output_of_an_earlier_phase_is_the_field_s_error(sealed: Sector) -> None:
    whole = sealed.commit1().result["Commit1Out"]
    request = {"Sector": sealed.request()["Sector"], "Commit1Out": whole[: len(whole) // 8 * 4]}
    answer = sealed.program.run("commit2", request)
    assert answer.code == BAD_INPUT and "EOF while parsing" in answer.error


def test_big_outputs_go_by_file_and_paths_start_where_the_caller_stands(sector: Sector) -> None:
    sector.fill()
    request = sector.precommit1_request() | {
        "Paths": {"Unsealed": "unsealed", "Sealed": "sealed", "Cache": "cache"}
    }
    (sector.folder / "request.json").write_text(json.dumps(request))
    flags = ["--request", "request.json", "--result", "result.json", "--output", "pc1.json"]
    answer = sector.program.run("precommit1", "", *flags, cwd=sector.folder)
    assert (answer.code, answer.result) == (OK, {})
    result = json.loads((sector.folder / "result.json").read_text())
    output = sector.folder / "pc1.json"
    assert result == {"PreCommit1OutFile": str(output), "Size": output.stat().st_size}
    assert json.loads(output.read_bytes())["_lotus_SealRandomness"] == b64(sector.ticket)
    sector.precommit2(sector.request(PreCommit1OutFile=str(output)))
    assert sector.commit1().code == OK


def test_a_settings_file_of_the_library_where_the_caller_stands_is_not_read(sector: Sector) -> None:
    (sector.folder / "rust-fil-proofs.config.toml").write_text('parent_cache = "/proc/forbidden"')
    sector.fill()
    environment = {key: value for key, value in sector.program.environment.items() if "PARENT" not in key}
    bare = Program(sector.program.path, environment | {"FIL_PROOFS_CACHE_DIR": f"{sector.folder}/"})
    answer = bare.run("precommit1", sector.precommit1_request(), cwd=sector.folder)
    assert answer.code == OK, answer.error
    assert list((sector.folder / "filecoin-parents").glob("*.cache"))


def test_a_panic_of_the_library_is_one_line(sealed: Sector, parameters: Path) -> None:
    """A proof without labels: the library indexes into nothing, in a thread of its own."""
    output = json.loads(base64.b64decode(sealed.commit1().result["Commit1Out"]))
    output["vanilla_proofs"]["StackedDrg2KiBV1"][0][0]["labeling_proofs"] = []
    request = {"Sector": sealed.request()["Sector"], "Commit1Out": b64(json.dumps(output).encode())}
    answer = sealed.program.run("commit2", request, FIL_PROOFS_PARAMETER_CACHE=str(parameters))
    assert answer.code == FAILED
    assert answer.error.startswith("the proofs library gave up: index out of bounds")
    assert answer.log[-1]["msg"] == answer.error


def test_an_unread_standard_output_that_is_full_is_no_space(program: Program) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            program.command("version"), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == NO_SPACE
    assert "No space left" in done.stderr


def test_a_full_disk_is_told_before_anything_is_written(program: Program, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        sector = Sector(program, small, proof=6)
        zeros = {"Type": "null", "Info": str(sector.capacity)}
        added = program.run("addpiece", sector.request(NewPieceSize=sector.capacity, PieceData=zeros))
        sector.pieces = [added.result]
        answer = program.run("precommit1", sector.precommit1_request())
        assert answer.code == NO_SPACE
        assert "are free" in answer.error
    finally:
        subprocess.run(["umount", str(small)], check=True)


#: What may stand where an output is to go and is no plain file, by its maker, and the program's word for it.
ODD = {
    "a symbolic link": lambda path: path.symlink_to(path.with_name("elsewhere")),
    "a folder": lambda path: path.mkdir(),
    "a named pipe": os.mkfifo,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "a device": lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
}


@pytest.mark.parametrize("flag", ["--output", "--result", "Output"])
@pytest.mark.parametrize("kind", ODD)
def test_an_output_that_is_no_plain_file_is_refused_before_any_work(
    sector: Sector, sealed: Sector, flag: str, kind: str
) -> None:
    odd = sector.folder / "odd"
    try:
        ODD[kind](odd)
    except PermissionError:
        pytest.skip("making a device node needs root")
    before = odd.lstat()
    if flag == "Output":
        request = sealed.unseal_request(0, 127, Output=str(odd))
        refused = sector.program.run("unseal-range", request)
    else:
        sector.fill()
        refused = sector.program.run("precommit1", sector.precommit1_request(), flag, str(odd))
    assert (refused.code, refused.result["Error"]["Kind"]) == (BAD_INPUT, "bad-input")
    wanted = f"{flag} {odd}: is {kind}; name a plain file, or one that is not there yet"
    assert refused.error == wanted
    assert (odd.lstat().st_ino, odd.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not (sector.folder / "elsewhere").exists()
    assert not sector.cache.exists() and not sector.sealed.exists()
    assert not list(sector.folder.glob("*.part")) and not list(sector.folder.glob("*.new"))


@pytest.mark.parametrize("flag", ["--output", "--result"])
@pytest.mark.parametrize(
    ("name", "words"), [("gone/file", "its folder is not there"), ("new/", "is a folder")]
)
def test_an_output_that_could_not_be_put_there_is_refused_before_any_work(
    sector: Sector, flag: str, name: str, words: str
) -> None:
    sector.fill()
    answer = sector.program.run("precommit1", sector.precommit1_request(), flag, f"{sector.folder}/{name}")
    assert answer.code == BAD_INPUT and words in answer.error
    assert not sector.cache.exists() and not sector.sealed.exists()


def test_a_part_that_is_a_link_or_another_s_is_not_written(sealed: Sector, tmp_path: Path) -> None:
    target, part = tmp_path / "target", tmp_path / "out.part"
    target.write_text("years of work")
    part.symlink_to(target)
    request = sealed.unseal_request(0, 127, Output=str(tmp_path / "out"))
    refused = sealed.program.run("unseal-range", request)
    assert refused.code == BAD_INPUT and f"{part}: is a symbolic link" in refused.error
    assert target.read_text() == "years of work"
    part.unlink()
    with part.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused = sealed.program.run("unseal-range", request)
        assert refused.code == FAILED and "another process is writing it" in refused.error
        assert part.exists() and not (tmp_path / "out").exists()
    assert sealed.program.run("unseal-range", request).code == OK
    assert (tmp_path / "out").read_bytes() == sealed.data[:127] and not part.exists()


def test_an_output_that_is_there_already_is_replaced(sealed: Sector, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.write_bytes(b"old" * 1000)
    (tmp_path / "out.part").write_bytes(b"left by a kill" * 100)
    request = sealed.unseal_request(0, 127, Output=str(output))
    assert sealed.program.run("unseal-range", request).code == OK
    assert output.read_bytes() == sealed.data[:127]


def test_memory_and_time_are_on_the_last_line(sector: Sector) -> None:
    sector.fill()
    answer = sector.program.run("precommit1", sector.precommit1_request())
    done = answer.log[-1]
    assert done["msg"] == "done"
    assert 1 << 20 < done["max_rss"] < 64 << 20 and done["seconds"] < 60
    assert done["user_seconds"] >= 0 and done["system_seconds"] >= 0


def test_a_log_for_people_is_text(sector: Sector) -> None:
    run = [sector.program.path, "finalize"]
    done = subprocess.run(run, input="{}", capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1].split("\t")
    assert done.returncode == BAD_INPUT
    assert last[1:3] == ["ERROR", "proofs"] and "Sector" in last[3]


# Whose child it is.


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_kill_9_of_the_parent_ends_the_child_at_once(program: Program) -> None:
    parent_code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    command = [sys.executable, "-c", parent_code, *program.command("verify")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 30
    # The child must have got to the point where it asks the kernel for this.
    while Path(f"/proc/{child}/cwd").resolve() != Path(f"/proc/{child}") and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    parent.kill()
    parent.wait()
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not alive(child)


def test_a_child_whose_parent_is_gone_already_does_not_begin(program: Program) -> None:
    answer = program.run("version", "", "--parent", "1")
    assert answer.code == BAD_INPUT and "whoever started this is gone" in answer.error
    assert program.run("version", "", "--parent", str(os.getpid())).code == OK


def test_terminated_it_ends_by_the_signal(program: Program) -> None:
    process = subprocess.Popen(program.command("verify"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.terminate()
    assert process.wait() == -signal.SIGTERM


# Finalize.


def test_finalize_keeps_what_unsealing_and_post_need(sector: Sector) -> None:
    sector.seal()
    (sector.cache / "lotus-proofs-pc2.json.123.new").write_text("left by a kill")
    assert sector.program.run("finalize", sector.request()).code == OK
    assert {path.name for path in sector.cache.iterdir()} == {"p_aux", "t_aux", "sc-02-data-tree-r-last.dat"}
    output = sector.folder / "output"
    request = sector.unseal_request(3, 1000, Output=str(output))
    assert sector.program.run("unseal-range", request).code == OK
    assert output.read_bytes() == sector.data[3:1003]


def test_finalize_before_precommit2_is_refused(sector: Sector) -> None:
    sector.fill()
    sector.precommit1()
    before = {path.name for path in sector.cache.iterdir()}
    refused = sector.program.run("finalize", sector.request())
    assert refused.code == BAD_INPUT and "p_aux" in refused.error
    assert {path.name for path in sector.cache.iterdir()} == before


def test_a_synthetic_proof_s_sector_goes_the_same_way(program: Program, tmp_path: Path) -> None:
    sector = Sector(program, tmp_path, proof=10, number=3)
    sector.seal()
    assert (sector.cache / "syn-porep-vanilla-proofs.dat").exists()
    assert sector.commit1().code == OK
    assert program.run("finalize", sector.request()).code == OK
    assert not (sector.cache / "syn-porep-vanilla-proofs.dat").exists()


def test_datacid_is_addpiece_s_cid(sealed: Sector) -> None:
    piece = str(sealed.folder / "piece")
    answer = sealed.program.run("datacid", {"PieceSize": 2032, "PieceData": piece})
    assert (answer.code, answer.result) == (OK, sealed.pieces[0])


# What hostile or unlucky input does.


@pytest.mark.parametrize("flag", ["--request", "--result=", "--output"])
def test_a_path_that_is_no_utf_8_is_a_path_like_others(sector: Sector, flag: str) -> None:
    sector.fill()
    odd = sector.folder / os.fsdecode(b"not \xff utf-8")
    request = json.dumps(sector.precommit1_request())
    odd.write_text(request)
    arguments = [f"{flag}{odd}"] if flag.endswith("=") else [flag, str(odd)]
    answer = sector.program.run("precommit1", "" if flag == "--request" else request, *arguments)
    assert answer.code == OK, answer.error
    assert (odd.read_text() == request) == (flag == "--request")


def test_nor_does_the_folder_of_the_caller_or_a_strange_variable_end_a_task(sector: Sector) -> None:
    sector.fill()
    here = sector.folder / os.fsdecode(b"\xe9t\xe9")
    here.mkdir()
    strange = {"PWD": str(here), os.fsdecode(b"N\xff"): "x"}
    request = sector.precommit1_request()
    answer = sector.program.run("precommit1", request, "--output", "out", cwd=here, **strange)
    assert answer.code == OK, answer.error
    assert (here / "out").exists() and answer.result["PreCommit1OutFile"].endswith("/out")
    relative = {name: f"../{Path(path).name}" for name, path in request["Paths"].items()}
    refused = sector.program.run("precommit1", request | {"Paths": relative}, cwd=here)
    assert refused.code == BAD_INPUT and "Paths.Unsealed" in refused.error and "UTF-8" in refused.error
    refused = sector.program.run("precommit1", request, FIL_PROOFS_PARENT_CACHE=str(here))
    assert refused.code == BAD_INPUT and "FIL_PROOFS_PARENT_CACHE" in refused.error


def test_control_characters_of_a_path_do_not_reach_a_terminal(program: Program, tmp_path: Path) -> None:
    request = json.dumps({"PieceSize": 127, "PieceData": "\x1b[2J\r\n\x07"})
    run = [program.path, "datacid"]
    done = subprocess.run(run, input=request.encode(), capture_output=True, check=False)
    assert done.returncode == BAD_INPUT
    assert not set(done.stderr) & {0x1B, 0x07, 0x0D} and b"\\u{1b}[2J" in done.stderr


@pytest.mark.parametrize(
    ("task", "change", "words"),
    [
        ("addpiece", {"NewPieceSize": 127 << 57}, "NewPieceSize"),
        ("addpiece", {"NewPieceSize": 127 << 30}, "more than the largest sector"),
        ("addpiece", {"PieceSizes": [127 << 56, 127 << 56]}, "PieceSizes"),
        ("addpiece", {"NewPieceSize": -1}, "-1"),
        ("addpiece", {"NewPieceSize": 1e300}, "1e+300"),
        ("addpiece", {"Paths": []}, "Paths"),
        ("precommit1", {"Pieces": "2048, twice 2^63"}, "padded bytes"),
        ("precommit1", {"Sector": {"ID": {"Miner": 2**64, "Number": 1}, "ProofType": 5}}, "e+19"),
        ("precommit1", {"Sector": None}, "null"),
        ("vanilla", {"Challenge": {}}, "map"),
    ],
)
def test_numbers_and_types_that_cannot_be_are_bad_input(
    sector: Sector, task: str, change: dict[str, object], words: str
) -> None:
    sector.seal()
    zeros = {"Type": "null"}
    piece = sector.pieces[0]
    requests = {
        "addpiece": sector.request(PieceSizes=[], NewPieceSize=2032, PieceData=zeros),
        "precommit1": sector.precommit1_request(),
        "vanilla": sector.request(ProofType=10, SealedCID=sector.cids["Sealed"], Challenge=[1]),
    }
    if change.get("Pieces"):
        change = {"Pieces": [piece, {**piece, "Size": 2**63}, {**piece, "Size": 2**63}]}
    before = {path: path.read_bytes() for path in sector.folder.rglob("*") if path.is_file()}
    answer = sector.program.run(task, requests[task] | change)
    assert answer.code == BAD_INPUT and words in answer.error and "gave up" not in answer.error
    assert {path: path.read_bytes() for path in sector.folder.rglob("*") if path.is_file()} == before


def test_nested_requests_and_numbers_beyond_all_are_no_json(program: Program) -> None:
    for text in ('{"a":' + "[" * 100_000, '{"a":1e999}', '{"a":"\\ud800"}', "\x00", '{"a":1}{"a":2}'):
        answer = program.run("verify", text)
        assert answer.code == BAD_INPUT and "no JSON" in answer.error


@pytest.mark.parametrize("kind", ["a folder", "a named pipe", "a device"])
@pytest.mark.parametrize("name", ["unsealed", "sealed"])
def test_a_sector_s_file_that_is_none_is_refused_and_not_waited_for(
    sector: Sector, name: str, kind: str
) -> None:
    sector.fill()
    sector.request()
    odd = sector.folder / name
    odd.unlink(missing_ok=True)
    try:
        ODD[kind](odd)
    except PermissionError:
        pytest.skip("making a device node needs root")
    requests = {"precommit1": sector.precommit1_request()}
    if name == "unsealed":
        zeros = {"Type": "null"}
        requests["addpiece"] = sector.request(PieceSizes=[], NewPieceSize=2032, PieceData=zeros)
    for task, request in requests.items():
        answer = sector.program.run(task, request)
        assert answer.code == BAD_INPUT
        assert f"{odd}: is {kind}, not a sector's file" in answer.error


# Two tasks of one sector.


def waits_for(process: subprocess.Popen[str], file: Path) -> bool:
    """Whether it comes to wait for a lock on the file, before it ends."""
    wanted = f":{file.stat().st_ino} "
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        blocked = [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
        if any(f" {process.pid} " in line and wanted in line for line in blocked):
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize(
    "task", ["precommit1", "precommit2", "commit1", "finalize", "addpiece", "unseal-range"]
)
def test_a_task_waits_for_another_s_process_that_works_on_the_same_files(sector: Sector, task: str) -> None:
    """As where a cancelled one is not dead yet: two at once would write each other's layers."""
    sector.fill()
    first = sector.precommit1()
    if task not in ("precommit1", "precommit2"):
        sector.precommit2(first)
    zeros = {"Type": "null"}
    requests = {
        "precommit1": sector.precommit1_request,
        "precommit2": lambda: first,
        "commit1": sector.commit1_request,
        "finalize": sector.request,
        "addpiece": lambda: sector.request(PieceSizes=[], NewPieceSize=2032, PieceData=zeros),
        "unseal-range": lambda: sector.unseal_request(0, 2032),
    }
    held = sector.unsealed if task in ("addpiece", "unseal-range") else sector.cache
    handle = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        process = sector.program.start(task, requests[task]())
        assert waits_for(process, held)
        fcntl.flock(handle, fcntl.LOCK_UN)
        process.communicate(timeout=60)
        assert process.returncode == OK
    finally:
        os.close(handle)


def test_two_precommit2_at_once_give_one_result(sector: Sector) -> None:
    sector.fill()
    request = sector.precommit1()
    both = [sector.program.start("precommit2", request) for _ in range(2)]
    results = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    assert results[0] == results[1] and "Sealed" in results[0]
    sector.cids = results[0]
    assert sector.commit1().code == OK


def test_two_pieces_unsealed_at_once_are_both_marked(sealed: Sector, tmp_path: Path) -> None:
    file = tmp_path / "unsealed"
    halves = []
    for offset in (0, 1016):
        request = sealed.unseal_request(offset, 1016, Scratch=str(tmp_path))
        request["Paths"] = request["Paths"] | {"Unsealed": str(file)}
        halves.append(sealed.program.start("unseal-range", request))
    assert [process.wait(60) for process in halves] == [OK, OK]
    assert file.read_bytes() == sealed.unsealed.read_bytes()
