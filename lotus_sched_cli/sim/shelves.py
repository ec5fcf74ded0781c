"""Files on the disks of a simulated farm: every change is told to the scheduler as a worker would declare it."""

from __future__ import annotations

from lotus_sched_cli.core.events import Event, FilesDeclared, FilesDropped
from lotus_sched_cli.core.needs import CACHE, P1_OUTPUT, UNSEALED
from lotus_sched_cli.core.proofs import space
from lotus_sched_cli.core.tasks import FILE_TYPE_SETS, FileType, PathType

from .clock import Clock
from .things import Disk, Host, Job, Sector, bits


class Shelves:
    """``inbox`` takes the events, ``touched`` the hosts and ``unsettled`` the disks on which something has changed."""

    def __init__(self, sector_size: int, clock: Clock, inbox: list[Event], touched: dict[Host, None]) -> None:
        self._clock = clock
        self._inbox = inbox
        self._touched = touched
        self._sealing = {bit: space(FileType(bit), sector_size) for bit in (1, 2, 4)}
        self._final = {bit: space(FileType(bit), sector_size, PathType.STORAGE) for bit in (1, 2, 4)}
        self.unsettled: dict[Disk, None] = {}

    def size(self, types: int, final: bool = False) -> int:
        """Bytes of these file types of a sector."""
        table = self._final if final else self._sealing
        return sum(table[bit] for bit in bits(types))

    # -- room --------------------------------------------------------------------------------------------------------

    def reserve(self, job: Job, need: dict[Disk, int]) -> bool:
        """Keep room for what the job will write; False if a disk has it not."""
        if any(disk.available < size for disk, size in need.items()):
            return False
        for disk, size in need.items():
            self._change(disk, reserved=size)
            job.reserved[disk] = size
        self._touched[job.host] = None
        return True

    def release(self, job: Job) -> None:
        """The job is over; what it has not written is free again."""
        for disk, size in job.reserved.items():
            self._change(disk, reserved=-size)
        job.reserved = {}

    def _change(self, disk: Disk, used: int = 0, reserved: int = 0) -> None:
        disk.change(self._clock.now, used, reserved)
        self.unsettled[disk] = None

    # -- files -------------------------------------------------------------------------------------------------------

    def put(
        self, sector: Sector, types: int, disk: Disk, *, job: Job | None, sizes: dict[int, int] | None = None
    ) -> None:
        """Files are there now: made by the job, brought by it, or lying there from the start (None)."""
        files = sector.files.setdefault(disk, {})
        for bit in bits(types):
            size = self._sealing[bit] if sizes is None else sizes[bit]
            kept = min(size, job.reserved.get(disk, 0)) if job is not None else 0
            self._change(disk, used=size - files.get(bit, 0), reserved=-kept)
            if job is not None and kept:
                job.reserved[disk] -= kept
            files[bit] = size
        host = disk.worker
        host.sectors[sector.number] = sector
        if types & P1_OUTPUT and disk.seals:
            hold(host, sector.number, (disk.id, "files"))
        self._touched[host] = None
        by = host.id if job is not None else None
        self._inbox.append(FilesDeclared(disk.id, sector.id, FILE_TYPE_SETS[types], True, by))

    def drop(self, sector: Sector, types: int, disk: Disk) -> None:
        """Files of the sector leave the disk."""
        files = sector.files.get(disk)
        gone = sum(bit for bit in bits(types) if files is not None and bit in files)
        if files is None or not gone:
            return
        for bit in bits(gone):
            self._change(disk, used=-files.pop(bit))
        host = disk.worker
        if not any(bit & P1_OUTPUT for bit in files):
            unhold(host, sector.number, (disk.id, "files"))
        if not files:
            del sector.files[disk]
        if not any(other.worker is host for other in sector.files):
            host.sectors.pop(sector.number, None)
        self._touched[host] = None
        self._inbox.append(FilesDropped(disk.id, sector.id, FILE_TYPE_SETS[gone]))

    def shrink_cache(self, sector: Sector) -> None:
        """FIN: the layers go, a tenth of the sector's size stays."""
        for disk, files in sector.files.items():
            if CACHE in files:
                self._change(disk, used=self._final[CACHE] - files[CACHE])
                files[CACHE] = self._final[CACHE]
                self._touched[disk.worker] = None

    def bring(self, sector: Sector, types: int, target: Disk, job: Job) -> None:
        """Files have arrived; their source is deleted, as Lotus moves them."""
        for disk in list(sector.files):
            moved = {bit: size for bit, size in sector.files[disk].items() if bit & types}
            if disk is target or not moved:
                continue
            self.put(sector, sum(moved), target, job=job, sizes=moved)
            self.drop(sector, sum(moved), disk)

    def copy(self, sector: Sector, types: int, target: Disk, job: Job) -> None:
        """Files have arrived; their source stays."""
        for disk, files in list(sector.files.items()):
            sizes = {bit: size for bit, size in files.items() if bit & types}
            if disk is not target and sizes:
                self.put(sector, sum(sizes), target, job=job, sizes=sizes)

    def drop_others(self, sector: Sector, types: int, keep: Host) -> None:
        """Copies that are not this worker's go."""
        for disk in list(sector.files):
            if disk.worker is not keep:
                self.drop(sector, types, disk)

    def release_unsealed(self, sector: Sector) -> None:
        for disk in list(sector.files):
            self.drop(sector, UNSEALED, disk)


def hold(host: Host, number: int, why: object) -> None:
    """The sector fills the host's hold, for this reason among others."""
    host.held.setdefault(number, set()).add(why)


def unhold(host: Host, number: int, why: object) -> None:
    reasons = host.held.get(number)
    if reasons is not None:
        reasons.discard(why)
        if not reasons:
            del host.held[number]
