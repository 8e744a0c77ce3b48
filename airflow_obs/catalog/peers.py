"""What others alert on for Airflow and what it stands on: which of our alerts covers it, or why none does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """An alert of others: who has it, its name, when it fires in our words; the alerts of ours that cover it, or why none does.

    Raises ValueError at import unless exactly one of the two is said.
    """

    who: str
    name: str
    condition: str
    covered: tuple[str, ...] = ()
    refused: str = ""

    def __post_init__(self) -> None:
        if bool(self.covered) == bool(self.refused):
            raise ValueError(f"peer {self.who}, {self.name}: say what covers it, or why it is refused")


_QUEUED = ("AirflowTasksQueuedLong", "AirflowNoTaskStarts")
_UNREAD = ("AirflowQueueStalled", "AirflowQueueWithoutWorker")
_STARVING = ("AirflowTasksStarving", "AirflowPoolExhausted")
_HEARTBEAT = ("AirflowSchedulerDown", "AirflowSchedulerMissing")
_OVERDUE = ("AirflowSchedulesOverdue", "AirflowDagRunsNotStarted")
_PARSING = ("AirflowDagFileSlow", "AirflowDagParsingBehind")
_FAILED = ("AirflowDagRunFailed", "AirflowDagWithoutSuccess")
_ZOMBIES = ("AirflowTaskHeartbeatsLost", "AirflowTaskHeartbeatsOverdue")
_BROKER_MEMORY = ("AirflowBrokerMemoryHigh", "AirflowBrokerFull")
_CONNECTIONS = ("AirflowDatabaseConnectionsHigh", "AirflowDatabaseConnectionsExhausted")
_API = ("AirflowApiServerDown", "AirflowWebserverDown")
_MEMORY = ("AirflowContainerMemoryHigh", "AirflowContainerOutOfMemory")

_BUSY = "a high share of CPU is no failure: what suffers from it has alerts of its own (loop times, queue, parsing)"
_LOGS = "numbers of log lines mean something else in each release; what they hint at is read from where it is"
_SUCCESS = "a success wakes nobody: that is a notification, not an alert"
_TASK = "needs series of each task, which are off by default: a run that takes too long shows it by its DAG"
_BASELINE = "a changed rate is no failure: a quiet night would fire it in the morning"
_FULL = "a full executor or pool is what one pays for; that something waits for it is what counts, and has alerts"
_COMMERCE = "concerns a vendor's product, not Airflow"
_SERVER = (
    "a figure of the whole server that tells of no failure of Airflow; postgres_exporter's mixin has it for its owner"
)
_PGBOUNCER = (
    "PgBouncer's own exporter knows it; what the exporter sees of it are failing connections (AirflowDatabaseDown)"
)

_MIXIN = "Grafana's apache-airflow-mixin"
_CELERY = "celery-mixin"
_REDIS = "redis-mixin, awesome-prometheus-alerts"
_POSTGRES = "postgres-observ-lib"
_BOUNCER = "pgbouncer-mixin"
_APC = "Astronomer platform chart"
_ASTRO = "Astro cloud"
_COMPOSER = "Google's Composer Terraform"
_LOGIKAL = "logikal-io Composer module"
_MWAA = "AWS' mwaa-dashboard"
_DATADOG = "Datadog integration"
_BURST = "data-burst"
_BLOGS = "tutorials and blogs"
_NOBODY = "nobody"

PEERS: tuple[Peer, ...] = (
    Peer(_MIXIN, "ApacheAirflowStarvingPoolTasks", "tasks find no slot in their pool for 5m", _STARVING),
    Peer(_MIXIN, "ApacheAirflowDAGScheduleDelayWarning", "runs start more than 10s late on average", _OVERDUE),
    Peer(_MIXIN, "ApacheAirflowDAGScheduleDelayCritical", "runs start more than 60s late on average", _OVERDUE),
    Peer(_MIXIN, "ApacheAirflowDAGFailures", "a DAG failed in 5m; misses the first time", _FAILED),
    # -- what Airflow stands on ----------------------------------------------------------------------------------------
    Peer(_CELERY, "CeleryTaskHighFailRate", "more than 5% of the tasks fail", ("AirflowTaskFailureWave",)),
    Peer(_CELERY, "CeleryHighQueueLength", "more than 100 messages wait for 20m", (*_QUEUED, *_UNREAD)),
    Peer(_CELERY, "CeleryWorkerDown", "a worker does not answer for 15m", ("AirflowWorkerKilled", "AirflowQueueWithoutWorker")),
    Peer(_REDIS, "RedisDown", "Redis does not answer", ("AirflowBrokerDown",)),
    Peer(_REDIS, "RedisNoMaster, RedisMissingMaster", "no Redis calls itself master", ("AirflowBrokerDown",)),
    Peer(_REDIS, "RedisMultipleMasters, RedisTooManyMasters", "several do", refused="the exporter asks the one that Airflow asks"),
    Peer(_REDIS, "RedisMasterLinkDown", "a replica has lost its master", refused="Airflow talks to the master alone"),
    Peer(_REDIS, "RedisHighMemoryUtilisation", "more than 80% of maxmemory", _BROKER_MEMORY),
    Peer(_REDIS, "RedisOutOfSystemMemory", "more than 90% of the host's memory", ("AirflowContainerMemoryHigh",)),
    Peer(_REDIS, "RedisOutOfConfiguredMaxmemory", "more than 90% of maxmemory", _BROKER_MEMORY),
    Peer(_REDIS, "RedisTooManyConnections", "more than 90% of the connections", ("AirflowBrokerConnectionsHigh",)),
    Peer(_REDIS, "RedisRejectedConnections", "connections were refused", ("AirflowBrokerConnectionsHigh",)),
    Peer(_POSTGRES, "Down", "the server does not answer for 1m", ("AirflowDatabaseDown",)),
    Peer(_POSTGRES, "HighConnectionUsage", "more than 80% of the connections", _CONNECTIONS),
    Peer(_POSTGRES, "LowCacheHitRatio", "less than 90% of the blocks from memory", refused=_SERVER),
    Peer(_POSTGRES, "ReplicationLag", "a replica is 30s, or an hour, behind", ("AirflowReplicaLagging",)),
    Peer(_POSTGRES, "Deadlocks", "any deadlock", ("AirflowDatabaseDeadlocks",)),
    Peer(_POSTGRES, "LongRunningQuery", "a query runs for more than 300s", ("AirflowDatabaseTransactionLong",)),
    Peer(_POSTGRES, "BlockedQueries", "queries wait for locks for 5m", ("AirflowDatabaseLockWait",)),
    Peer(_POSTGRES, "WALArchiveFailure", "the log cannot be archived", refused=_SERVER),
    Peer(_POSTGRES, "HighDeadTuples", "more than 10% dead rows", ("AirflowTableDeadRows",)),
    Peer(_POSTGRES, "VacuumNotRunning", "no vacuum for 7 days", ("AirflowTableDeadRows", "AirflowAutovacuumOff")),
    Peer(_POSTGRES, "TooManyRollbacks", "more than 10% of the transactions", refused=_SERVER),
    Peer(_POSTGRES, "TooManyLocks", "more than 20% of the lock table", refused=_SERVER),
    Peer(_POSTGRES, "InactiveReplicationSlot", "nobody reads a slot for 30m", ("AirflowReplicationSlotRetaining",)),
    Peer(_POSTGRES, "ExporterErrors", "the exporter's queries fail", ("AirflowCollectorFailing",)),
    Peer(_POSTGRES, "HighQps", "many queries in a second", refused=_SERVER),
    Peer(_BOUNCER, "waiting clients", "more than 20 clients wait for 5m", refused=_PGBOUNCER),
    Peer(_BOUNCER, "maxwait", "a client waits for more than 15s", refused=_PGBOUNCER),
    Peer(_BOUNCER, "saturation", "more than 80%, 90% of the pool", refused=_PGBOUNCER),
    # -- vendors of Airflow --------------------------------------------------------------------------------------------
    Peer(_APC, "AirflowDeploymentUnhealthy", "fewer containers run than should", ("AirflowReplicasNotReady",)),
    Peer(_APC, "AirflowSchedulerUnhealthy", "the rate of heartbeats is 0 for 6m", _HEARTBEAT),
    Peer(_APC, "AirflowPodQuota", "more than 95% of the pod quota", ("AirflowPodRequestsFailing", "AirflowPodsPending")),
    Peer(_APC, "AirflowTasksPendingIncreasing", "more tasks wait than 5m before, for 30m", _QUEUED),
    Peer(_APC, "AirflowOperatorFailureRate", "more than half of one operator's tasks fail", ("AirflowTaskFailureWave",)),
    Peer(_APC, "ManyUnhealthySchedulers", "more than 5 deployments' schedulers are down", _HEARTBEAT),
    Peer(_APC, "SchedulersNotHealthy", "fewer than half of the schedulers are well", _HEARTBEAT),
    Peer(_APC, "AirflowChartVersionInconsistent", "deployments differ in their chart", refused=_COMMERCE),
    Peer(_APC, "task failure ratio (example)", "more than 10% fail over 30m", ("AirflowTaskFailureWave",)),
    Peer(_APC, "PostgreSQL MaxConnections, HighConnections", "more than 80% of the connections", _CONNECTIONS),
    Peer(_APC, "PostgreSQL Down", "the server does not answer", ("AirflowDatabaseDown",)),
    Peer(_APC, "PostgreSQL SlowQueries", "a query runs for more than 120s", ("AirflowDatabaseTransactionLong",)),
    Peer(_APC, "AirflowFailureRate (removed)", "more fail in an hour than in two days", refused=_BASELINE),
    Peer(_APC, "AirflowCPUQuota (removed)", "more than 95% of the quota", refused=_BUSY),
    Peer(_APC, "AirflowMemoryQuota (removed)", "more than 95% of the quota", _MEMORY),
    Peer(_APC, "AirflowEphemeralStorageLimit (removed)", "1.8 GB of local disk", ("AirflowVolumeFilling", "AirflowPodsEvicted")),
    Peer(_APC, "CpuThrottlingInDeployment (removed)", "more than 75% of the time", refused=_BUSY),
    Peer(_ASTRO, "DAG failure", "a run of the DAG failed", ("AirflowDagRunFailed",)),
    Peer(_ASTRO, "DAG success", "a run of the DAG succeeded", refused=_SUCCESS),
    Peer(_ASTRO, "DAG duration", "a run takes longer than it may", ("AirflowDagRunTooLong",)),
    Peer(_ASTRO, "DAG timeliness", "no success by a time", ("AirflowDagWithoutSuccess", "AirflowDeadlinesMissed")),
    Peer(_ASTRO, "task duration", "a task takes longer than it may", refused=_TASK),
    Peer(_ASTRO, "task failure", "a task failed", _FAILED),
    Peer(_ASTRO, "Scheduler Heartbeat Not Found", "none for 10m", _HEARTBEAT),
    Peer(_ASTRO, "Airflow DB Storage Unusually High", "a table of 50 or 75 GiB", ("AirflowTableLarge",)),
    Peer(_ASTRO, "Worker Queue at Capacity", "all workers of a queue are busy", refused=_FULL),
    Peer(_ASTRO, "Worker Queue Does Not Exist", "tasks for a queue nobody consumes", ("AirflowQueueWithoutWorker",)),
    Peer(_ASTRO, "Tasks Stuck in Queued", "more than 20m", _QUEUED),
    Peer(_ASTRO, "Job Scheduling Disabled", "the scheduler's setting is off", ("AirflowSchedulesOverdue",)),
    Peer(_ASTRO, "Deprecated Runtime Version", "the release is out of support", refused=_COMMERCE),
    Peer(_COMPOSER, "Environment Health", "less than 0.9, or absent", ("AirflowHealthUnhealthy", "AirflowExporterAbsent")),
    Peer(_COMPOSER, "Database Health", "less than 0.95", ("AirflowDatabaseDown",)),
    Peer(_COMPOSER, "Web Server Health", "less than 0.95", _API),
    Peer(_COMPOSER, "Scheduler Heartbeat", "fewer than 80 in 10m", _HEARTBEAT),
    Peer(_COMPOSER, "CPU of database, scheduler, worker, web server", "more than 80% for 10m", refused=_BUSY),
    Peer(_COMPOSER, "memory of database, scheduler, worker, web server", "more than 80% for 10m", _MEMORY),
    Peer(_COMPOSER, "DAG Parsing Time", "more than 30s", _PARSING),
    Peer(_COMPOSER, "Scheduled Tasks Percentage", "more than 80% for 5m", _STARVING),
    Peer(_COMPOSER, "Queued Tasks Percentage", "more than 95% for 5m", _QUEUED),
    Peer(_COMPOSER, "Queued or Scheduled Tasks Percentage", "more than 80% for 5m", (*_QUEUED, "AirflowTasksStarving")),
    Peer(_COMPOSER, "Workers above minimum", "fewer than the least", ("AirflowReplicasNotReady", "AirflowQueueWithoutWorker")),
    Peer(_COMPOSER, "Worker pod evictions", "any", ("AirflowPodsEvicted",)),
    Peer(_COMPOSER, "ERROR logs of scheduler, worker, web server, others", "more than 50, or 10, in 5m", refused=_LOGS),
    Peer(_COMPOSER, "tasks marked UP_FOR_RETRY, FAILED (older)", "lines in the log", ("AirflowTaskFailureWave",)),
    Peer(_LOGIKAL, "no active DAG processors", "fewer than 1 for 5m", ("AirflowDagProcessorMissing", "AirflowDagProcessorStalled")),
    Peer(_LOGIKAL, "DAG processor manager stalls", "any", ("AirflowDagProcessorStalled",)),
    Peer(_LOGIKAL, "DAG parse errors", "any", ("AirflowDagImportErrors",)),
    Peer(_LOGIKAL, "DAG load time", "more than 10s for one file", ("AirflowDagFileSlow",)),
    Peer(_LOGIKAL, "orphaned tasks", "any", ("AirflowOrphanedTasks", "AirflowGhostTasks")),
    Peer(_LOGIKAL, "executor open slots", "fewer than 5", refused=_FULL),
    Peer(_LOGIKAL, "scheduler pod evictions", "any", ("AirflowPodsEvicted",)),
    Peer(_LOGIKAL, "DAG-run schedule delay", "more than 10s at most", _OVERDUE),
    Peer(_LOGIKAL, "CPU of the database", "more than 80%", refused=_BUSY),
    Peer(_LOGIKAL, "memory of the database", "more than 80%", refused=_SERVER),
    Peer(_LOGIKAL, "disk of the database", "more than 80%", ("AirflowVolumeFilling", "AirflowTableLarge")),
    Peer(_MWAA, "UnhealthyWorker", "tasks are queued and none runs for 15m", (*_QUEUED, "AirflowQueueStalled")),
    Peer(_MWAA, "HeartbeatFail", "no heartbeat of a scheduler for 5m, or no figure", (*_HEARTBEAT, "AirflowExporterAbsent")),
    Peer(_DATADOG, "task ongoing duration", "a task runs for more than 3600s", refused=_TASK),
    Peer(_DATADOG, "job heartbeat failure", "any in 5m", _HEARTBEAT),
    Peer(_BURST, "AirflowDagFailed", "any for 1m", ("AirflowDagRunFailed",)),
    Peer(_BURST, "AirflowTaskFailure", "any for 5m", ("AirflowTaskFailureWave", "AirflowDagRunFailed")),
    # -- tutorials -----------------------------------------------------------------------------------------------------
    Peer(_BLOGS, "scheduler heartbeat", "older than 30s to 300s", _HEARTBEAT),
    Peer(_BLOGS, "up, absent", "a component is not scraped", (*_API, "AirflowSchedulerDown", "AirflowExporterAbsent")),
    Peer(_BLOGS, "triggerer heartbeat", "its rate is 0", ("AirflowTriggererDown", "AirflowTriggererMissing")),
    Peer(_BLOGS, "task failures", "a ratio of 5% or 10%, or 5 in 5m", ("AirflowTaskFailureWave",)),
    Peer(_BLOGS, "repeated task failures", "more than 3 in 30m", ("AirflowDagWithoutSuccess", "AirflowTaskFailureWave")),
    Peer(_BLOGS, "tasks killed externally", "any", ("AirflowExecutorStateMismatch",)),
    Peer(_BLOGS, "zombies killed", "more than 3 in an hour", _ZOMBIES),
    Peer(_BLOGS, "import errors", "any for 5m", ("AirflowDagImportErrors",)),
    Peer(_BLOGS, "total parse time", "more than 30s to 120s", _PARSING),
    Peer(_BLOGS, "file parse time", "more than 30s", ("AirflowDagFileSlow",)),
    Peer(_BLOGS, "scheduler loop", "30s on average, or 10s at the 99th percentile", ("AirflowSchedulerLoopSlow",)),
    Peer(_BLOGS, "critical section busy", "more than 0.8", ("AirflowSchedulerLoopSlow",)),
    Peer(_BLOGS, "schedule delay", "more than 300s at the 95th percentile", _OVERDUE),
    Peer(_BLOGS, "queued tasks", "more than 20 or 50", _QUEUED),
    Peer(_BLOGS, "executor open slots", "none, or fewer than 5", refused=_FULL),
    Peer(_BLOGS, "pool open slots, utilisation", "fewer than 2, or more than 80%", ("AirflowPoolExhausted",)),
    Peer(_BLOGS, "pool starving, starving tasks", "any for 10m, or more than 50", _STARVING),
    Peer(_BLOGS, "SLA misses", "any, or of a DAG that matters", ("AirflowSlaMissed", "AirflowDeadlinesMissed")),
    Peer(_BLOGS, "task duration", "twice that of the last 7 days", refused=_TASK),
    Peer(_BLOGS, "DAG run duration", "more than 3600s", ("AirflowDagRunTooLong",)),
    Peer(_BLOGS, "task stuck running", "more than 1h", ("AirflowDagRunTooLong", "AirflowVisibilityTimeoutNear")),
    Peer(_BLOGS, "task without heartbeat", "running for more than 30m", ("AirflowTaskHeartbeatsOverdue",)),
    Peer(_BLOGS, "connection pool exhausted", "no connection left", _CONNECTIONS),
    Peer(_BLOGS, "metadata database size", "more than 10 GB", ("AirflowTableLarge",)),
    Peer(_BLOGS, "triggerer capacity", "nothing left", ("AirflowTriggererFull",)),
    Peer(_BLOGS, "triggers that block", "any", ("AirflowTriggererBlocked",)),
    Peer(_BLOGS, "triggers failed", "any", ("AirflowDeferredTasksLost", "AirflowTaskFailureWave")),
    Peer(_BLOGS, "dagbag size", "falls", ("AirflowDagsVanished",)),
    Peer(_BLOGS, "CPU of pods", "more than 80%", refused=_BUSY),
    # -- what we found nowhere -----------------------------------------------------------------------------------------
    Peer(_NOBODY, "clean-up", "`airflow db clean` is overdue or failed", ("AirflowCleanUpOverdue", "AirflowCronJobFailing")),
    Peer(_NOBODY, "tables", "rows older than the retention, by table", ("AirflowCleanUpOverdue", "AirflowCleanUpBlind")),
    Peer(_NOBODY, "versions of DAGs", "a new one at every parse", ("AirflowDagVersionsMultiply",)),
    Peer(_NOBODY, "paused DAG", "after a failure", ("AirflowDagPausedAfterFailure",)),
    Peer(_NOBODY, "silent schedule", "a DAG gets no runs any more", ("AirflowSchedulesOverdue", "AirflowDagWithoutSuccess")),
    Peer(_NOBODY, "deferred too long", "a trigger does not fire", ("AirflowDeferredTooLong", "AirflowTriggererStalled")),
    Peer(_NOBODY, "the exporter itself", "stale, failing, or dropping series", ("AirflowCollectorFailing", "AirflowSeriesDropped")),
    Peer(_NOBODY, "routing by owner", "alerts of a DAG reach its team", ("AirflowDagRunFailed", "AirflowDagWithoutSuccess")),
    Peer(_NOBODY, "assets", "an update starts nothing", ("AirflowAssetUpdatesWaiting",)),
    Peer(_NOBODY, "stale bundle", "new DAG code does not arrive", ("AirflowDagBundleStale",)),
    Peer(_NOBODY, "deadlines", "missed, or their callbacks not run", ("AirflowDeadlinesMissed", "AirflowCallbacksWaiting")),
    Peer(_NOBODY, "metrics that rules need", "are not there", ("AirflowFamilyAbsent", "AirflowCollectorAbsent")),
)  # fmt: skip
"""By who has them, and what nobody had last."""
