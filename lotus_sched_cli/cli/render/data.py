"""Views for programs: JSON, JSON lines, CSV, with the names of docs/formats.md (those of the views' dataclasses).

A view with ``rows`` is a list of objects, any other one object. In CSV an inner object's members become columns like
``space.capacity``, a list of words is one cell with blanks, and anything deeper stands as JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.views.text import Diagnosis

FORMATS: Final = ("json", "jsonl", "csv")


def render(view: Any, kind: str) -> str:
    """The text of a view in one of `FORMATS`."""
    if isinstance(view, Diagnosis):
        return raw(view.data, kind)
    several = hasattr(view, "rows")
    records = [plain(row) for row in view.rows] if several else [plain(view)]
    if kind == "csv":
        from .fields import row_class_of

        return table(view.rows, row_class_of(type(view))) if several else table((view,), type(view))
    if kind == "jsonl":
        return "".join(compact(record) + "\n" for record in records)
    return json.dumps(records if several else records[0], indent=2, ensure_ascii=False) + "\n"


def raw(data: Any, kind: str) -> str:
    """What the miner told, as it told it."""
    if kind == "csv":
        raise CliError("this is no table: it cannot be CSV", "use --format json")
    return json.dumps(data, indent=2 if kind == "json" else None, ensure_ascii=False, sort_keys=True) + "\n"


def plain(value: Any) -> Any:
    """Dataclasses become objects; pairs of a name and a value too."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        if value and all(
            isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in value
        ):
            return {name: plain(item) for name, item in value}
        return [plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    return value


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def table(rows: Sequence[Any], of: type) -> str:
    """A header and a line per row. Every column of the class is there, whatever the rows have: none comes and goes."""
    from .fields import column_names

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = column_names(of)
    writer.writerow(names)
    for row in rows:
        cells = dict(flat(row, ""))
        writer.writerow([cells.get(name, "") for name in names])
    return out.getvalue()


def flat(value: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for f in fields(value):
        inner, name = getattr(value, f.name), f"{prefix}{f.name}"
        if is_dataclass(inner):
            yield from flat(inner, f"{name}.")
        else:
            yield name, cell(plain(inner))


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        return " ".join(str(item) for item in value)
    return compact(value) if isinstance(value, Mapping | list) else str(value)
