"""``storage list`` and ``storage find`` in Lotus's layout."""

from __future__ import annotations

from lotus_sched_cli.cli.views.storage import FoundFiles, Space, StorageList, StoragePath, split_types
from lotus_sched_cli.lotus.units import size_str

from .spans import Doc, Span

COLS = 50


def storage_list(view: StorageList) -> list[Span]:
    doc = Doc()
    for path in view.rows:
        doc.line(f"{path.id}:")
        if path.space is None:
            reason = path.error or f"all endpoints failed for remote storage {path.id}:"
            doc.add("\t").add("Error", "red").line(f": {reason}")
            continue
        space_lines(doc, path.space)
        count_line(doc, path, path.space)
        use_lines(doc, path)
        place_lines(doc, path)
        doc.line()
    return doc.spans


def space_lines(doc: Doc, s: Space) -> None:
    gone = s.capacity - s.fs_available
    full = divide(gone * COLS, s.capacity)
    used = divide((gone - s.reserved) * COLS, s.capacity)
    bar = "#" * used + "*" * (full - used) + " " * (COLS - full)
    share = divide(gone * 100, s.capacity)
    color = grade(share)
    doc.add("\t[").add(bar, color).add(f"] {size_str(gone)}/{size_str(s.capacity)} ").add(f"{share}%", color)
    doc.line(" (filesystem)" if s.max > 0 else "")
    if s.max > 0:
        share = divide((s.used + s.reserved) * 100, s.max)
        color = grade(share)
        bar = "#" * divide((s.used + s.reserved) * COLS, s.max) + " " * (COLS - divide(s.used * COLS, s.max))
        doc.add("\t[").add(bar, color).add(f"] {size_str(s.used)}/{size_str(s.max)} ")
        doc.add(f"{share}%", color).line(" (limit)")


def divide(a: int, b: int) -> int:
    """Go's integer division (towards zero); 0 for a path without capacity, where Lotus's command crashes."""
    if b == 0:
        return 0
    return a // b if a >= 0 else -(-a // b)


def grade(share: int) -> str:
    return "red" if share > 98 else "yellow" if share > 90 else "green"


def count_line(doc: Doc, path: StoragePath, space: Space) -> None:
    labels = (
        ("Unsealed", "yellow"),
        ("Sealed", "green"),
        ("Caches", "blue"),
        ("Updated", "green"),
        ("Update-caches", "blue"),
    )
    doc.add("\t")
    for (label, color), count in zip(labels, path.counts, strict=True):
        doc.add(f"{label}: {count}", color).add("; ")
    doc.line(f"Reserved: {size_str(space.reserved)}")


def use_lines(doc: Doc, path: StoragePath) -> None:
    if not (path.can_seal or path.can_store):
        doc.add("\t").add("Use: ReadOnly", "hi-yellow").line()
    else:
        doc.add(f"\tWeight: {path.weight}; Use: ")
        if path.can_seal:
            doc.add("Seal ", "magenta")
        if path.can_store:
            doc.add("Store", "cyan")
        doc.line()
    if path.groups:
        doc.line(f"\tGroups: {', '.join(path.groups)}")
    if path.allow_to:
        doc.line(f"\tAllowTo: {', '.join(path.allow_to)}")
    if path.allow_types or path.deny_types:
        type_line(doc, path)


def type_line(doc: Doc, path: StoragePath) -> None:
    allowed, denied = split_types(path)
    if not allowed:
        doc.add("\tAllow Types: ").add("None", "red").line()
    elif len(allowed) < len(denied):
        doc.add("\tAllow Types: ").add(" ".join(allowed), "green").line()
    else:
        doc.add("\tDeny Types:  ").add(" ".join(denied), "red").line()


def place_lines(doc: Doc, path: StoragePath) -> None:
    if path.local is not None:
        doc.add("\tLocal: ").add(path.local, "green").line()
    for number, url in enumerate(path.urls):
        known = number == 0 and path.latency is not None
        doc.line(f"\tURL: {url}" + (f" (latency: {latency(path.latency or 0.0)})" if known else ""))


def latency(seconds: float) -> str:
    """A Go Duration cut to 100 µs: ``900µs``, ``1.1ms``, ``1.0234s``."""
    tenths = int(seconds * 10000)
    if tenths == 0:
        return "0s"
    if tenths < 10:
        return f"{tenths * 100}µs"
    if tenths < 10000:
        return f"{tenths / 10:g}ms"
    minutes, rest = divmod(tenths, 600000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 10000:.4f}".rstrip("0").rstrip(".") + "s"


def use_text(can_seal: bool, can_store: bool) -> str:
    """``Seal `` (with its blank), ``Store``, ``Seal Store`` or nothing."""
    return ("Seal " if can_seal else "") + ("Store" if can_store else "")


def found_files(view: FoundFiles) -> list[Span]:
    doc = Doc()
    for row in view.rows:
        doc.line(f"In {row.id} ({', '.join(row.types)})")
        seal, store = ("true" if flag else "false" for flag in (row.can_seal, row.can_store))
        doc.line(f"\tSealing: {seal}; Storage: {store}")
        doc.line(f"\tLocal ({row.local})" if row.local is not None else "\tRemote")
        for url in row.urls:
            doc.line(f"\tURL: {url}")
    return doc.spans
