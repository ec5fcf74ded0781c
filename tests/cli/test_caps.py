"""``sealing caps list``: where each value comes from, since when."""

from __future__ import annotations

from typing import Any

from lotus_sched_cli.cli.render.lotus_caps import cap_table
from lotus_sched_cli.cli.views.caps import cap_table as view


def listed(caps: list[dict[str, Any]], *, owner: str = "worker", error: str = "") -> list[str]:
    worker = {"Session": "0123456789", "Name": "w", "Owner": owner, "Caps": caps, "Error": error}
    lines = "".join(text for text, _ in cap_table(view([worker]))).splitlines()
    return [" ".join(line.split()) for line in lines[1:]]


def live(since: str, source: str) -> dict[str, Any]:
    return {
        "Name": "precommit1max",
        "Value": "2",
        "Source": "live",
        "Since": since,
        "Started": "7",
        "StartedSource": source,
    }


def test_a_live_value_says_since_when_to_the_second() -> None:
    for since in ("2026-11-25T13:17:40.123456Z", "2026-11-25T13:17:40Z"):
        assert listed([live(since, "flag")]) == [
            "01234567 w precommit1max 2 live since 2026-11-25T13:17:40Z, else 7 (flag)"
        ]


def test_of_a_worker_that_has_not_registered_yet_only_what_the_miner_keeps_is_shown() -> None:
    why = "it has not registered since the miner started"
    assert listed([live("2026-11-25T13:17:40Z", "")], owner="miner", error=why) == [
        "01234567 w precommit1max 2 live since 2026-11-25T13:17:40Z, else 7, kept by the miner",
        f"w (01234567) shows what is known of it: {why}",
    ]
    assert listed([], error=why) == [f"w (01234567) shows nothing: {why}"]
