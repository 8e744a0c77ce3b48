"""What each kind of receiver is sent, as fields of alertmanager.yml; secrets are left to whoever knows where they come from."""

from __future__ import annotations

from airflow_obs.generate.alertmanager.messages import (
    IN_MAIL,
    IN_OPSGENIE,
    IN_PAGERDUTY,
    IN_SLACK,
    IN_TEAMS,
    PAGED,
    PLAIN,
    SLACK,
    TEAMS,
    html,
    link,
    listing,
    severity,
    title,
)
from airflow_obs.generate.yaml_text import Value
from airflow_obs.policy.receivers import Email, Opsgenie, PagerDuty, Slack, Teams, Webhook

Integration = Slack | PagerDuty | Opsgenie | Email | Webhook | Teams
Fields = dict[str, Value]

_LINE = 150
"""Characters of a title that people take in at a glance."""


def fields(one: Integration) -> Fields:
    """The fields of one integration, without its secret."""
    written: Fields = {"send_resolved": one.send_resolved}
    match one:
        case Slack():
            return written | _slack(one)
        case PagerDuty():
            return written | _pagerduty(one)
        case Opsgenie():
            return written | _opsgenie(one)
        case Email():
            return written | _email(one)
        case Webhook():
            return written | {"url": one.url, "max_alerts": one.max_alerts}
        case Teams():
            return written | {"title": title(TEAMS, _LINE), "text": listing(TEAMS, IN_TEAMS)}


def _slack(one: Slack) -> Fields:
    colour = severity("danger", "warning", "#439fe0", "#808080")
    return {
        "channel": one.channel,
        "color": f'{{{{ if eq .Status "resolved" }}}}good{{{{ else }}}}{colour}{{{{ end }}}}',
        "title": title(SLACK, _LINE, summary=True),
        "fallback": title(SLACK, 300, summary=True),
        "text": listing(SLACK, IN_SLACK),
    }


def _pagerduty(one: PagerDuty) -> Fields:
    # Names that Alertmanager has details for, without bounds, unless we say what they hold.
    details = {
        "firing": listing(PAGED, IN_PAGERDUTY, ("firing",)),
        "resolved": listing(PAGED, IN_PAGERDUTY, ("resolved",)),
        "num_firing": "{{ len .Alerts.Firing }}",
        "num_resolved": "{{ len .Alerts.Resolved }}",
    }
    links = [
        {
            "href": link(annotation, "{{ . }}", "{{ .ExternalURL }}"),
            "text": link(annotation, text, "Alertmanager"),
        }
        for annotation, text in (("runbook_url", "Runbook"), ("dashboard_url", "Dashboard"))
    ]
    return {
        "url": one.url,
        "description": title(PLAIN, 900, summary=True),
        "severity": severity("critical", "warning", "info", "error"),
        "class": "{{ .CommonLabels.alertname }}",
        "group": "{{ .CommonLabels.airflow }}",
        "details": details,
        "links": links,
    }


def _opsgenie(one: Opsgenie) -> Fields:
    return {
        "api_url": one.api_url,
        "message": title(PLAIN, 130, summary=True),
        "description": listing(PLAIN, IN_OPSGENIE),
        "priority": severity("P1", "P3", "P5", "P3"),
        "entity": "{{ .CommonLabels.airflow }}",
        "responders": [{"name": name, "type": "team"} for name in one.responders],
        # Else an alert goes on saying what it said at first, whatever joins its group.
        "update_alerts": True,
    }


def _email(one: Email) -> Fields:
    return {
        "to": ", ".join(one.to),
        "from": one.sender,
        "smarthost": one.smarthost,
        "auth_username": one.auth_username,
        "require_tls": one.require_tls,
        "headers": {"Subject": title(PLAIN, _LINE, summary=True)},
        "text": listing(PLAIN, IN_MAIL),
        "html": html(),
    }
