# Everything is set up by the target that needs it, in .venv; only python3 (3.11 or later), pip and make are assumed.
#
#   make demo     a simulated Airflow, and the exporter on it        make test    every fast test
#   make lint     ruff, mypy --strict, import contracts              make e2e     against a real Airflow 2.10, 3.0, 3.1 and 3.3
#   make check    the generated and packaged things are right        make drill   the demo's faults before the alerts, in Prometheus
#   make gen      write what is generated from the catalogue         make bench   figures: cost, latency, memory
#   make schemas  the tests' schemas, from real Airflows             make mysql   on a MySQL of yours: URL=mysql://root@…
#   make screenshot   the README's picture of the status page

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
ARGS ?=
# Of one target alone, where several are made at once.
E2E ?= $(ARGS)
DRILL ?= $(ARGS)
# Tests at a time, by file: twice as many as cores, for many of them wait for something. In which order: tests/conftest.py.
JOBS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) * 2 )))

# What Python makes of our modules is kept, whatever the environment says: else every process of the tests makes it anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test e2e drill mysql lint gen check bench schemas screenshot constraints clean
.DELETE_ON_ERROR:

demo: .venv/demo
	$(BIN)/airflow-obs demo $(ARGS)

test: .venv/dev
	sh tests/install-tools.sh
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# One release after the other; side by side, which two cores bear: ARGS='--numprocesses 2'.
e2e: .venv/dev
	sh tests/install-tools.sh
	$(BIN)/python -m pytest tests/e2e $(E2E)

# Every fault of the demo, several at a time, before one Prometheus with the generated rules; some of them: ARGS='-k redis'.
drill: .venv/dev
	sh tests/install-tools.sh
	$(BIN)/python -m pytest tests/drill $(DRILL)

# What MySQL has otherwise than MariaDB, on one that you have, in a database and as an account made for it: URL=mysql://root@127.0.0.1
mysql: .venv/dev
	$(BIN)/python -m pytest tests/mysql --mysql '$(URL)' $(ARGS)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Writes what is generated from the catalogue; make check proves that it is current.
gen: .venv/dev
	$(BIN)/airflow-obs gen $(ARGS)

check: .venv/dev
	$(BIN)/airflow-obs gen --check
	sh tests/install-tools.sh
	promtool check rules rules/prometheus/*.yaml
	promtool test rules rules/tests/*.yaml
	amtool check-config rules/alertmanager/alertmanager.yml
	sh rules/tests/routes.test.sh
	sh tests/check-package.sh $(BIN)/python

bench: .venv/dev
	$(BIN)/python -m bench $(ARGS)

# Runs the real Airflow of each release (uv fetches it) and writes the schema that it migrates to.
schemas: .venv/dev
	$(BIN)/python -m tests.schemas.regenerate $(ARGS)

# Of the demo with a fault, in Chromium.
screenshot: .venv/dev
	sh tests/install-tools.sh
	$(BIN)/python -m tests.screenshot

# The newest versions that pass: run `make lint test` with them before you commit.
constraints:
	rm -rf .venv/fresh && $(PYTHON) -m venv .venv/fresh
	.venv/fresh/bin/python -m pip install --quiet --editable '.[dev]'
	{ head -1 constraints.txt; .venv/fresh/bin/python -m pip freeze --exclude-editable; } > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Debian's python3 has no ensurepip without its package python3-venv; virtualenv from the index does without.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: python3 is older than 3.11, which airflow-obs needs: install one, or say make PYTHON=…" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv .venv || { \
		rm -rf .venv && $(PYTHON) -m pip install --quiet --disable-pip-version-check --target .venv/bootstrap virtualenv && \
		PYTHONPATH=.venv/bootstrap $(PYTHON) -m virtualenv --quiet .venv && rm -rf .venv/bootstrap; }

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo]'
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@
