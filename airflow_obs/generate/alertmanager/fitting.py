"""Which forms of routes fit the receivers of a policy: a file reads secrets from files, an object from Kubernetes secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from airflow_obs.errors import PolicyError
from airflow_obs.generate.alertmanager.custom_resource import by_namespace
from airflow_obs.generate.alertmanager.decision import decision
from airflow_obs.generate.alertmanager.intervals import UTC
from airflow_obs.policy import Policy
from airflow_obs.policy.explain import Path as At
from airflow_obs.policy.explain import problem
from airflow_obs.policy.loader import merged
from airflow_obs.policy.output import ROUTE_FORMATS, RouteFormat
from airflow_obs.policy.strict import Strict

FILE, OBJECT = ROUTE_FORMATS
_CALLED = "AlertmanagerConfig"


def fitting(policy: Policy, site: Path | None) -> tuple[RouteFormat, ...]:
    """The forms that are written: those that the policy names, else those that fit.

    `site` is the file of the policy, None for the default one. Raises PolicyError with all that keeps one from fitting that the
    policy names, or both of them where it names none.
    """
    against = {FILE: list(_against_file(policy)), OBJECT: list(_against_object(policy))}
    asked = policy.output.routes
    wanted = tuple(one for one in ROUTE_FORMATS if (not against[one] if asked is None else one in asked))
    wrong = [one for form in (ROUTE_FORMATS if asked is None else wanted) for one in against[form]]
    if wrong and not (asked is None and wanted):
        where = merged(site)
        raise PolicyError([problem(where, at, text) for at, text in dict.fromkeys(wrong)])
    return wanted


def left_out(policy: Policy, site: Path | None) -> Iterator[str]:
    """Of each form that the receivers are evidently made for, and that is not written all the same: why, and where that stands.

    None where the policy names the forms. Raises PolicyError as `fitting` does.
    """
    forms = fitting(policy, site)
    if policy.output.routes is not None:
        return
    for form, called, how, against in (
        (FILE, "alertmanager.yml", "_file", _against_file),
        (OBJECT, _CALLED, "_secret", _against_object),
    ):
        if form not in forms and (form == FILE or by_namespace(policy)) and _any_secret(policy, how):
            at, text = next(against(policy))
            yield f"no {called} is written: {problem(merged(site), at, text)}"


def _any_secret(policy: Policy, how: str) -> bool:
    """Whether a receiver reads one from a file (`_file`), or from Kubernetes (`_secret`)."""
    return any(
        key.endswith(how) and value is not None
        for _, integration in _integrations(policy)
        for key, value in integration
    )


def _against_file(policy: Policy) -> Iterator[tuple[At, str]]:
    for at, integration in _integrations(policy):
        for key in _lacking(integration, "file", "secret"):
            text = f"alertmanager.yml cannot read a Kubernetes secret: give {key}_file as well, or let output.routes be [{OBJECT}]"
            yield (*at, f"{key}_secret"), text
        for key in ("from", "smarthost") if at[-1] == "email" else ():
            if getattr(integration, "sender" if key == "from" else key) is None:
                yield at, f"alertmanager.yml has no global settings: give `{key}`, or let output.routes be [{OBJECT}]"


def _against_object(policy: Policy) -> Iterator[tuple[At, str]]:
    namespaces = by_namespace(policy)
    # Deployments and receivers may stand in no file of the site's.
    asked: At = ("output", "routes") if policy.output.routes else ("receivers",)
    if not namespaces:
        yield asked, f"an {_CALLED} is for a namespace: give one of `deployments` airflow.namespace"
    if not policy.receivers:
        yield asked, f"an {_CALLED} without receivers is none: list some"
    for at, integration in _integrations(policy):
        for key in _lacking(integration, "secret", "file"):
            text = f"an {_CALLED} cannot read a file: give {key}_secret as well, or let output.routes be [{FILE}]"
            yield (*at, f"{key}_file"), text
    in_some = {one.silence.name for those in namespaces.values() for one in decision(policy, those).quiet}
    for index, silence in enumerate(policy.silences):
        if silence.name in in_some and silence.location != UTC:
            text = f"an {_CALLED} knows no time zones: write the times in UTC, or let output.routes be [{FILE}]"
            yield ("silences", index, "location"), text


def _integrations(policy: Policy) -> Iterator[tuple[At, Strict]]:
    for index, receiver in enumerate(policy.receivers):
        yield from (
            (("receivers", index, kind), value) for kind, value in receiver if isinstance(value, Strict)
        )  # fmt: skip


def _lacking(integration: Strict, needed: str, other: str) -> Iterator[str]:
    """The secrets that are given, but not so as needed."""
    given: Mapping[str, object] = dict(integration)
    for name, value in given.items():
        key = name.removesuffix(f"_{other}")
        if key != name and value is not None and given.get(f"{key}_{needed}") is None:
            yield key
