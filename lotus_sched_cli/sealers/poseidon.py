"""CommR of two roots: Poseidon over the scalar field of BLS12-381 with two inputs, as the proofs library has it.

For sealers that leave ``p_aux`` and no more (Lotus's ``--external-pc2``); it takes milliseconds and no Rust.
Source: neptune (strength standard, arity 2: 8 full and 55 partial rounds, x^5), the Poseidon paper's Grain LFSR.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

FIELD: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
WIDTH: Final = 3
FULL: Final = 8
PARTIAL: Final = 55
#: What a Merkle tree of arity 2 puts into the first place.
TAG: Final = 3


def comm_r(comm_c: bytes, comm_r_last: bytes) -> bytes:
    """32 bytes, little endian like both inputs. Raises ValueError for what is no field element."""
    inputs = [int.from_bytes(raw, "little") for raw in (comm_c, comm_r_last)]
    if any(len(raw) != 32 for raw in (comm_c, comm_r_last)) or any(value >= FIELD for value in inputs):
        raise ValueError("not two field elements of 32 bytes")
    return _hash([TAG, *inputs]).to_bytes(32, "little")


def _hash(state: list[int]) -> int:
    constants = iter(_constants())
    mix = _mix()
    for number in range(FULL + PARTIAL):
        state = [(value + next(constants)) % FIELD for value in state]
        whole = number < FULL // 2 or number >= FULL // 2 + PARTIAL
        state = [pow(v, 5, FIELD) if whole or place == 0 else v for place, v in enumerate(state)]
        state = [sum(v * mix[i][j] for i, v in enumerate(state)) % FIELD for j in range(WIDTH)]
    return state[1]


@cache
def _mix() -> list[list[int]]:
    """Cauchy's matrix of 0, 1, 2 and 3, 4, 5."""
    return [[pow(i + WIDTH + j, -1, FIELD) for j in range(WIDTH)] for i in range(WIDTH)]


@cache
def _constants() -> tuple[int, ...]:
    bits = _grain()
    found: list[int] = []
    while len(found) < WIDTH * (FULL + PARTIAL):
        value = 0
        for _ in range(FIELD.bit_length()):
            value = value << 1 | next(bits)
        if value < FIELD:
            found.append(value)
    return tuple(found)


def _grain() -> Iterator[int]:
    """The self-shrinking register, set up with the field (1), the s-box (1), its width in bits, and the rounds."""
    text = f"{1:02b}{1:04b}{FIELD.bit_length():012b}{WIDTH:012b}{FULL:010b}{PARTIAL:010b}" + "1" * 30
    state = [int(bit) for bit in text]

    def step() -> int:
        bit = state[62] ^ state[51] ^ state[38] ^ state[23] ^ state[13] ^ state[0]
        state.pop(0)
        state.append(bit)
        return bit

    for _ in range(160):
        step()
    while True:
        if step():
            yield step()
        else:
            step()
