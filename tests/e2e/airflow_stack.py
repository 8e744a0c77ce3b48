"""A real Airflow with CeleryExecutor on PostgreSQL and Redis: its settings, its tables, and its components as processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.airflow_releases import AirflowRelease
from tests.e2e.processes import NotReady, Program, Programs, answers

DAGS = Path(__file__).parent / "dags"
EXTRAS = ("celery", "postgres", "statsd", "otel")
"""What is installed with Airflow."""
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__PARALLELISM": "16",
    # In the default of 1 s a busy machine does not get through importing redis, and then every task fails.
    "AIRFLOW__CELERY__OPERATION_TIMEOUT": "15",
    "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__METRICS__STATSD_ON": "True",
    "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
}
SETTINGS_2 = {
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "43200",
    # Long enough that no task whose worker was killed fails in the midst of a later test.
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "86400",
    "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__PRINT_STATS_INTERVAL": "5",
    "AIRFLOW__WEBSERVER__SECRET_KEY": "e2e",
    "AIRFLOW__WEBSERVER__WORKERS": "1",
    "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
}
SETTINGS_3 = {
    # As above.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "86400",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "5",
    "AIRFLOW__API__SECRET_KEY": "e2e",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__API__HOST": "127.0.0.1",
    "AIRFLOW__API_AUTH__JWT_SECRET": "e2e" * 22,
    # A task fails that is not answered in time: the default of 5 s is too short for a busy machine (3.0 cannot be told).
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
}
PUBLIC_IS_ADMIN = 'AUTH_ROLE_PUBLIC = "Admin"\n'
"""webserver_config.py of 2.x: whoever asks is an administrator, so that no user has to be made (ten seconds)."""


@dataclass
class AirflowStack:
    """One Airflow: `environment` is what every component of it runs with, and nothing else is."""

    release: AirflowRelease
    virtual_environment: Path
    home: Path
    database_url: str
    broker_url: str
    result_backend: str
    port: int
    statsd_port: int
    programs: Programs
    environment: Mapping[str, str] = field(init=False)
    web: Program = field(init=False)
    scheduler: Program = field(init=False)

    def __post_init__(self) -> None:
        binaries = self.virtual_environment / "bin"
        if self.release.major == 2:
            own = SETTINGS_2 | {
                "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self.port),
                "AIRFLOW__WEBSERVER__BASE_URL": self.url,
            }
        else:
            # No base URL here: the exporter has to find the health endpoint by host and port.
            own = SETTINGS_3 | {
                "AIRFLOW__API__PORT": str(self.port),
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            }
        self.environment = {
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "NO_PROXY": "127.0.0.1,localhost",
            "AIRFLOW_HOME": str(self.home),
            # uv compiles nothing, and each of dozens of processes would compile all of Airflow; beside the DAGs nothing is written.
            "PYTHONPYCACHEPREFIX": str(self.home / "compiled"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database_url,
            "AIRFLOW__CELERY__BROKER_URL": self.broker_url,
            "AIRFLOW__CELERY__RESULT_BACKEND": self.result_backend,
            "AIRFLOW__METRICS__STATSD_PORT": str(self.statsd_port),
            # The older sends no tags, the newer one does.
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": str(self.release.major > 2),
            **SETTINGS,
            **own,
        }

    @property
    def url(self) -> str:
        """Where its web server listens."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run `airflow ARGUMENTS` to its end; returns its exit code and what it printed."""
        done = subprocess.run(
            ["airflow", *arguments],
            executable=self.virtual_environment / "bin" / "airflow",
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def migrate(self) -> None:
        """Create the tables. Raises NotReady with what Airflow said."""
        self.home.mkdir(exist_ok=True)
        if self.release.major == 2:
            (self.home / "webserver_config.py").write_text(PUBLIC_IS_ADMIN)
        code, said = self.command(*self.release.migrate_command)
        if code:
            raise NotReady(f"airflow {self.release.version}: {self.release.migrate_command} failed:\n{said[-3000:]}")

    def start(self) -> None:
        """Start every component but the workers; returns when the web server answers."""
        self.web = self.component("webserver" if self.release.major == 2 else "api-server")
        if self.release.major > 2:
            self.component("dag-processor")
        # -s: the log server would listen on a fixed port.
        self.component("triggerer", "-s")
        if self.release.major == 2:
            self.start_scheduler()
        self.web.wait_until("answering", lambda: answers(f"{self.url}/"))
        if self.release.major > 2:
            # Not before: tasks that do not find the API server fail.
            self.start_scheduler()

    def start_scheduler(self, **environment: str) -> None:
        """Start a scheduler, in addition to those that run, with these variables beside those of all components."""
        self.scheduler = self.component("scheduler", "-s", **environment)

    def component(self, name: str, *flags: str, **environment: str) -> Program:
        """Start `airflow NAME FLAGS`, with these variables beside those of all components."""
        nth = sum(program.name.startswith(name) for program in self.programs.started) + 1
        command = [str(self.virtual_environment / "bin" / "airflow"), name, *flags]
        return self.programs.start(f"{name}-{nth}", command, {**self.environment, **environment}, self.home)
