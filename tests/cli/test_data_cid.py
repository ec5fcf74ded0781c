"""``sealing data-cid``: a file is streamed to a worker through the miner, or refused before anything is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

from lotus_sched_cli.cli.commands.miner_data_cid import humanized, unpadded_size

from .conftest import FakeApi, Run


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    farm = Farm(tmp_path)
    yield farm
    farm.stop()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "expected 1 or 2 arguments; got 0"),
        (["a", "1KiB", "c"], "expected 1 or 2 arguments; got 3"),
        (["/nope.bin"], "opening source file: open /nope.bin: no such file or directory; "),
        (["{file}", "1KiB"], "file larger than the piece; it has 2032 bytes, a piece of 1KiB holds 1016"),
        (["{file}", "3KiB"], "checking piece size: padded piece size must be a power of 2; "),
        (["{file}", "64"], "checking piece size: minimum piece size is 128 bytes; "),
        (["{file}", "big"], "parsing piece size: 'big' is no size; "),
    ],
)
def test_what_cannot_be_a_piece_is_refused(
    words: list[str], text: str, api: FakeApi, miner: Run, tmp_path: Path
) -> None:
    (tmp_path / "piece.bin").write_bytes(bytes(2032))
    given = [word.replace("{file}", str(tmp_path / "piece.bin")) for word in words]
    assert miner("sealing", "data-cid", *given).error.startswith(text)
    assert not api.calls


def test_sizes_are_gos_and_pieces_the_next_that_holds_the_file() -> None:
    assert [humanized(t) for t in ("32GiB", "1048576", "2 KiB", "1KB", "1.5k")] == [
        32 << 30, 1 << 20, 2048, 1000, 1500,
    ]  # fmt: skip
    assert [unpadded_size(n, "") for n in (1, 127, 128, 2032, 2033)] == [127, 127, 254, 2032, 4064]
    assert unpadded_size(500, "2KiB") == 2032


def test_a_worker_computes_the_cid_of_a_file_and_zeros_fill_the_piece(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    farm.worker("worker-1", "--sealer", "simulated", "--sealer-config", sealer(farm, DC=0.01))
    file = farm.root / "piece.bin"
    file.write_bytes(bytes(2032))
    cid, size = farm.cli("miner", "sealing", "data-cid", str(file)).stdout.rstrip("\n").split("   ")
    assert cid.startswith("baga6ea4seaq") and size == "2048"
    file.write_bytes(bytes(500))
    out = farm.cli("miner", "sealing", "data-cid", "--format", "json", str(file), "2KiB").stdout
    assert json.loads(out)["cid"].startswith("baga6ea4seaq") and json.loads(out)["size"] == 2048
    assert farm.cli("miner", "sealing", "data-cid", str(file)).stdout.endswith("   512\n")


def test_without_a_worker_it_says_so(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    file = farm.root / "piece.bin"
    file.write_bytes(bytes(100))
    run = farm.cli("miner", "sealing", "data-cid", str(file), check=False)
    assert run.returncode == 1 and "no worker that takes DataCid (DC) is connected" in run.stderr
