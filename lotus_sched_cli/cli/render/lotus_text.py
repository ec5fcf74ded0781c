"""Lines, pledges and JSON as Lotus prints them."""

from __future__ import annotations

import json

from lotus_sched_cli.cli.views.text import Diagnosis, Lines, Piece, Pledged, Variables, Versions

from .spans import Span


def lines(view: Lines) -> list[Span]:
    return [(f"{row.text}\n", "") for row in view.rows]


def pledged(view: Pledged) -> list[Span]:
    """Lotus's line has two blanks."""
    return [(f"Created CC sector:  {view.number}\n", "")]


def diagnosis(view: Diagnosis) -> list[Span]:
    """Go's ``json.MarshalIndent`` of a generic map: keys sorted, ``<>&`` escaped."""
    text = json.dumps(view.data, indent=2, sort_keys=True, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return [(text + "\n", "")]


def variables(view: Variables) -> list[Span]:
    return [(f"{row.name}={row.value}\n", "") for row in view.rows]


def versions(view: Versions) -> list[Span]:
    """Lotus pads the first label."""
    return [(f"Daemon:  {view.daemon}\nLocal: {view.local}\n", "")]


def piece(view: Piece) -> list[Span]:
    """Three blanks, as Go prints them."""
    return [(f"{view.cid}   {view.size}\n", "")]
