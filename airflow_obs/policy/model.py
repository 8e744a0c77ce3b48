"""What a site may choose, as one frozen value."""

from __future__ import annotations

from typing import TypeVar

from pydantic import Field, ValidationInfo, field_validator

from airflow_obs.errors import UsageError
from airflow_obs.policy import addresses
from airflow_obs.policy.alertmanager import Alertmanager
from airflow_obs.policy.alerts import AlertsPolicy
from airflow_obs.policy.collectors import Collectors
from airflow_obs.policy.dags import SERIES, DagsPolicy
from airflow_obs.policy.deployments import SECRET_KEYS, SECRETS, Deployment
from airflow_obs.policy.knobs import all_refused, refused
from airflow_obs.policy.output import Dashboards, Output
from airflow_obs.policy.push import Push, to_itself
from airflow_obs.policy.receivers import Receiver
from airflow_obs.policy.retention import Retention
from airflow_obs.policy.silences import Silence
from airflow_obs.policy.slos import Slo
from airflow_obs.policy.strict import Strict
from airflow_obs.policy.teams import Team

_Named = TypeVar("_Named", Receiver, Team, Silence, Slo)


class Policy(Strict):
    """Everything a site chooses."""

    deployments: tuple[Deployment, ...] = Field(
        description="The Airflows to observe; one exporter process serves one of them.",
        json_schema_extra={"minItems": 1},
    )
    collectors: Collectors = Field(description="How each collector reads its source.")
    dags: DagsPolicy = Field(DagsPolicy(), validate_default=True, description="Which DAGs have series of their own.")
    retention: Retention = Field(
        Retention(), description="How long Airflow's rows should be kept, which shows whether anybody cleans up."
    )
    push: Push = Field(Push(), description="Who gets the figures beside Prometheus; nobody unless listed.")

    alerts: AlertsPolicy = Field(
        AlertsPolicy({}),
        description="The alerts, each with what it may be otherwise; a deployment may say it for itself alone.",
    )
    receivers: tuple[Receiver, ...] = Field((), description="Whom Alertmanager can tell.")
    teams: tuple[Team, ...] = Field(
        (),
        description="Who is told of what: of each DAG the first team that it fits, of the platform the deployment's team.",
    )
    alertmanager: Alertmanager = Field(
        Alertmanager(), description="The Alertmanager that receivers and routes are written for."
    )
    silences: tuple[Silence, ...] = Field(
        (),
        description="When nobody is told: business hours, maintenance. They become Alertmanager's mute and active time intervals.",
    )
    slos: tuple[Slo, ...] = Field((), description="Service level objectives: what the site promises its users.")
    dashboards: Dashboards = Field(Dashboards(), description="How dashboards and alerts find each other.")
    output: Output = Field(Output(), description="What `airflow-obs gen` and `gen-rules` write.")

    elsewhere = dict.fromkeys(SECRET_KEYS - {"name", "database"}, SECRETS)

    @field_validator("deployments")
    @classmethod
    def _some(cls, deployments: tuple[Deployment, ...]) -> tuple[Deployment, ...]:
        # pydantic's min_length counts only the sound items, and so would call a list of unsound ones empty
        if not deployments:
            raise refused("the list is empty: write at least one item, or remove the key")
        return deployments

    @field_validator("push")
    @classmethod
    def _not_to_itself(cls, push: Push, info: ValidationInfo) -> Push:
        for deployment in info.data.get("deployments", ()):
            for name, address, listen in push.heard_by(deployment.sources):
                if addresses.is_itself(address, listen):
                    raise refused(
                        to_itself(deployment.name), ("push", name, "endpoint" if name == "otlp" else "address")
                    )
        return push

    @field_validator("dags")
    @classmethod
    def _none_cut(cls, dags: DagsPolicy, info: ValidationInfo) -> DagsPolicy:
        collectors = info.data.get("collectors")
        if collectors is not None and dags.top * SERIES > (most := collectors.dags.max_series):
            text = (
                f"{dags.top} DAGs (dags.top) have up to {dags.top * SERIES} series of one metric, and "
                f"collectors.dags.max_series is {most}: lower the one or raise the other"
            )
            raise refused(text, ("collectors", "dags", "max_series"), ("dags", "top"))
        return dags

    @field_validator("receivers", "teams", "silences", "slos")
    @classmethod
    def _each_its_own_name(cls, named: tuple[_Named, ...], info: ValidationInfo) -> tuple[_Named, ...]:
        kind = str(info.field_name).removesuffix("s")
        names = [one.name for one in named]
        if wrong := [
            ((index, "name"), f"an earlier {kind} is called {name} as well: give each its own name")
            for index, name in enumerate(names)
            if name in names[:index]
        ]:
            raise all_refused(wrong)
        return named

    @field_validator("silences")
    @classmethod
    def _one_outside(cls, silences: tuple[Silence, ...]) -> tuple[Silence, ...]:
        # Alertmanager tells of what is inside of any of several: where two are meant, each would be silent in vain.
        advice = (
            ", which Alertmanager cannot do: write one of them with `inside`, or keep them apart by deployments, teams, "
            "severities or alerts"
        )
        outside = [(index, one) for index, one in enumerate(silences) if one.when == "outside"]
        if wrong := [
            (
                (index, "when"),
                f"{other.name} is silent outside of its times as well, and for some of the same alerts{advice}",
            )
            for at, (index, one) in enumerate(outside)
            for _, other in outside[:at]
            if one.meets(other)
        ]:
            raise all_refused(wrong)
        return silences

    def deployment(self, name: str | None = None) -> Deployment:
        """The deployment called `name`, or the only one for None; raises UsageError naming those that there are."""
        known = ", ".join(deployment.name for deployment in self.deployments)
        if name is None and len(self.deployments) == 1:
            return self.deployments[0]
        if name is None:
            raise UsageError(f"the policy has several deployments: choose one with --deployment ({known})")
        for deployment in self.deployments:
            if deployment.name == name:
                return deployment
        raise UsageError(f"--deployment: the policy has no deployment of that name, only {known}")
