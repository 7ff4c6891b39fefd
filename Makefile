# Everything that a person or a build machine calls. `make help` lists it.
PYTHON ?= python3
ifeq ($(strip $(PYTHON)),)
$(error PYTHON is empty; leave it out, or name one: make PYTHON=/path/to/python3 …)
endif
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.complete
COMPILE := $(VENV)/bin/uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 \
	--no-header --no-emit-index-url --quiet
.DEFAULT_GOAL := help
.PHONY: help run setup test check generate lock bench mutations chaos docker-config clean

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## set up, then start everything: Kafka, PostgreSQL, mail catcher, ingest, alerting
	@exec $(VENV)/bin/rufkette run $(ARGS)

setup: $(STAMP) ## create .venv with everything in it; does nothing when nothing changed

$(STAMP): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "make setup: $(PYTHON) is not there; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@test "$$($(PYTHON) -c 'print(6 * 7)' 2>/dev/null)" = 42 || { echo "make setup: $(PYTHON) is no Python that runs; name another one: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make setup: $$($(PYTHON) --version) is too old; Rufkette needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make setup: $(PYTHON) cannot create virtual environments; install its venv package (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "make setup: installing the packages of requirements/dev.txt into $(VENV) …" >&2
	@{ $(PIP) --require-hashes -r requirements/dev.txt 2>&1; echo $$? > $(VENV)/setup.code; } \
		| tee $(VENV)/setup.log | sed -n 's/^Collecting \([^ ]*\).*/  \1/p' >&2
	@test "$$(cat $(VENV)/setup.code)" = 0 || { $(EXPLAIN); exit 1; }
	@$(PIP) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

PIP := $(PY) -m pip install --disable-pip-version-check --retries 2
OFFLINE := ConnectionError|NameResolutionError|ProxyError|ConnectTimeout|ReadTimeout|No matching distribution|unreachable
EXPLAIN = if grep -qE "$(OFFLINE)" $(VENV)/setup.log; then \
	echo "make setup: no connection to the package index; connect this machine once, or set HTTPS_PROXY or PIP_INDEX_URL (log: $(VENV)/setup.log)" >&2; \
	else tail -n 5 $(VENV)/setup.log >&2; fi

# Each worker has servers of its own, and waits half of the time: three on two cores. Fewer (make test WORKERS=2)
# for a machine that has other things to do.
WORKERS = $(shell $(PY) -c 'import os; n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2; print(max(n, min(n + 1, 3)))')

test: setup ## every test, against real Kafka, PostgreSQL and SMTP, on all cores
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## format, lint, types, import rules
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

generate: setup ## schemas/generated, docs/logging.md and docs/states.md anew, from the code
	$(PY) -m services.generate

lock: setup ## pin all dependencies anew, with hashes: Python packages and Kafka's jars
	$(COMPILE) --upgrade -o requirements/runtime.txt
	$(COMPILE) --upgrade --extra embedded --extra dev -o requirements/dev.txt
	echo hatchling | $(VENV)/bin/uv pip compile - -c requirements/dev.txt --generate-hashes --universal \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url --quiet -o requirements/build.txt
	$(PY) -m services.embedded.jars

bench: setup ## the benchmarks
	$(PY) -m bench $(ARGS)

mutations: setup ## change the core in one place at a time: which changes do its tests not notice? (minutes)
	$(PY) -m tests.core.mutations $(ARGS)

chaos: setup ## kill, hang and cut everything under load, seed after seed, and check that nothing is lost (ARGS="--seeds 30")
	$(PY) -m tests.faults.chaos $(ARGS)

docker-config: ## validate docker-compose.yml, where the docker client is present
	@docker compose version >/dev/null 2>&1 || { echo "make docker-config: docker with its compose plugin is not there (Debian: apt-get install docker-compose-v2, or Docker's own docker-compose-plugin)" >&2; exit 1; }
	docker compose config --quiet

clean: ## remove .venv, caches and the data of `make run`
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
