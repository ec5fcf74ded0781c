"""A repo of ours, and one that Lotus made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lotus_sched_cli.lotus.repo import JWT_SECRET, MARKER, Repo, RepoError, default_path, write_atomic


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    got = Repo(tmp_path / "miner", "miner")
    got.init()
    return got


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_repo_is_marked_as_ours_and_made_only_once(repo: Repo) -> None:
    assert repo.is_ours() and repo.exists() and not repo.is_lotus_made()
    assert json.loads((repo.path / MARKER).read_text()) == {"schema": 1, "kind": "miner"}
    assert json.loads((repo.path / "storage.json").read_text()) == {"StoragePaths": None}
    repo.set_storage_paths(["/data"])
    repo.init()
    assert repo.storage_paths() == ["/data"]
    assert (repo.path / "keystore").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("sign", ["datastore", "keystore", "storage.json"])
def test_a_repo_that_lotus_made_is_never_written_to(tmp_path: Path, sign: str) -> None:
    (tmp_path / sign).mkdir()
    (tmp_path / "config.toml").write_text("[API]\n")
    before = files(tmp_path)
    repo = Repo(tmp_path, "worker")
    assert repo.is_lotus_made()
    with pytest.raises(RepoError) as refused:
        repo.init()
    assert str(tmp_path) in str(refused.value) and "--worker-repo" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert files(tmp_path) == before


def test_a_miner_s_repo_is_no_worker_s_and_a_newer_one_is_left_alone(repo: Repo) -> None:
    with pytest.raises(RepoError, match="is a miner's, not a worker's"):
        Repo(repo.path, "worker").init()
    (repo.path / MARKER).write_text('{"schema":99,"kind":"miner"}')
    with pytest.raises(RepoError, match="newer version"):
        repo.init()
    (repo.path / MARKER).write_text("{")
    with pytest.raises(RepoError, match="cannot read"):
        repo.init()
    for text in ("[1]", '{"schema":"a"}'):
        (repo.path / MARKER).write_text(text)
        with pytest.raises(RepoError, match="is not what this program writes"):
            repo.init()


def test_an_init_that_died_half_way_is_completed(tmp_path: Path) -> None:
    write_atomic(tmp_path / MARKER, b'{"schema":1,"kind":"miner"}')
    repo = Repo(tmp_path, "miner")
    repo.init()
    assert repo.storage_paths() == []
    assert len(repo.secret()) == 32


def test_a_second_run_on_the_same_repo_is_refused_in_lotus_s_words(repo: Repo) -> None:
    text = "repo is already locked (process is already running)"
    other = [
        sys.executable,
        "-c",
        f"from lotus_sched_cli.lotus.repo import Repo\nRepo({str(repo.path)!r}).acquire()",
    ]
    with repo.lock():
        with pytest.raises(RepoError, match="already locked"):
            Repo(repo.path).acquire()
        got = subprocess.run(other, capture_output=True, text=True, check=False)
        assert got.stderr.strip().endswith(text)
    assert subprocess.run(other, capture_output=True, check=False).returncode == 0


def test_the_token_is_for_the_owner_only(repo: Repo) -> None:
    assert repo.token() == ""
    old = os.umask(0)
    try:
        repo.set_token("tok")
    finally:
        os.umask(old)
    assert (repo.path / "token").stat().st_mode & 0o777 == 0o600
    assert repo.token() == "tok"


def test_the_api_file_lives_while_the_daemon_runs(repo: Repo) -> None:
    with pytest.raises(RepoError) as stopped:
        repo.api()
    assert str(stopped.value) == (
        f"could not get api endpoint: No file ({repo.path}/api): API not running (no endpoint)"
    )
    repo.set_api("/ip4/127.0.0.1/tcp/2345/http")
    assert repo.api() == "/ip4/127.0.0.1/tcp/2345/http"
    repo.clear_api()
    repo.clear_api()
    assert not (repo.path / "api").exists()


def test_the_secret_is_kept_where_lotus_keeps_it(repo: Repo) -> None:
    secret = repo.secret()
    file = repo.path / "keystore" / "MF2XI2BNNJ3XILLQOJUXMYLUMU"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["Type"] == "jwt-hmac-secret"
    assert repo.secret() == secret and len(secret) == 32
    with pytest.raises(RepoError, match="exists already"):
        repo.put_key(JWT_SECRET, "x", b"")


def test_a_key_that_others_may_read_is_refused(repo: Repo) -> None:
    repo.secret()
    file = repo.path / "keystore" / "MF2XI2BNNJ3XILLQOJUXMYLUMU"
    file.chmod(0o640)
    with pytest.raises(RepoError, match="are too relaxed, required: 0600"):
        repo.secret()
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(RepoError, match="damaged"):
        repo.secret()


@pytest.mark.parametrize("text", ["{", "[]", '{"StoragePaths":[{"path":1}]}', '{"StoragePaths":5}'])
def test_a_broken_storage_json_is_one_line(repo: Repo, text: str) -> None:
    (repo.path / "storage.json").write_text(text)
    with pytest.raises(RepoError, match="is not what Lotus writes") as broken:
        repo.storage_paths()
    assert "\n" not in str(broken.value)
    (repo.path / "storage.json").unlink()
    with pytest.raises(RepoError, match="is missing"):
        repo.storage_paths()


def test_a_place_where_nothing_can_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepoError, match="cannot make a repo at") as refused:
        Repo(tmp_path / "file" / "repo", "miner").init()
    assert "\n" not in str(refused.value)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    write_atomic(file, b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(file, b"new")
    assert files(tmp_path) == {"token": b"old"}


def test_the_first_variable_that_is_set_names_the_repo() -> None:
    envs = ("LOTUS_MINER_PATH", "LOTUS_STORAGE_PATH")
    assert default_path(envs, "~/.lotusminer", {"LOTUS_STORAGE_PATH": "/old"}) == "/old"
    assert (
        default_path(envs, "~/.lotusminer", {"LOTUS_MINER_PATH": "/new", "LOTUS_STORAGE_PATH": "/old"})
        == "/new"
    )
    assert default_path(envs, "~/.lotusminer", {}) == "~/.lotusminer"


@pytest.mark.captures
def test_real_repos_are_known_for_what_they_are(captures: Path, tmp_path: Path) -> None:
    """The folders of recorded repos, rebuilt as their trees list them."""
    for name in ("miner-after-init", "miner-running", "worker-1-running", "worker-2-running"):
        root = tmp_path / name
        for line in (captures / "repo" / name / "tree.txt").read_text().splitlines():
            path = line.split(maxsplit=2)[2]
            if path.endswith("/"):
                (root / path.split("/", 3)[3]).mkdir(parents=True, exist_ok=True)
        assert Repo(root).is_lotus_made(), name
