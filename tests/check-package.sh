#!/bin/sh
# Proves the wheel: it holds what it needs, its help works, and the demo's collectors do, without the development tools.
set -eu
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work" .
"$python" -m venv "$work/venv" 2>/dev/null || "$python" -m virtualenv --quiet "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$work"/*.whl

# From another folder, so that the source tree does not help.
cd "$work"
for command in "" exporter gen gen-rules explain "routes explain" runbook lint policy grants demo; do
    # shellcheck disable=SC2086
    venv/bin/airflow-obs $command --help >help.txt
    grep -q Usage help.txt
done
venv/bin/airflow-obs --version
venv/bin/airflow-obs gen-rules --out rules >/dev/null && diff -r rules "$OLDPWD/rules" --exclude peers.md
venv/bin/airflow-obs runbook AirflowWatchdog | cmp - "$OLDPWD/airflow_obs/oncall/runbooks/AirflowWatchdog.md"
venv/bin/airflow-obs grants | cmp - "$OLDPWD/exporters/postgresql/grants.sql"
venv/bin/airflow-obs grants --for mysql | cmp - "$OLDPWD/exporters/mysql/grants.sql"
status=0
AIRFLOW_HOME=$work HOME=$work venv/bin/airflow-obs exporter --once >metrics.txt 2>log.txt || status=$?
test $status = 2 && grep -q AIRFLOW_OBS_DB_URL log.txt
promtool check metrics <metrics.txt
status=0
venv/bin/airflow-obs demo --seconds 1 2>log.txt || status=$?
test $status = 2 && grep -q 'airflow-obs\[demo\]' log.txt

# What Airflow sends is taken with the wheel's own dependencies and its own mapping.
AIRFLOW_HOME=$work HOME=$work venv/bin/airflow-obs exporter --web.listen-address 127.0.0.1:0 \
    --statsd.listen-udp 127.0.0.1:0 --statsd.listen-tcp "" --statsd.mapping-config official-chart 2>taking.txt &
for _ in $(seq 60); do grep -q "taking StatsD on udp port" taking.txt && break; sleep 0.5; done
kill $!
wait $! || { cat taking.txt; exit 1; }
grep -q "taking StatsD on udp port" taking.txt

# The wheel's own dependencies must be enough for every collector: the development tools bring what they may lack.
venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint "$OLDPWD/constraints.txt" "$(ls "$work"/*.whl)[demo]"
venv/bin/airflow-obs demo --seconds 20 >demo.txt || { cat demo.txt; exit 1; }
tail -1 demo.txt
tail -1 demo.txt | grep -q 'collectors: \([0-9]*\) of \1 well' || { echo "check: a collector of the demo fails" >&2; exit 1; }
echo "check: the wheel and the demo work"
