"""Text with colours, before anybody decides how it is written.

A document is a list of spans ``(text, style)``; newlines are part of the texts. Styles are the colour names that Lotus
uses, or ``""``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lotus_sched_cli.cli.visible import visible

Span = tuple[str, str]

#: Go's terminal codes (``fatih/color``).
CODES: Final = {
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
    "default": 39,
    "hi-yellow": 93,
    "alarm": "41;30",
}


@dataclass(slots=True)
class Doc:
    """A document under construction."""

    spans: list[Span] = field(default_factory=list)

    def add(self, text: str, style: str = "") -> Doc:
        self.spans.append((text, style))
        return self

    def line(self, text: str = "", style: str = "") -> Doc:
        if style:
            self.spans.append((text, style))
            self.spans.append(("\n", ""))
        else:
            self.spans.append((text + "\n", ""))
        return self

    def extend(self, spans: Sequence[Span]) -> Doc:
        self.spans.extend(spans)
        return self


def text_of(spans: Sequence[Span]) -> str:
    """Without colours."""
    return visible("".join(text for text, _ in spans))


def ansi_of(spans: Sequence[Span]) -> str:
    """With Go's colour codes: around every styled span, also an empty one."""
    shown = ((visible(text), style) for text, style in spans)
    return "".join(f"\x1b[{CODES[style]}m{text}\x1b[0m" if style else text for text, style in shown)


# --- tables --------------------------------------------------------------------------------------------------------


def go_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Span]:
    """Go's tabwriter: each column padded to its longest + 2, the last not at all; lengths in code points."""
    widths = [max(len(row[i]) for row in (header, *rows)) + 2 for i in range(len(header) - 1)]
    out = []
    for row in (header, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        out.append(("".join(cells) + row[-1] + "\n", ""))
    return out


def tab_writer(rows: Sequence[Sequence[str]], *, least: int, padding: int) -> str:
    """Go's tabwriter: a column is as wide as the cells of neighbouring rows that have it; the last cell of a row is none.

    ``least`` is the smallest width of a column, ``padding`` the blanks after its longest cell.
    """
    widths: list[list[int]] = [[] for _ in rows]

    def block(first: int, end: int, column: int) -> None:
        at = first
        while at < end:
            if column >= len(rows[at]) - 1:
                at += 1
                continue
            stop = at
            while stop < end and column < len(rows[stop]) - 1:
                stop += 1
            width = max(least, *(len(rows[i][column]) + padding for i in range(at, stop)))
            for i in range(at, stop):
                widths[i].append(width)
            block(at, stop, column + 1)
            at = stop

    block(0, len(rows), 0)
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], sizes, strict=True)) + row[-1] + "\n"
        for row, sizes in zip(rows, widths, strict=True)
    )


#: A table's cell: a text with its colour, or several.
Cell = Span | list[Span]


def lotus_table(
    columns: Sequence[str], rows: Sequence[Mapping[str, Cell]], lines: Sequence[Sequence[str]] = ()
) -> list[Span]:
    """Lotus's tablewriter (``lib/tablewriter``): every column padded to its longest + 2, one without values left out.

    ``lines[i]`` are texts that follow row i on lines of their own, after two blanks.
    """
    used = [name for name in columns if any(name in row for row in rows)]
    doc = Doc()
    head, padded = "", []
    for name in used:
        cells = [row.get(name, NOTHING) for row in rows]
        sizes = [len(cell[0]) if cell.__class__ is tuple else cell_len(cell) for cell in cells]
        width = max([len(name), *sizes]) + 2
        head += name.ljust(width)
        padded.append([(cell, " " * (width - size)) for cell, size in zip(cells, sizes, strict=True)])
    doc.line(head)
    for number, row_cells in enumerate(zip(*padded, strict=True)):
        plain = ""
        for cell, pad in row_cells:
            if isinstance(cell, list):
                doc.spans += [(plain, ""), *cell]
                plain = pad
            elif cell[1]:
                doc.spans += [(plain, ""), cell]
                plain = pad
            else:
                plain += cell[0] + pad
        doc.line(plain)
        for text in lines[number] if number < len(lines) else ():
            doc.line(f"  {text}")
    return doc.spans


NOTHING: Final = ("", "")


def cell_len(cell: Cell) -> int:
    return len(cell[0]) if isinstance(cell, tuple) else sum(len(text) for text, _ in cell)


def load_bar(total: float, reserved: float, used: float, cols: int = 64) -> list[Span]:
    """Lotus's bar (``cli/net.go`` BarString): reserved yellow, used green; each part is rounded by itself."""
    yellow, green = part(reserved, total, cols), part(used, total, cols)
    blanks = " " * max(0, cols - yellow - green)
    return [("|" * yellow, "yellow"), ("|" * green, "green"), (blanks, "")]


def part(value: float, total: float, cols: int) -> int:
    """Half away from zero; nothing for a negative share or none."""
    return max(0, math.floor(value / total * cols + 0.5)) if total else 0
