"""Names and types of what `data` writes, from the views' classes: for CSV's columns, the documents and their test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints


def row_class_of(view: type) -> type:
    """The class of a view's ``rows``, else the view's own."""
    hints = get_type_hints(view)
    row: type = get_args(hints["rows"])[0] if "rows" in hints else view
    return row


@cache
def column_names(of: type) -> tuple[str, ...]:
    """CSV's columns."""
    return tuple(name for name, _ in columns(of))


def columns(of: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, type) of every column; an inner object's members are columns of their own."""
    hints = get_type_hints(of)
    for f in fields(of):
        inner = inner_class(hints[f.name])
        if inner is None:
            yield f"{prefix}{f.name}", hints[f.name]
        else:
            yield from columns(inner, f"{prefix}{f.name}.")


def inner_class(hint: Any) -> type | None:
    """The dataclass in ``X`` or ``X | None``."""
    options = (
        [arg for arg in get_args(hint) if arg is not NoneType] if get_origin(hint) is UnionType else [hint]
    )
    return options[0] if len(options) == 1 and is_dataclass(options[0]) else None  # type: ignore[return-value]
