"""The flags of statsd_exporter: what they make of the policy's sources."""

from __future__ import annotations

import pytest

from airflow_obs.errors import UsageError
from airflow_obs.exporter.drop_in import StatsdFlags, with_flags
from airflow_obs.policy import Deployment, Sources, load, loads
from airflow_obs.policy.ingest import StatsdSource

DATABASE = "AIRFLOW_OBS_DB_URL"
LISTED = """\
deployments:
  - name: airflow
    sources:
      database: {}
      statsd: {prefix: prod, listen_tcp: null, mapping: official-chart}
"""


@pytest.fixture(autouse=True)
def no_airflow_here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        DATABASE,
        f"{DATABASE}_FILE",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("nothing")))


def default() -> Deployment:
    return load().deployment(None)


def test_without_flags_nothing_changes() -> None:
    assert with_flags(default(), StatsdFlags()) == default()


def test_flags_alone_take_statsd_alone() -> None:
    sources = with_flags(default(), StatsdFlags(mapping_config="mappings.yml")).sources
    assert sources == Sources(statsd=StatsdSource(mapping="mappings.yml"))


def test_flags_beside_a_configured_database_add_statsd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, "postgresql://u@localhost/airflow")
    sources = with_flags(default(), StatsdFlags(listen_udp="127.0.0.1:8125", listen_tcp="")).sources
    assert sources.statsd == StatsdSource(listen_udp="127.0.0.1:8125", listen_tcp=None)
    assert sources.database == default().sources.database
    assert sources.broker == default().sources.broker


def test_what_the_policy_lists_stays_and_flags_win_over_it() -> None:
    listed = loads(LISTED, "site.yaml").deployment(None)
    sources = with_flags(listed, StatsdFlags(listen_udp=":0")).sources
    assert sources.database is not None
    assert sources.statsd == StatsdSource(prefix="prod", listen_udp=":0", listen_tcp=None, mapping="official-chart")


def test_an_empty_mapping_takes_the_policys_away() -> None:
    listed = loads(LISTED, "site.yaml").deployment(None)
    statsd = with_flags(listed, StatsdFlags(mapping_config="")).sources.statsd
    assert statsd is not None
    assert statsd.mapping is None


def test_a_mapping_may_have_any_name() -> None:
    statsd = with_flags(default(), StatsdFlags(mapping_config="mappings")).sources.statsd
    assert statsd == StatsdSource().model_copy(update={"mapping": "mappings"})


def test_a_flag_cannot_make_the_relay_go_round() -> None:
    listed = loads(LISTED.replace("prefix: prod", 'relay: "127.0.0.1:8125"'), "site.yaml").deployment(None)
    assert with_flags(listed, StatsdFlags(listen_udp=":8126")).sources.statsd
    with pytest.raises(UsageError, match=r"--statsd\.listen-udp: the relay is where StatsD comes in"):
        with_flags(listed, StatsdFlags(listen_udp=":8125"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (StatsdFlags(listen_udp="9125"), "--statsd.listen-udp: '9125' is not HOST:PORT; write it like :9125"),
        (StatsdFlags(listen_tcp=":x"), "--statsd.listen-tcp: ':x' is not HOST:PORT"),
        (StatsdFlags(listen_udp="", listen_tcp=""), "both are empty, so that StatsD can come in nowhere"),
    ],
)
def test_wrong_flags(flags: StatsdFlags, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        with_flags(default(), flags)
