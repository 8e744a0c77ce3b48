"""A task instance without state, in Airflow's spellings, is `none` as everywhere else."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts
from airflow_obs.exporter.ingest.statsd.mapper import Mapper
from airflow_obs.exporter.ingest.store import Store


@pytest.mark.parametrize(
    "line",
    [
        b"airflow.ti.finish.etl.load.None:1|c",
        b"airflow.ti.finish,dag_id=etl,task_id=load,state=None:1|c",
        b"airflow.ti.finish:1|c|#dag_id:etl,task_id:load,state:None",
    ],
)
def test_no_state_is_none(line: bytes) -> None:
    store = Store(100, 1000, 0)
    mapper = Mapper(store, Accounts())
    mapper.take([line])
    mapper.finish()
    assert metrics.TRIES_FINISHED.sample(1, state="none", dag_id="etl") in store.readings()
