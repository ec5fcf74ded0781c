"""The unsealed file's format, and RLE+."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotus_sched_cli.storage import rleplus
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.partial import PartialFile, padded

SIZE = 2048


def test_a_new_file_has_nothing(tmp_path: Path) -> None:
    with PartialFile.create(tmp_path / "u", SIZE) as partial:
        assert partial.allocated == () and not partial.has(0, 128)
    assert (tmp_path / "u").stat().st_size == SIZE + 4
    with pytest.raises(StorageError, match=f"creating {tmp_path}/u: file exists"):
        PartialFile.create(tmp_path / "u", SIZE)


def test_a_piece_is_there_once_it_is_written_and_marked(tmp_path: Path) -> None:
    with PartialFile.create(tmp_path / "u", SIZE) as partial:
        partial.write(512, b"a" * 512)
        partial.allocate(512, 512)
        partial.allocate(0, 512)
    with PartialFile.open(tmp_path / "u", SIZE) as again:
        assert again.allocated == ((0, 1024),)
        assert again.has(256, 768) and not again.has(256, 1024)
        assert again.read(512, 4) == b"aaaa"


def test_the_whole_sector_is_marked_as_lotus_marks_it(tmp_path: Path) -> None:
    with PartialFile.create(tmp_path / "u", SIZE) as partial:
        partial.allocate(0, SIZE)
    assert (tmp_path / "u").read_bytes()[SIZE:].hex() == "04100203000000"


def test_freed_ranges_are_gone(tmp_path: Path) -> None:
    size = 1 << 20
    with PartialFile.create(tmp_path / "u", size) as partial:
        partial.write(0, b"x" * size)
        partial.allocate(0, size)
        partial.free(4096, 8192)
        assert partial.allocated == ((0, 4096), (12288, size))
        assert partial.read(4096, 4) in (b"\0\0\0\0", b"xxxx")  # a hole where the file system can
        assert partial.read(12288, 4) == b"xxxx"


def test_a_bare_sector_counts_as_whole(tmp_path: Path) -> None:
    (tmp_path / "u").write_bytes(bytes(SIZE))
    with PartialFile.open(tmp_path / "u", SIZE) as partial:
        assert partial.has(0, SIZE)


@pytest.mark.parametrize(
    "data",
    [bytes(10), bytes(SIZE + 3), bytes(SIZE) + b"\x04\x80\x00\x09\0\0\0", bytes(SIZE) + b"\xff\x01\0\0\0"],
)
def test_what_is_no_unsealed_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "u").write_bytes(data)
    with pytest.raises(StorageError, match=f"{tmp_path}/u is no unsealed file of a 2048 byte sector"):
        PartialFile.open(tmp_path / "u", SIZE)


def test_nothing_is_written_beyond_the_sector(tmp_path: Path) -> None:
    with (
        PartialFile.create(tmp_path / "u", SIZE) as partial,
        pytest.raises(StorageError, match="do not lie within"),
    ):
        partial.write(SIZE - 1, b"xx")


def test_unpadded_offsets() -> None:
    assert padded(1016) == 1024
    with pytest.raises(StorageError, match="not a multiple of 127"):
        padded(1)


@given(st.lists(st.integers(min_value=1, max_value=1 << 36), max_size=12), st.booleans())
def test_rle_plus_comes_back(lengths: list[int], starts_set: bool) -> None:
    spans, at = [], 0
    for turn, length in enumerate(lengths):
        if (turn % 2 == 0) == starts_set:
            spans.append((at, at + length))
        at += length
    assert rleplus.decode(rleplus.encode(spans)) == spans


@given(st.binary(max_size=40))
def test_any_bytes_are_spans_or_a_value_error(data: bytes) -> None:
    try:
        spans = rleplus.decode(data)
    except ValueError:
        return
    assert all(a < b for a, b in spans) and all(x[1] < y[0] for x, y in pairwise(spans))
