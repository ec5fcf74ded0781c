"""Pictures of runs."""

from __future__ import annotations

from pathlib import Path

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.plots import busy, draw, lanes_of
from lotus_sched_cli.sim.run import simulate
from lotus_sched_cli.sim.trace import Span


def span(start: float, end: float) -> Span:
    return Span(0, TaskType.COMMIT2, 1, start, start, start, start, end, end - start, "success")


def test_a_run_is_drawn_as_png_and_as_svg_with_every_worker_named(tmp_path: Path) -> None:
    trace = simulate(farmfile.load("two-workers"), "balanced")
    (png,) = draw([trace], tmp_path / "farm.png")
    (svg,) = draw([trace], tmp_path / "farm.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    assert "worker-0" in text and "worker-1" in text and "share of slots in use" in text


def test_several_policies_get_a_picture_each(tmp_path: Path) -> None:
    farm = farmfile.load("two-workers")
    written = draw([simulate(farm, name) for name in ("balanced", "windowed")], tmp_path / "farm.svg")
    assert [path.name for path in written] == ["farm-balanced.svg", "farm-windowed.svg"]


def test_the_curve_counts_what_runs_at_each_moment() -> None:
    assert busy([span(0, 10), span(5, 20), span(10, 15)]) == ([0.0, 0, 5, 10, 15, 20], [0, 1, 2, 2, 1, 0])


def test_bars_of_one_worker_lie_in_lanes_that_do_not_cover_each_other() -> None:
    assert lanes_of([span(0, 10), span(5, 20), span(10, 15)]) == [0, 1, 0]
