"""The made-up company whose Airflow the demo simulates: its DAGs, their files, owners, tasks, pools and queues."""

from __future__ import annotations

from dataclasses import dataclass

WAREHOUSE = "warehouse"
PARTNER_API = "partner_api"
HIGHMEM = "highmem"
PARTNERS = "partners"
GPU = "gpu"
"""Queues beside the default one; nobody has set up a worker for the last."""

POOLS: tuple[tuple[str, int, str], ...] = (
    ("default_pool", 128, "Default pool"),
    (WAREHOUSE, 6, "Concurrent loads that the data warehouse bears"),
    (PARTNER_API, 12, "Calls that partners allow us at a time"),
)
"""(name, slots, description)."""

BUNDLE = "dags-folder"
FOLDER = "/opt/airflow/dags"


@dataclass(frozen=True)
class WorkerSpec:
    """A Celery worker: its full node name, the queues that it consumes from, and how many task instances it runs at a time."""

    name: str
    queues: tuple[str, ...]
    slots: int

    @property
    def host(self) -> str:
        """The host that it runs on; others may run there too."""
        return self.name.rpartition("@")[2]


WORKERS = (
    WorkerSpec("default@airflow-worker-0", ("default", PARTNERS), 20),
    WorkerSpec("highmem@airflow-worker-0", (HIGHMEM,), 8),
    WorkerSpec("default@airflow-worker-1", ("default", PARTNERS), 20),
)
HOSTS = {
    queue: tuple(worker.host for worker in WORKERS if queue in worker.queues)
    for queue in ("default", PARTNERS, HIGHMEM)
}

SCHEDULERS = ("airflow-scheduler-0", "airflow-scheduler-1")
TRIGGERER = "airflow-triggerer-0"
DAG_PROCESSOR = "airflow-dag-processor-0"

BROKEN_FILE = "marketing/attribution_v2.py"
BROKEN_TRACE = f"""Traceback (most recent call last):
  File "{FOLDER}/{BROKEN_FILE}", line 7, in <module>
    from warehouse_sdk.attribution import LastTouchModel
ModuleNotFoundError: No module named 'warehouse_sdk'
"""


@dataclass(frozen=True)
class TaskSpec:
    """A task: it starts when every task of the earlier stages is done; `seconds` is its typical duration.

    `fails` is the probability of failing per try, `mapped` its number of mapped instances (0: it is not mapped); one
    that `defers` hands itself to the triggerer for about `seconds`. `priority` is Celery's on Redis: 0 is taken first.
    """

    task_id: str
    stage: int
    seconds: float
    operator: str = "PythonOperator"
    pool: str = "default_pool"
    queue: str = "default"
    priority: int = 0
    mapped: int = 0
    fails: float = 0.004
    retries: int = 2
    defers: bool = False

    @property
    def map_indexes(self) -> tuple[int, ...]:
        """The map_index of each instance; -1 stands for a task that is not mapped."""
        return tuple(range(self.mapped)) or (-1,)


@dataclass(frozen=True)
class DagSpec:
    """A DAG: `every` seconds it is due (None: only by hand), its file takes `parse_seconds`."""

    dag_id: str
    file: str
    owner: str
    every: int | None
    tasks: tuple[TaskSpec, ...]
    parse_seconds: float = 0.4
    description: str = ""
    paused: bool = False
    stale: bool = False


def _extract_load(name: str, seconds: float, pool: str = "default_pool") -> tuple[TaskSpec, ...]:
    queue = PARTNERS if pool == PARTNER_API else "default"
    return (
        TaskSpec(f"extract_{name}", 0, seconds, pool=pool, queue=queue, operator="HttpOperator", fails=0.02),
        TaskSpec("validate", 1, 4, operator="SQLCheckOperator"),
        TaskSpec("load_raw", 2, seconds, operator="S3ToRedshiftOperator"),
        TaskSpec("publish", 3, 3),
    )


BACKFILL = DagSpec(
    "warehouse_backfill", "platform/warehouse_backfill.py", "data-platform", None,
    (TaskSpec("reload_partition", 0, 3600, "SQLExecuteQueryOperator", WAREHOUSE, mapped=12, fails=0),),
    description="Reloads the partitions of a table, by hand",
)  # fmt: skip
CHECKS = DagSpec(
    "data_quality_checks", "platform/data_quality.py", "data-platform", 180,
    (TaskSpec("freshness", 0, 10, "SQLCheckOperator", priority=3, mapped=6, fails=0.02), TaskSpec("summary", 1, 3)),
    0.5,
)  # fmt: skip
EMBEDDINGS = DagSpec(
    "product_embeddings", "ml/product_embeddings.py", "machine-learning", None,
    (TaskSpec("embed", 0, 60, queue=GPU, mapped=6), TaskSpec("publish", 1, 3)),
    description="Written for workers with a GPU",
)  # fmt: skip
PARTNER_FILES = DagSpec(
    "partner_files_backfill", "sales/partner_files.py", "sales-data", None,
    (TaskSpec("wait_for_file", 0, 3600, "S3KeySensorAsync", PARTNER_API, PARTNERS, mapped=12, fails=0, defers=True),
     TaskSpec("load_files", 1, 10)),
    description="Waits for the files of a quarter, by hand",
)  # fmt: skip
RESCORING = DagSpec(
    "customer_rescoring", "ml/customer_rescoring.py", "machine-learning", None,
    (TaskSpec("score_segment", 0, 3600, mapped=40, fails=0), TaskSpec("publish", 1, 3)),
    description="Scores every customer anew, by hand",
)  # fmt: skip
TRAINING = DagSpec(
    "recommender_training", "ml/recommender_training.py", "machine-learning", None,
    (TaskSpec("fit", 0, 30 * 3600, queue=HIGHMEM, fails=0), TaskSpec("publish", 1, 3)), 0.8,
    "Trains for more than a day, by hand",
)  # fmt: skip

