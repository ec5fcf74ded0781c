"""A run drawn: a Gantt chart of all workers above curves of how busy each kind of work is.

matplotlib (the extra ``plots``) is imported here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lotus_sched_cli.core.tasks import TaskType

from .farm import AP, C2, GET, P1, P2, STAGES
from .report import total_slots
from .trace import Span, Trace

COLORS: Final = {
    AP: "#7f7f7f", P1: "#1f77b4", P2: "#ff7f0e", C2: "#9467bd", GET: "#2ca02c", TaskType.COMMIT1: "#e377c2",
    TaskType.FINALIZE: "#8c564b", TaskType.FINALIZE_UNSEALED: "#bcbd22",
}  # fmt: skip
#: Workers beyond this number are left out of the Gantt chart: their bars would be thinner than a line.
MOST_ROWS: Final = 60
HOUR: Final = 3600.0


def draw(traces: Sequence[Trace], path: Path) -> list[Path]:
    """One picture per trace; with several, the policy's name goes into the file's. Returns the files written."""
    from matplotlib.figure import Figure

    written = []
    for trace in traces:
        figure = Figure(figsize=(14, 4 + min(len(trace.hosts), MOST_ROWS) * 0.22), layout="constrained")
        gantt, curves = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        _gantt(gantt, trace)
        _curves(curves, trace)
        gantt.set_title(f"{trace.farm.name}, {trace.policy} (simulated)", loc="left")
        name = path.stem + (f"-{trace.policy.replace(':', '-')}" if len(traces) > 1 else "")
        target = path.with_name(name + path.suffix)
        # The date would make two pictures of the same run differ.
        figure.savefig(target, dpi=120, metadata={"Date": None} if target.suffix == ".svg" else None)
        written.append(target)
    return written


def _gantt(axes: Any, trace: Trace) -> None:
    """A row per worker, within it a lane per task that ran at the same time."""
    rows = min(len(trace.hosts), MOST_ROWS)
    by_host: dict[int, list[Span]] = {}
    for span in trace.spans:
        if span.host < rows and span.end > span.bound:
            by_host.setdefault(span.host, []).append(span)
    bars: dict[TaskType, tuple[list[tuple[float, float]], list[float], list[float]]] = {}
    for host, spans in by_host.items():
        lanes = lanes_of(spans)
        number = max(lanes) + 1
        for span, lane in zip(sorted(spans, key=_start), lanes, strict=True):
            starts, bottoms, heights = bars.setdefault(span.stage, ([], [], []))
            starts.append((span.bound / HOUR, (span.end - span.bound) / HOUR))
            bottoms.append(host - 0.4 + 0.8 * lane / number)
            heights.append(0.8 / number)
    for stage in STAGES:
        if stage in bars:
            starts, bottoms, heights = bars[stage]
            axes.barh(
                bottoms, [width for _, width in starts], height=heights, left=[start for start, _ in starts],
                align="edge", color=COLORS[stage], label=stage.short, linewidth=0,
            )  # fmt: skip
    axes.set_yticks(range(rows), [host.id for host in trace.hosts[:rows]], fontsize=7)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.legend(ncols=len(STAGES), fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    if len(trace.hosts) > rows:
        axes.set_ylabel(f"the first {rows} of {len(trace.hosts)} workers")


def _curves(axes: Any, trace: Trace) -> None:
    for stage in STAGES:
        slots = total_slots(trace.farm, stage)
        spans = list(trace.of(stage))
        if spans and slots:
            times, levels = busy(spans)
            axes.step(
                [time / HOUR for time in times], [level / slots for level in levels],
                where="post", color=COLORS[stage], label=f"{stage.short} ({slots} slots)", linewidth=1,
            )  # fmt: skip
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("hours")
    axes.set_ylabel("share of slots in use")
    axes.legend(ncols=len(STAGES), fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)


def busy(spans: Sequence[Span]) -> tuple[list[float], list[int]]:
    """Times, and how many of the spans are under way from each of them on."""
    changes: dict[float, int] = {}
    for span in spans:
        changes[span.bound] = changes.get(span.bound, 0) + 1
        changes[span.end] = changes.get(span.end, 0) - 1
    times, levels, level = [0.0], [0], 0
    for time in sorted(changes):
        level += changes[time]
        times.append(time)
        levels.append(level)
    return times, levels


def lanes_of(spans: Sequence[Span]) -> list[int]:
    """A lane for each span in the order of their starts, so that none covers another."""
    ends: list[float] = []
    lanes = []
    for span in sorted(spans, key=_start):
        lane = next((lane for lane, end in enumerate(ends) if end <= span.bound), len(ends))
        if lane == len(ends):
            ends.append(0.0)
        ends[lane] = span.end
        lanes.append(lane)
    return lanes


def _start(span: Span) -> float:
    return span.bound
