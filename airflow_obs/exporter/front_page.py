"""The page at /: what is collected and how it is doing."""

from __future__ import annotations

import time
from html import escape

from airflow_obs import __version__
from airflow_obs.exporter.board import Snapshot, Status

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1f24;background:#fff}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #d0d7de;"
    "vertical-align:top}.failing{color:#b3261e;font-weight:600}.ok{color:#1a7f37}small{color:#57606a}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}a{color:#58a6ff}"
    ".failing{color:#ff7b72}.ok{color:#3fb950}small{color:#8b949e}}"
)


def front_page(deployment: str, snapshot: Snapshot) -> str:
    """The page as HTML. Errors are shown as the log has them, without passwords."""
    now = time.time()
    rows = "\n".join(_row(status, now) for status in snapshot.statuses)
    doing_well = sum(status.succeeding for status in snapshot.statuses)
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>airflow-obs: {escape(deployment)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body>
<h1>airflow-obs exporter</h1>
<p>Airflow deployment <b>{escape(deployment)}</b>: {doing_well} of {len(snapshot.statuses)} collectors succeed.
<a href="metrics">Metrics</a> · <a href="-/healthy">healthy</a> · <a href="-/ready">ready</a></p>
<table>
<thead><tr><th>Collector</th><th>Source</th><th>State</th><th>Last success</th><th>Took</th><th>Every</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p><small>airflow-obs {escape(__version__)}</small></p>
</body>
</html>
"""


def _row(status: Status, now: float) -> str:
    newest = status.newest
    success = "never" if status.last_success is None else f"{_seconds(now - status.last_success)} ago"
    took = "" if newest is None else _seconds(newest.duration)
    return (
        f"<tr><td>{escape(status.job.name)}</td><td>{escape(status.job.source.name)}</td><td>{_state(status)}</td>"
        f"<td>{success}</td><td>{took}</td><td>{_seconds(status.job.policy.interval)}</td></tr>"
    )


def _state(status: Status) -> str:
    if status.newest is None:
        return '<span class="failing">late</span>' if status.late else "not run yet"
    if status.newest.error is not None:
        return f'<span class="failing">failing</span><br><small>{escape(status.newest.error)}</small>'
    if status.late:
        return '<span class="failing">late</span>'
    return '<span class="ok">ok</span>' if status.newest.source_up else "nothing to ask"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.0f} s"
