"""Graphics cards by NVML, without those that ``CUDA_VISIBLE_DEVICES`` hides."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card. ``index`` is NVML's, ``name`` what ``sealing workers`` shows."""

    index: int
    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """The cards that this process may use, and what to warn of once."""

    gpus: tuple[Gpu, ...]
    warning: str | None = None


def detect(environ: Mapping[str, str], nvml: Any | None = None) -> Found:
    """Ask the driver. Never raises: whatever goes wrong there is no card and one warning.

    ``nvml`` stands in for the module ``pynvml`` in tests.
    """
    try:
        every = _list(importlib.import_module("pynvml") if nvml is None else nvml)
    except Exception as why:  # a broken driver may raise anything, ctypes' errors included
        return Found((), f"no GPU: NVML does not answer ({_reason(why)}); GPU work counts as CPU work here")
    if not every:
        return Found((), "no GPU: NVML lists no card; GPU work counts as CPU work here")
    seen = visible(every, environ.get("CUDA_VISIBLE_DEVICES"))
    if not seen:
        hidden = environ.get("CUDA_VISIBLE_DEVICES")
        return Found((), f"no GPU: CUDA_VISIBLE_DEVICES={hidden!r} hides each of {len(every)} cards")
    return Found(tuple(seen))


def visible(every: Sequence[Gpu], setting: str | None) -> list[Gpu]:
    """The cards that CUDA shows under this value of ``CUDA_VISIBLE_DEVICES``.

    As CUDA reads it: unset shows all, empty none; a comma-separated list of indices or of (beginnings of) UUIDs, in
    that order; the first entry that names no single card ends the list (-1 is the usual one); a card that is named
    twice hides all.
    """
    if setting is None:
        return list(every)
    chosen: list[Gpu] = []
    for entry in setting.split(","):
        card = _named(every, entry.strip())
        if card is None:
            break
        if card in chosen:
            return []
        chosen.append(card)
    return chosen


def _named(every: Sequence[Gpu], entry: str) -> Gpu | None:
    if entry.isdecimal():
        return next((gpu for gpu in every if gpu.index == int(entry)), None)
    if not entry.upper().startswith("GPU-"):
        return None
    matches = [gpu for gpu in every if gpu.uuid.lower().startswith(entry.lower())]
    return matches[0] if len(matches) == 1 else None


def _list(nvml: Any) -> list[Gpu]:
    nvml.nvmlInit()
    try:
        found = []
        for index in range(int(nvml.nvmlDeviceGetCount())):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid, name = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
            found.append(Gpu(index, _text(uuid), _text(name)))
        return found
    finally:
        nvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    """Older bindings answer bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _reason(why: Exception) -> str:
    return str(why) or type(why).__name__