DAGS: tuple[DagSpec, ...] = (
    DagSpec("sales_orders_ingest", "sales/orders_ingest.py", "sales-data", 60, _extract_load("orders", 30), 0.6),
    DagSpec("sales_refunds_ingest", "sales/orders_ingest.py", "sales-data", 120, _extract_load("refunds", 20), 0.6),
    DagSpec("crm_contacts_sync", "sales/crm_contacts.py", "sales-data", 180,
            _extract_load("contacts", 40, PARTNER_API)),
    DagSpec("ad_spend_import", "marketing/ad_spend.py", "marketing", 120, (
        TaskSpec("fetch_campaigns", 0, 6, "HttpOperator", PARTNER_API, PARTNERS, fails=0.05),
        TaskSpec("fetch_spend", 1, 25, "HttpOperator", PARTNER_API, PARTNERS, mapped=6, fails=0.05),
        TaskSpec("load_spend", 2, 12, "S3ToRedshiftOperator"),
    ), 0.3),
    DagSpec("email_campaign_export", "marketing/email_export.py", "marketing", 300, (
        TaskSpec("select_audience", 0, 35, "SQLExecuteQueryOperator", WAREHOUSE),
        TaskSpec("push_to_mailer", 1, 25, "HttpOperator", PARTNER_API, PARTNERS, fails=0.03),
    ), 0.2),
    DagSpec("payments_reconcile", "finance/payments_reconcile.py", "finance", 120, (
        TaskSpec("wait_for_bank_file", 0, 45, "S3KeySensorAsync", defers=True, fails=0),
        TaskSpec("match_payments", 1, 35, "SQLExecuteQueryOperator", WAREHOUSE, fails=0.02),
        TaskSpec("report_differences", 2, 5),
    ), 0.9),
    DagSpec("finance_month_end", "finance/month_end.py", "finance", 3600, (
        TaskSpec("close_ledgers", 0, 60, "SQLExecuteQueryOperator", WAREHOUSE),
        TaskSpec("revalue", 1, 90, queue=HIGHMEM),
        TaskSpec("publish_books", 2, 10),
    ), 3.1, "Parses for seconds: it asks the ledger for its accounts at import"),
    DagSpec("inventory_sync", "supply/inventory_sync.py", "supply-chain", 90, _extract_load("stock", 25, PARTNER_API)),
    DagSpec("demand_forecast", "supply/demand_forecast.py", "supply-chain", 600, (
        TaskSpec("collect_sales", 0, 20, "SQLExecuteQueryOperator", WAREHOUSE),
        TaskSpec("fit", 1, 70, "KubernetesPodOperator", queue=HIGHMEM, mapped=3, fails=0.03),
        TaskSpec("write_forecast", 2, 8),
    ), 1.4),
    DagSpec("clickstream_sessionize", "web/clickstream.py", "web-analytics", 120, (
        TaskSpec("wait_for_hour", 0, 40, "DateTimeSensorAsync", defers=True, fails=0),
        TaskSpec("sessionize", 1, 40, "SparkSubmitOperator", queue=HIGHMEM, mapped=3, fails=0.03),
        TaskSpec("aggregate", 2, 12),
        TaskSpec("publish", 3, 3),
    ), 0.7),
    DagSpec("search_index_refresh", "web/search_index.py", "web-analytics", 120, (
        TaskSpec("changed_products", 0, 8, "SQLExecuteQueryOperator"),
        TaskSpec("index", 1, 20, priority=6, mapped=10, fails=0.01),
        TaskSpec("swap_alias", 2, 2),
    )),
    DagSpec("fraud_scores", "ml/fraud_scores.py", "machine-learning", 60, (
        TaskSpec("features", 0, 20),
        TaskSpec("score", 1, 25, queue=HIGHMEM, fails=0.01),
        TaskSpec("alert_cases", 2, 3),
    ), 1.1),
    DagSpec("dbt_hourly", "platform/dbt_hourly.py", "data-platform", 180, (
        TaskSpec("dbt_deps", 0, 5, "BashOperator"),
        TaskSpec("dbt_run", 1, 20, "BashOperator", WAREHOUSE, mapped=4, fails=0.02),
        TaskSpec("dbt_test", 2, 20, "BashOperator", fails=0.03),
    ), 2.2),
    CHECKS,
    DagSpec("airflow_housekeeping", "platform/housekeeping.py", "data-platform", 86400, (
        TaskSpec("rotate_logs", 0, 12, "BashOperator"),
        TaskSpec("report_usage", 1, 5),
    ), 0.2),
    BACKFILL, EMBEDDINGS, PARTNER_FILES, RESCORING, TRAINING,
    DagSpec("legacy_ftp_export", "legacy/ftp_export.py", "operations", 900, _extract_load("ftp", 30), 0.3, paused=True),
    DagSpec("customer_360_v1", "legacy/customer_360.py", "operations", 900, _extract_load("customers", 30), stale=True),
)  # fmt: skip
