"""``lotus-miner init``: a repo whole, or nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.miner import init as init_module
from lotus_sched_cli.miner.init import STORE, init
from lotus_sched_cli.miner.options import MinerInitOptions
from lotus_sched_cli.miner.store import Store


def make(tmp_path: Path, **more: object) -> Path:
    given = {"miner_repo": tmp_path / "miner", "repo_text": "~/.lotusminer", "environ": {}} | more
    init(MinerInitOptions(**given))  # type: ignore[arg-type]
    return tmp_path / "miner"


async def metas(repo: Path, *keys: str) -> list[object]:
    store = await Store.open(repo / STORE)
    try:
        return [await store.meta(key) for key in keys]
    finally:
        await store.close()


def test_a_new_repo_has_what_lotus_would_have_made(tmp_path: Path) -> None:
    repo = make(tmp_path, sector_size="2KiB", actor="t01234", first_sector=15)
    made = {p.name for p in repo.iterdir()}
    assert {"config.toml", "storage.json", "sectorstore.json", "keystore", "lotus-sched", STORE} <= made
    assert json.loads((repo / "storage.json").read_text()) == {"StoragePaths": [{"Path": str(repo)}]}
    path = json.loads((repo / "sectorstore.json").read_text())
    assert (path["Weight"], path["CanSeal"], path["CanStore"]) == (10, True, True)
    assert (repo / "keystore").stat().st_mode & 0o777 == 0o700
    facts = asyncio.run(metas(repo, "actor", "sector_size", "first_sector", "chain.proofs"))
    assert facts == [1234, 2048, 15, "stand-in"]


@pytest.mark.parametrize("size", ["2KiB", "8MiB", "512MiB", "32GiB", "64GiB"])
def test_every_sector_size_of_the_field_is_taken(tmp_path: Path, size: str) -> None:
    make(tmp_path, sector_size=size)


def test_without_local_storage_no_path_is_made(tmp_path: Path) -> None:
    repo = make(tmp_path, no_local_storage=True)
    assert not (repo / "sectorstore.json").exists()
    assert json.loads((repo / "storage.json").read_text()) == {"StoragePaths": None}


def test_the_same_repo_twice_is_refused_in_lotus_words(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(UserError, match=r"repo at '~/.lotusminer' is already initialized"):
        make(tmp_path)


def test_a_repo_that_lotus_made_is_left_alone(tmp_path: Path) -> None:
    repo = tmp_path / "miner"
    (repo / "datastore").mkdir(parents=True)
    with pytest.raises(UserError, match=r"made by Lotus itself.*--miner-repo"):
        make(tmp_path)
    assert [p.name for p in repo.iterdir()] == ["datastore"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"sector_size": "3KiB"}, 'invalid value "3KiB" for --sector-size: give one of 2KiB, 8MiB'),
        ({"actor": "f1abc"}, 'invalid value "f1abc" for --actor'),
        ({"proofs": "maybe"}, 'invalid value "maybe" for --proofs: give stand-in or real'),
        ({"first_sector": -1}, '"-1" for --first-sector'),
    ],
)
def test_a_wrong_flag_is_one_line_and_leaves_nothing(
    tmp_path: Path, more: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError) as refused:
        make(tmp_path, **more)
    assert said in refused.value.text and "\n" not in refused.value.text
    assert not list(tmp_path.iterdir())


def test_a_chain_verifies_really_where_the_prover_is_found_and_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"--proofs real needs the program lotus-proofs.*make proofs"
    ) as refused:
        make(tmp_path, proofs="real")
    assert "\n" not in refused.value.text and not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"LOTUS_PROOFS=.*no program"):
        make(tmp_path, environ={"LOTUS_PROOFS": str(tmp_path)})
    program = tmp_path / "lotus-proofs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    by_path = make(tmp_path, environ={"PATH": str(tmp_path)})
    assert asyncio.run(metas(by_path, "chain.proofs")) == ["real"]
    chosen = make(tmp_path, miner_repo=tmp_path / "two", proofs="stand-in", environ={"PATH": str(tmp_path)})
    assert chosen.exists() and asyncio.run(metas(tmp_path / "two", "chain.proofs")) == ["stand-in"]


def test_a_failure_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(init_module.meta, "init_path", full)
    with pytest.raises(UserError, match="No space left on device; choose another folder"):
        make(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_things_in_it_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "miner").mkdir()
    (tmp_path / "miner" / "lost+found").mkdir()
    repo = make(tmp_path)
    assert (repo / "lost+found").is_dir() and (repo / "lotus-sched").is_file()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "miner").write_text("x")
    with pytest.raises(UserError, match="is not a folder"):
        make(tmp_path)
