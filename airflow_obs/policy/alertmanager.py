"""The Alertmanager that routes and receivers are written for: its release, who is told of the rest, and how often."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from airflow_obs.policy.knobs import Duration, Text, all_refused, refused
from airflow_obs.policy.strict import Strict
from airflow_obs.policy.teams import ReceiverName

OLDEST = "0.25"
"""The first Alertmanager that takes all that is not in `receivers.SINCE`."""
NOBODY = "nobody"
"""The receiver that tells nobody, which Alertmanager wants by name; no receiver of a site is called that."""
MEMORY = "5d"
"""How long Alertmanager knows by default of what it told: what is to be repeated later is repeated then (`--data.retention`)."""


class Alertmanager(Strict):
    """The Alertmanager that routes and receivers are written for."""

    version: Annotated[str, Text(r"0\.[0-9]{1,3}(?:\.[0-9]{1,3})?", 'its version in quotes, such as "0.28"')] = Field(
        "0.32",
        description=(
            'Its version in quotes, "0.25" or later: what it does not know is refused. The default is the newest, which knows all.'
        ),
    )
    default: ReceiverName | None = Field(
        None,
        description="Receiver of all that no team has one for, and of alerts that are not ours; null tells nobody.",
    )
    shadow: ReceiverName | None = Field(
        None, description="Receiver of alerts that are only watched (`shadow: true`); null tells nobody."
    )
    watchdog: ReceiverName | None = Field(
        None,
        description="Receiver of AirflowWatchdog, which says that alerts arrive: one that cries when it hears no more.",
    )
    watchdog_interval: Annotated[float, Duration("10s", "1h")] = Field(
        300.0, description="How often that receiver hears of it."
    )
    group_wait: Annotated[float, Duration("0s", "1h")] = Field(
        30.0,
        description="How long the first message waits for alerts that belong to it, or for the cause that makes it needless.",
    )
    group_interval: Annotated[float, Duration("1s", "1d")] = Field(
        300.0,
        description="How long the next message waits when alerts join or leave a group of which somebody was told.",
    )
    repeat_interval: Annotated[float, Duration("1m", MEMORY)] = Field(
        14_400.0, description="How often somebody is told again of critical alerts that still fire."
    )
    repeat_interval_others: Annotated[float, Duration("1m", MEMORY)] = Field(
        86_400.0, description="How often somebody is told again of all others."
    )

    @model_validator(mode="after")
    def _repeated_in_time(self) -> Alertmanager:
        repeats = {"repeat_interval": self.repeat_interval, "repeat_interval_others": self.repeat_interval_others}
        for key, repeat in repeats.items():
            if repeat < self.group_interval:
                text = f"nothing is repeated before group_interval, and {key} is less: raise the one or lower the other"
                raise refused(text)
        return self

    @model_validator(mode="after")
    def _known(self) -> Alertmanager:
        if parsed(self.version) < parsed(OLDEST):
            raise all_refused([(("version",), f"Alertmanager before {OLDEST} is not supported: upgrade it")])
        return self


def parsed(version: str) -> tuple[int, ...]:
    """The version as numbers, which compare as they should; what a patch changes is no matter here."""
    return tuple(map(int, version.split(".")[:2]))
