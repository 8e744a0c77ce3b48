"""What a database's refusal means, in words for a human: where, what, what to do, and no password."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources.backends.backend import Backend, Refusal, cause_of


def explain(error: Exception, backend: Backend, secret: str | None, budget: float) -> SourceError:
    """The SourceError, or SourceUnreachable, to raise for a driver's `error`.

    `secret` is the password of its URL, `budget` the seconds that the session had.
    """
    where = f" ({backend.place()}, by {backend.found.setting})"
    cause = cause_of(error)
    if why := backend.gave_up(cause):
        return SourceUnreachable(
            # Without its seconds: collectors have different budgets, and a change of text is logged as news.
            f"database: {why}: the server{where} is frozen, overloaded or cut off; look at it, not at the exporter"
        )
    encoded = [quote_plus(secret), quote(secret, safe="")] if secret else []
    text = redact(" ".join(str(cause).split()), secret, *encoded)
    return backend.explain(Refusal(cause, text, where, budget))
