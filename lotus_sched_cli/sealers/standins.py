"""Stand-in files: Lotus's names at Lotus's places, a few bytes each, and the sizes of what they stand for.

Source of names: filecoin-proofs' cache folder (see Lotus ``storage/sealer/tarutil/systar.go``).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from lotus_sched_cli.core.proofs import GIB, KIB, sdr_layers, sector_size
from lotus_sched_cli.core.tasks import FileType

NODE: Final = 32
#: Up to this size a stand-in has the length of what it stands for.
TRUE_LENGTH: Final = 16 * KIB

TREE_D: Final = "sc-02-data-tree-d.dat"
P_AUX: Final = "p_aux"
T_AUX: Final = "t_aux"


def layers(proof: int) -> list[str]:
    return [f"sc-02-data-layer-{n}.dat" for n in range(1, sdr_layers(proof) + 1)]


def trees(kind: str, proof: int) -> list[str]:
    """Names of the trees of a kind, ``c`` or ``r-last``: one for small sectors, 8 for 32GiB, 16 for 64GiB."""
    count = _trees(sector_size(proof))
    if count == 1:
        return [f"sc-02-data-tree-{kind}.dat"]
    return [f"sc-02-data-tree-{kind}-{n}.dat" for n in range(count)]


def kept_when_final(proof: int) -> frozenset[str]:
    """What FinalizeSector leaves in the cache folder."""
    return frozenset({P_AUX, T_AUX, *trees("r-last", proof)})


def write(file: Path, about: dict[str, Any], size: int) -> None:
    """One line of JSON that says what the file is; zeros up to the true length where that is small."""
    text = json.dumps({"stand-in": file.name} | about, separators=(",", ":"), sort_keys=True) + "\n"
    data = text.encode()
    file.write_bytes(data.ljust(size, b"\0")[:size] if NODE < size <= TRUE_LENGTH else data)


def read(file: Path) -> dict[str, Any] | None:
    """What the file says of itself; None where there is no stand-in."""
    try:
        first = file.open("rb").readline(4096)
        found = json.loads(first)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "stand-in" in found else None


def digest(*parts: bytes | str) -> bytes:
    """32 bytes that depend on every part."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little") + raw)
    return state.digest()


def field_element(raw: bytes) -> bytes:
    """The same 32 bytes below the order of the proofs' field, as commitments are."""
    return raw[:-1] + bytes([raw[-1] & 0x3F])


def pretended(file_type: FileType, name: str, size: int) -> int:
    """Bytes of the file that a stand-in of this name stands for, in a sector of ``size`` bytes."""
    if file_type is FileType.CACHE or file_type is FileType.UPDATE_CACHE:
        return _cache_file(name, size)
    return size


def _cache_file(name: str, size: int) -> int:
    if name.startswith("sc-02-data-layer-"):
        return size
    if name == TREE_D:
        return 2 * size - NODE
    leaves = size // NODE // _trees(size)
    if name.startswith("sc-02-data-tree-c"):
        return sum(_rows(leaves)) * NODE
    if name.startswith("sc-02-data-tree-r-last"):
        rows = _rows(leaves)
        return sum(rows[1 + max(0, min(2, len(rows) - 2)) :]) * NODE
    return 64 if name == P_AUX else 1 * KIB


def _rows(leaves: int) -> list[int]:
    """Rows of a tree of arity 8, the leaves first."""
    rows = [leaves]
    while rows[-1] > 1:
        rows.append(max(1, rows[-1] // 8))
    return rows


def _trees(size: int) -> int:
    return {32 * GIB: 8, 64 * GIB: 16}.get(size, 1)
