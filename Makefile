# make run   the gateway on http://127.0.0.1:8787 with a built-in provider; installs what it needs first
#            ARGS=--demo-data: with a week of example requests and feedback
# make test  format, lint, types, tests: what CI runs; ARGS=tests/store for a part, JOBS=0 in one process
# make test-pythons  run the tests on each Python of pyproject.toml's classifiers that is on PATH
# make fix   repair what can be repaired by itself
# make clients  run the newest client libraries against the gateway, in an environment of their own
# make trainers  send every training format through the newest datasets and trl, in an environment of their own
# make bench measure everything, in a quarter of an hour; ARGS=--quick: in five minutes; see docs/performance.md
# make bench-pages  measure the web pages beside a million requests; ARGS="--rows 100000": beside fewer
# make proofs  kills, crashes, an absent store and ten minutes of load, in an hour; see docs/reliability.md
# make screenshots  take the pictures of docs/pages.md, with chromium and the demo's data
# make clean remove all that the others made, but no data

PYTHON ?= python3
EXTRAS ?= dev
ARGS ?=
JOBS ?= 3

VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-$(EXTRAS)

# Tests start hundreds of processes, each of which would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := run
.PHONY: run test test-pythons fix clients run-clients trainers run-trainers bench bench-pages proofs screenshots clean

run: $(RUN_STAMP)
	@exec $(BIN)/gateway serve --demo $(ARGS)

test: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@# Types are checked by one process. Another compiles the tests meanwhile, or each of pytest's would.
	$(BIN)/pytest --collect-only --quiet $(ARGS) >/dev/null 2>&1 & $(BIN)/mypy; code=$$?; wait; exit $$code
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Each in an environment of its own, which stays for the next time.
test-pythons:
	@for version in $$(sed -n 's/.*"Programming Language :: Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml); do \
	    if command -v python$$version >/dev/null; then \
	        $(MAKE) --no-print-directory VENV=.venv-$$version PYTHON=python$$version test || exit 1; \
	    else \
	        echo "python$$version is not on PATH: not tested"; \
	    fi; \
	done

fix: $(DEV_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clients:
	$(MAKE) --no-print-directory VENV=.venv-clients EXTRAS=clients run-clients

# Libraries that leave sockets open to the collector of garbage are not ours to mend.
run-clients: $(DEV_STAMP)
	npm ci --prefix tests/clients/node --no-audit --no-fund
	EVERY_CLIENT=yes $(BIN)/pytest tests/clients -W default --numprocesses $(JOBS) --dist loadfile $(ARGS)

trainers:
	$(MAKE) --no-print-directory VENV=.venv-trainers EXTRAS=trainers run-trainers

# Nothing is fetched: models are random, and data is made here.
run-trainers: $(DEV_STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/pytest tests/trainers -W default $(ARGS)

bench: $(DEV_STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

bench-pages: $(DEV_STAMP)
	$(BIN)/python -m benchmarks pages --contestants gateway --write benchmarks/results/pages.md $(ARGS)

proofs: $(DEV_STAMP)
	KILL_ROUNDS=50 $(BIN)/pytest tests/flows/test_kill_rounds.py
	CRASH_EXAMPLES=3000 $(BIN)/pytest --timeout 1800 tests/recording/test_crashes.py
	HISTORIES=1000 $(BIN)/pytest --timeout 1800 tests/recording/test_journal_histories.py
	$(BIN)/python -m benchmarks outages --contestants gateway
	$(BIN)/python -m benchmarks soak --contestants gateway

screenshots: $(DEV_STAMP)
	$(BIN)/python -m tests.screenshots docs/images

clean:
	rm -rf $(VENV) .venv-clients .venv-trainers .venv-3.* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf tests/clients/node/node_modules benchmarks/peers/portkey/node_modules benchmarks/peers/litellm/.venv
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: nothing is installed again until pyproject.toml changes.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12" \
	    if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV_STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRAS)]"
	@touch $@ $(RUN_STAMP)
