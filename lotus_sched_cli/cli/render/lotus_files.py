"""``storage list sectors`` and ``storage locks`` in Lotus's layout."""

from __future__ import annotations

from typing import Final

from lotus_sched_cli.cli.views.files import Locks, StoredFile, StoredFiles
from lotus_sched_cli.cli.views.states import color_of

from .spans import Doc, Span, lotus_table

COLUMNS: Final = ("Storage", "Sector", "Type", "State", "Faulty", "Primary", "Path use", "URLs")
ROLES: Final = {"primary": "green", "copy": "blue", "main": "red"}


def stored_files(view: StoredFiles) -> list[Span]:
    if not view.rows:
        return []
    color, last, cells = "cyan", "", []
    for row in view.rows:
        if row.storage != last:
            color, last = "cyan" if color == "blue" else "blue", row.storage
        cells.append(file_cells(row, color))
    return lotus_table(COLUMNS, cells)


def file_cells(row: StoredFile, color: str) -> dict[str, Span | list[Span]]:
    use: list[Span] = []
    if row.can_seal:
        use.append(("seal ", "magenta"))
    if row.can_store:
        use.append(("store", "cyan"))
    return {
        "Storage": (row.storage, color),
        "Sector": (str(row.sector), ""),
        "Type": (row.type, ""),
        "State": (row.state, color_of(row.state)),
        "Primary": (row.role, ROLES[row.role]),
        "Path use": use,
        "URLs": (";".join(row.urls), ""),
    }


def locks(view: Locks) -> list[Span]:
    doc = Doc()
    for row in view.rows:
        doc.add(f"{row.sector}\t").add(row.state, color_of(row.state)).add("\t")
        for lock in row.locks:
            if lock.write:
                doc.add(f"{lock.type}(").add("W", "red").add(") ")
            if lock.reads:
                doc.add(f"{lock.type}(").add("R", "green").add(f":{lock.reads}) ")
        doc.line()
    return doc.spans
