# Everything is set up on first use: a fresh clone needs make and Python 3.11 or newer, nothing else.
#
#   make demo    the server with its built-in provider, traffic through every rule, the report: no keys, no network
#   make test    the fast tests
#   make check   formatting, lint, types, import ranks
#   make all     check, then every test: what CI runs
#   make bench   throughput, latency, CPU and memory against a bare proxy and a direct call; BENCH="--quick" for short
#   make lock    resolve pyproject.toml's dependencies anew into requirements*.txt
#   make setup   only the set-up;  make clean  removes it and every cache
#
# Another interpreter: make test PYTHON=python3.13

VENV := .venv
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
BENCH ?=
# Where it is set, every process that the tests start would compile the whole program anew.
unexport PYTHONDONTWRITEBYTECODE
UV_VERSION := 0.13.8
# Python files without the ending are found through pyproject.toml's extend-include.
SOURCES := router tests scripts

.PHONY: setup demo test check all bench lock clean
.DEFAULT_GOAL := all

setup: $(STAMP)

# The locks decide what is installed, so only they (and the project's own metadata) make it run again.
$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11" >&2; exit 1; }
	@echo "Setting up $(VENV), once: this takes half a minute or so"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)
	@$(BIN)/python scripts/demo

test: $(STAMP)
	@$(BIN)/python -m pytest -q -m "not slow" -n auto --ignore=tests/end_to_end --ignore=tests/faults

check: $(STAMP)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

# pytest's summary is the last line printed.
all: check
	$(BIN)/python -m pytest -q -n auto

bench: $(STAMP)
	@$(BIN)/python scripts/bench $(BENCH)

# One file for what runs, one for development; both hold for Linux and macOS and every supported Python.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-config \
	--custom-compile-command "make lock"
lock: $(STAMP)
	@$(PIP) install --quiet uv==$(UV_VERSION)
	@$(LOCK) --upgrade -o requirements.txt
	@$(LOCK) --upgrade --all-extras --group dev --constraint requirements.txt -o requirements-dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	find router tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
