"""Seal proof numbers, sector sizes and the space that sector files take.

Sources: go-state-types ``abi/sector.go``; Lotus ``storage/sealer/storiface/filetype.go`` (space tables).
"""

from __future__ import annotations

from typing import Final

from .tasks import FileType, PathType

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

#: Sector sizes in bytes, in the order of the proof numbers.
SECTOR_SIZES: Final = (2 * KIB, 8 * MIB, 512 * MIB, 32 * GIB, 64 * GIB)
SIZE_NAMES: Final = {
    2 * KIB: "2KiB",
    8 * MIB: "8MiB",
    512 * MIB: "512MiB",
    32 * GIB: "32GiB",
    64 * GIB: "64GiB",
}
#: The size part of resource variables: ``PC1_32G_MAX_CONCURRENT``.
SIZE_ENV: Final = {2 * KIB: "2K", 8 * MIB: "8M", 512 * MIB: "512M", 32 * GIB: "32G", 64 * GIB: "64G"}

#: First number of each family: V1 0–4, V1_1 5–9, V1_1 synthetic 10–14, V1_2 NI-PoRep 15–19.
V1, V1_1, SYNTHETIC, NI_POREP = 0, 5, 10, 15


def sector_size(proof: int) -> int:
    """Bytes of a sector of this seal proof. Raises ValueError for a number that is none."""
    if not 0 <= proof < 20:
        raise ValueError(f"no seal proof has number {proof}")
    return SECTOR_SIZES[proof % 5]


def seal_proof(size: int, family: int = V1_1) -> int:
    """The seal proof number of a sector size in bytes. Raises ValueError for a size that is none."""
    try:
        return SECTOR_SIZES.index(size) + family
    except ValueError:
        raise ValueError(f"no sector has {size} bytes; sizes are {', '.join(SIZE_NAMES.values())}") from None


def proof_bytes(proof: int) -> int:
    """Length of a seal proof in bytes."""
    big = proof % 5 >= 3
    if proof >= NI_POREP:
        return 23092 if big else 14164
    return 1920 if big else 192


def sdr_layers(proof: int) -> int:
    """Layers that PreCommit1 leaves behind."""
    return 11 if proof % 5 >= 3 else 2


def unpadded(padded: int) -> int:
    """Bytes of data in a padded size (127 of each 128)."""
    return padded // 128 * 127


#: Tenths of the sector size while sealing, and once finalized.
_SEALING: Final = {
    FileType.UNSEALED: 10,
    FileType.SEALED: 10,
    FileType.CACHE: 141,
    FileType.UPDATE: 10,
    FileType.UPDATE_CACHE: 21,
    FileType.PIECE: 10,
}
_FINALIZED: Final = {**_SEALING, FileType.CACHE: 1, FileType.UPDATE_CACHE: 1}


def space(types: FileType, size: int, path_type: PathType = PathType.SEALING) -> int:
    """Bytes that these files of a sector of ``size`` bytes need on a path of that type."""
    table = _SEALING if path_type is PathType.SEALING else _FINALIZED
    return sum(table[t] * size // 10 for t in types.each())
