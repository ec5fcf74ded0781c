"""For terminals: colour and bars, but no borders, and no cell wrapped or shortened.

Without its colour codes the output reads like the plain one, for ``grep`` and ``awk`` behind ``ssh -t`` or
``docker exec -it``; tables are aligned by what the terminal shows, so wide characters keep their columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any, Final

from rich.console import Console
from rich.json import JSON
from rich.style import Style
from rich.table import Table
from rich.text import Text

from lotus_sched_cli.cli.views.jobs import Jobs
from lotus_sched_cli.cli.views.sectors import SectorList
from lotus_sched_cli.cli.views.states import color_of
from lotus_sched_cli.cli.views.text import Diagnosis, Pledged
from lotus_sched_cli.cli.visible import visible

from .lotus import document_of
from .lotus_jobs import JOB_HEADER, job_cells
from .lotus_sectors import COLUMNS, extra_lines, sector_cells
from .spans import Span

#: Wider than any table: nothing is ever cut.
WIDTH: Final = 20_000
TASKS: Final = {
    "AP": "blue", "PC1": "cyan", "PC2": "yellow", "C1": "magenta", "C2": "bright_magenta", "FIN": "green",
    "GET": "bright_blue", "UNS": "bright_cyan",
}  # fmt: skip
STATES: Final = {
    "running": "green",
    "prepared": "yellow",
    "prefetching": "yellow",
    "prefetched": "yellow",
    "queued": "bright_black",
    "ret-wait": "red",
}
#: Lotus's colour names to Rich's.
STYLES: Final = {"default": "bold", "hi-yellow": "bright_yellow", "alarm": "black on red"}


def render(view: object, *, color: bool) -> str:
    """The text of a view; without colour codes where ``color`` is False."""
    out = Console(
        file=StringIO(),
        force_terminal=True,
        color_system="auto" if color else None,
        no_color=not color,
        width=WIDTH,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    make = TABLES.get(type(view).__name__)
    table = make(view) if make else None
    if table is None:
        return styled(document_of(view), out)
    with out.capture() as captured:
        out.print(table, soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def styled(spans: Sequence[Span], out: Console) -> str:
    """Spans with Rich's codes; tabs stay tabs, and a newline stands outside of its line's colour."""
    parts = []
    for text, name in spans:
        style = Style.parse(STYLES.get(name, name)) if name and out.color_system else Style.null()
        text = visible(text)
        body = text.rstrip("\n")
        parts.append(style.render(body, color_system=out._color_system) + text[len(body) :])
    return "".join(parts)


def new_table(columns: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ignore")
    return table


def jobs(view: Jobs) -> Table:
    table = new_table(JOB_HEADER)
    for job in view.rows:
        cells = [Text(visible(cell)) for cell in job_cells(job)]
        cells[4].stylize(TASKS.get(job.task, ""))
        cells[5].stylize(STATES.get(job.state, "yellow"))
        table.add_row(*cells)
    return table


def sectors(view: SectorList) -> Table | None:
    """None where rows have lines below them: those are no cells."""
    if not view.rows or any(extra_lines(row, view) for row in view.rows):
        return None
    rows = [sector_cells(row, view) for row in view.rows]
    used = [name for name in COLUMNS if any(name in row for row in rows)]
    table = new_table(used)
    for cells in rows:
        texts = [(cells.get(name, ("", ""))) for name in used]
        table.add_row(*(Text(visible(text), STYLES.get(style, style)) for text, style in texts))
    return table


def pledged(view: Pledged) -> Table:
    table = new_table(("Sector", "State"))
    table.add_row(str(view.number), Text(visible(view.state), color_of(view.state)))
    return table


def diagnosis(view: Diagnosis) -> JSON:
    return JSON.from_data(view.data, indent=2, sort_keys=True)


TABLES: Final[dict[str, Callable[[Any], Any]]] = {
    "Jobs": jobs,
    "SectorList": sectors,
    "Pledged": pledged,
    "Diagnosis": diagnosis,
}
