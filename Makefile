# `make` lists the targets. Everything runs in .venv, which `setup` builds from the lock files.
.DEFAULT_GOAL := help
.PHONY: help setup wheel check test machine figures demo bench bench-large bench-quick superset grafana dbt airflow lock \
  regenerate clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 $(BIN)/uv

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Build .venv from the lock file

$(STAMP): requirements-uv.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
	@echo "installed into $(VENV)"

wheel: setup ## Build dist/callhouse-VERSION-py3-none-any.whl
	$(BIN)/hatchling build --target wheel

check: setup ## Format, lint, types, import contracts, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_documentation.py

test: setup ## Run the whole test suite, its own PostgreSQL included
	$(BIN)/python -m pytest -n 4 --dist worksteal

machine: setup ## Play ten thousand schedules of lists that change, and read a hundred thousand damaged records
	$(BIN)/python -m pytest -m long -n auto --dist worksteal tests/test_machine.py tests/test_row_code.py

figures: setup ## Count requests and tuples with 20,000 and 200,000 calls a provider
	$(BIN)/python -m pytest -m long -n auto --dist loadgroup -o log_cli=true -o log_cli_level=WARNING tests/test_request_costs.py

demo: setup ## Run the main job without a key or a server
	@$(BIN)/etl demo

BENCH ?=
bench: setup ## Measure Callhouse, its peers and the limit; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks --report docs/benchmarks.md $(BENCH)

bench-large: setup ## Measure 100,000 calls a provider, in half an hour; writes its part of docs/benchmarks.md
	$(BIN)/python -m benchmarks --calls 100000 --rounds 1 --cases backfill --only callhouse,script,arrow,dlt,dlt-same \
	  --report docs/benchmarks.md --part "make bench-large" $(BENCH)

bench-quick: setup ## Measure Callhouse, the bare script and COPY alone, in two minutes
	$(BIN)/python -m benchmarks --calls 2000 --rounds 2 --only callhouse,script,copy $(BENCH)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: ## Update the lock files
	$(COMPILE) pyproject.toml --extra queue -o requirements.lock
	$(COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	echo 'uv==0.13.8' | $(COMPILE) - -o requirements-uv.lock
	for spec in benchmarks/locks/*.in bi/locks/*.in; do $(COMPILE) $$spec -o $${spec%.in}.lock; done

superset: setup ## Try deploy/superset in a real Superset and browser; writes the pictures of docs/dashboards.md
	$(BIN)/python -m bi.superset.trial

grafana: setup ## Try deploy/grafana/calls.json: every query of it, over the sandbox's calls
	$(BIN)/python -m bi.grafana.trial

dbt: setup ## Build deploy/dbt in a real dbt, over the sandbox's calls
	$(BIN)/python -m bi.dbt.trial

airflow: setup ## Try deploy/airflow in a real Airflow, on a sandbox: also where tasks fail or are killed
	$(BIN)/python -m bi.airflow.trial

regenerate: setup ## Regenerate golden rows, generated docs and the table of country codes, to be reviewed as a diff
	ETL_REGENERATE=1 $(BIN)/python -m pytest -q tests/test_conformance.py tests/test_documentation.py tests/test_decisions.py tests/test_phones.py \
	  tests/test_questions.py tests/test_dashboards.py tests/test_job_queue.py

clean: ## Remove what the other targets made, except the embedded PostgreSQL's data in .etl
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
