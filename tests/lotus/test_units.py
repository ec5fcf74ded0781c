"""Numbers print and read as Lotus's own do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotus_sched_cli.lotus import units

GIB = 1 << 30
S = 1_000_000_000


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1, "1 B"), (2048, "2 KiB"), (34359738368, "32 GiB"), (1008 * GIB, "1008 GiB"),
        (int(1023.97 * GIB), "1024 GiB"), (1356 * GIB, "1.324 TiB"), (1 << 60, "1 EiB"), (8923160000, "8.31 GiB"),
    ],
)  # fmt: skip
def test_sizes_have_four_digits(size: int, text: str) -> None:
    assert units.size_str(size) == text


def test_the_other_two_ways_to_print_a_size() -> None:
    assert units.deci_str(512) == "512 "
    assert units.deci_str(0) == "0 B"
    assert units.deci_str(32 * GIB) == "32 Gi"
    assert units.deci_str(3600 * (1 << 40)) == "3.52 Pi"
    assert units.bytes_size(32 * GIB) == "32GiB"
    assert units.bytes_size(0) == "0B"


@pytest.mark.parametrize(
    ("text", "size"),
    [("2KiB", 2048), ("8MiB", 8 << 20), ("512MiB", 512 << 20), ("32GiB", 32 * GIB), ("64GiB", 64 * GIB),
     ("32G", 32 * GIB), ("32 GiB", 32 * GIB), ("2048", 2048), ("1.5k", 1536), ("32gb", 32 * GIB)],
)  # fmt: skip
def test_sizes_are_read_as_docker_s_library_does(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "abc", "-1", "32XiB", "GiB", "1e3"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size: '"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"), (1, "1ns"), (1500, "1.5µs"), (900_000_000, "900ms"), (9_700_000_000, "9.7s"), (60 * S, "1m0s"),
        (3600 * S, "1h0m0s"), (6769_600_000_000, "1h52m49.6s"), (73984 * S, "20h33m4s"), (-1_200_000_000, "-1.2s"),
        (1726_700_000_000, "28m46.7s"), (1_000_000_001, "1.000000001s"), (100 * 3600 * S, "100h0m0s"), (21600000000000, "6h0m0s"),
    ],
)  # fmt: skip
def test_durations_print_as_go_s(ns: int, text: str) -> None:
    assert units.go_duration(ns) == text
    assert units.parse_duration(text) == ns


@given(st.integers(min_value=-(1 << 62), max_value=1 << 62))
def test_every_duration_can_be_read_again(ns: int) -> None:
    assert units.parse_duration(units.go_duration(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("+5s", 5 * S),
        ("1h30m", 5400 * S),
        (".5s", S // 2),
        ("1.s", S),
        ("1us", 1000),
        ("2m1h", 3720 * S),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, ns: int) -> None:
    assert units.parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("10", 'time: missing unit in duration "10"'),
        ("10x", 'time: unknown unit "x" in duration "10x"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("1h 30m", 'time: unknown unit "h " in duration "1h 30m"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
    ],
)
def test_what_is_no_duration_gets_go_s_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as refused:
        units.parse_duration(text)
    assert str(refused.value) == error


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.05, "0s"), (0.99, "900ms"), (9.79, "9.7s"), (6769.65, "1h52m49.6s"), (3423, "57m3s"), (-1.29, "-1.2s"), (-0.95, "-900ms")],
)  # fmt: skip
def test_ages_are_cut_to_tenths(seconds: float, text: str) -> None:
    assert units.go_age(seconds) == text


def test_times_are_rfc_3339_with_the_digits_they_need() -> None:
    assert units.go_time(0) == "1970-01-01T00:00:00Z"
    assert units.go_time(1605172927.5) == "2020-11-12T09:22:07.5Z"
    assert units.go_time(ns=1605172927_123456789) == "2020-11-12T09:22:07.123456789Z"


def test_money_is_trimmed() -> None:
    assert units.fil(50_000_000_000_000_000) == "0.05 FIL"
    assert units.fil(0) == "0 FIL"
    assert units.fil_short(0) == "0"
    assert units.fil_short("1500000000000000000") == "1.5 FIL"
    assert units.fil_short(50 * 10**15) == "50 mFIL"
    assert units.fil_short(59_604_643_840) == "59.605 nFIL"
    assert units.fil_short(5 * 10**25) == "50000000 FIL"
    assert units.fil_short(12_340_000 * 10**6) == "12.34 μFIL"


def test_ranges_of_sector_numbers() -> None:
    assert units.parse_ranges("5,7-9") == [(5, 5), (7, 9)]
    assert units.format_runs([(5, 5), (7, 9)]) == "5,7-9"
    assert units.format_runs([]) == "0"
    for text, error in (
        ("1-3,4-5", "run 1 start(4) was equal to last run end(4)"),
        ("5-3", "run start(5) can't be greater than run end(3) (run 0)"),
        ("a", 'parsing run bound: strconv.ParseUint: parsing "a": invalid syntax'),
    ):
        with pytest.raises(ValueError) as refused:
            units.parse_ranges(text)
        assert str(refused.value) == error


@given(st.sets(st.integers(min_value=0, max_value=500)))
def test_bit_fields_travel_as_runs(numbers: set[int]) -> None:
    runs = units.runs_of_rle(units.rle_encode(numbers))
    assert [n for first, last in runs for n in range(first, last + 1)] == sorted(numbers)


def test_bit_fields_as_lotus_writes_them() -> None:
    assert units.rle_encode([5]) == [5, 1]
    assert units.rle_encode([]) == [0]
    assert units.rle_encode([0, 1, 2]) == [0, 3]
    assert units.runs_of_rle([5, 3, 2, 1]) == [(5, 7), (10, 10)]


@pytest.mark.captures
def test_recorded_sizes_and_ages_of_a_real_farm_print_the_same(captures: Path) -> None:
    state = captures / "cli" / "state"
    lists = "".join(file.read_text() for file in state.glob("*storage_list*.stdout.txt"))
    assert units.size_str(270553174016) == "252 GiB"
    assert "/252 GiB" in lists
    ages = re.findall(
        r" ([0-9.hms]+s)$",
        "".join(f.read_text() for f in state.glob("*sealing_jobs*.stdout.txt")),
        re.MULTILINE,
    )
    assert len(ages) > 40
    assert [units.go_age(units.parse_duration(age) / 1e9 + 1e-6) for age in ages] == ages
