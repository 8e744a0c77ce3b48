"""DAG files: what fails to import, when files were parsed, and how long that took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.live import active_dags, exact, known
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Counts:
    """DAGs by state, and when the active ones (unpaused or paused) were parsed; None when there are none."""

    active: int
    paused: int
    stale: int
    oldest_parse: datetime | None
    newest_parse: datetime | None


@dataclass(frozen=True)
class DagFile:
    """A DAG file, by its path relative to its bundle (else the stem of its file name), and seconds of its newest parse."""

    path: str
    parse_seconds: float


@dataclass(frozen=True)
class DagProcessingState:
    """What one run of the collector saw; `files` is empty on releases before 3.1, which do not store the duration.

    `import_errors` is None where the database does not keep them.
    """

    import_errors: int | None
    counts: Counts
    files: list[DagFile]


class DagProcessing:
    """Reads `dag` and `import_error`, which have a row per DAG and per broken file."""

    name = "dag_processing"
    source = "database"

    def read(self, db: Session) -> DagProcessingState:
        return DagProcessingState(known(db, _import_errors), _counts(db), _files(db))

    def samples(self, seen: DagProcessingState) -> Iterator[Reading]:
        if seen.import_errors is not None:
            yield metrics.IMPORT_ERRORS.sample(seen.import_errors)
        for state in ("active", "paused", "stale"):
            yield metrics.DAGS.sample(getattr(seen.counts, state), state=state)
        if seen.counts.oldest_parse and seen.counts.newest_parse:
            yield metrics.OLDEST_PARSE.sample(seen.counts.oldest_parse.timestamp())
            yield metrics.NEWEST_PARSE.sample(seen.counts.newest_parse.timestamp())
        for file in sorted(seen.files, key=lambda file: file.parse_seconds, reverse=True):
            yield metrics.PARSE_DURATION.sample(file.parse_seconds, dag_file=file.path)


def _import_errors(db: Session) -> int:
    return int(db.one(sa.select(sa.func.count(db.schema.table("import_error").c.id)))[0])


def _counts(db: Session) -> Counts:
    dag = db.schema.table("dag")
    here = active_dags(db.schema, dag)
    paused = sa.and_(here, dag.c.is_paused.is_(sa.true()))
    parsed = sa.case((here, dag.optional("last_parsed_time")))
    total, present, on_hold, oldest, newest = db.one(
        sa.select(
            sa.func.count(dag.c.dag_id),
            sa.func.sum(sa.case((here, 1), else_=0)),
            sa.func.sum(sa.case((paused, 1), else_=0)),
            sa.func.min(parsed),
            sa.func.max(parsed),
        )
    )
    present, on_hold = int(present or 0), int(on_hold or 0)
    return Counts(present - on_hold, on_hold, total - present, oldest, newest)


def _files(db: Session) -> list[DagFile]:
    if not db.schema.has("dag", "last_parse_duration"):
        return []
    dag = db.schema.table("dag")
    seconds = sa.func.max(dag.c.last_parse_duration)
    statement = (
        sa.select(
            exact(db, dag.optional("relative_fileloc")).label("relative"),
            exact(db, dag.optional("fileloc")).label("absolute"),
            seconds,
        )
        .where(active_dags(db.schema, dag), dag.c.last_parse_duration.is_not(None))
        .group_by(sa.text("1"), sa.text("2"))
    )
    slowest: dict[str, float] = {}
    for relative, absolute, duration in db.rows(statement):
        path = relative or PurePosixPath(absolute or "unknown").stem
        slowest[path] = max(float(duration), slowest.get(path, 0.0))
    return [DagFile(path, duration) for path, duration in slowest.items()]
