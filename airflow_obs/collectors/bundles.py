"""Bundles and when they were refreshed, and how many versions of DAGs come of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.dag_versions import made_last_day
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Bundle:
    """A bundle, whether it is configured (None: not known), and when it was last refreshed (None: it never was)."""

    name: str
    active: bool | None
    refreshed: datetime | None


@dataclass(frozen=True)
class Versions:
    """Versions of DAGs made in the last day, and those of the DAG with most."""

    total: int
    most: int


@dataclass(frozen=True)
class BundleState:
    """What one run of the collector saw; `versions` is None in Airflow 2, which has none."""

    bundles: list[Bundle]
    versions: Versions | None


class Bundles:
    """Reads the bundles that there are, and the versions of one day."""

    name = "bundles"
    source = "database"

    def read(self, db: Session) -> BundleState:
        return BundleState(_bundles(db), _versions(db))

    def samples(self, seen: BundleState) -> Iterator[Reading]:
        for bundle in sorted(seen.bundles, key=lambda bundle: not bundle.active):
            if bundle.active is not None:
                yield metrics.BUNDLE_ACTIVE.sample(bundle.active, bundle=bundle.name)
            if bundle.refreshed is not None:
                yield metrics.BUNDLE_REFRESHED.sample(bundle.refreshed.timestamp(), bundle=bundle.name)
        if seen.versions is not None:
            yield metrics.DAG_VERSIONS.sample(seen.versions.total)
            yield metrics.DAG_VERSIONS_MAX.sample(seen.versions.most)


def _bundles(db: Session) -> list[Bundle]:
    if not db.schema.has("dag_bundle", "name"):
        return []
    bundle = db.schema.table("dag_bundle")
    columns = (bundle.c.name, bundle.optional("active"), bundle.optional("last_refreshed"))
    return [Bundle(*row) for row in db.rows(sa.select(*columns))]


def _versions(db: Session) -> Versions | None:
    if (statement := made_last_day(db)) is None:
        return None
    per_dag = statement.subquery()
    total, most = db.one(sa.select(sa.func.sum(per_dag.c.versions), sa.func.max(per_dag.c.versions)))
    return Versions(int(total or 0), int(most or 0))
