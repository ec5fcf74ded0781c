"""Lotus's own layout to the byte: for pipes, and on terminals for those who want it."""

from __future__ import annotations

from .lotus import document_of
from .spans import ansi_of, text_of


def render(view: object, *, color: bool) -> str:
    """The text of a view; with Go's colour codes where ``color``."""
    spans = document_of(view)
    return ansi_of(spans) if color else text_of(spans)
