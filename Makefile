PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

BENCH := .venv-bench
PURELIB := 'import sysconfig; print(sysconfig.get_path("purelib"))'

.PHONY: help setup demo test lint types unit lock bench-setup

help:
	@echo "make demo    set everything up and run the demonstration (minutes)"
	@echo "make test    set everything up and run lint, types and tests"
	@echo "make setup   only set everything up, in $(VENV)"
	@echo "make lock    resolve the dependencies anew"
	@echo "make bench-setup    install the rivals that the benchmarks measure, in $(BENCH)"

setup: $(INSTALLED)

# torch stands apart, without a hash: each platform has its own build of it, and pip checks either
# all hashes of an installation or none. All that torch needs is locked, so it goes in last.
$(INSTALLED): requirements.lock requirements-torch.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; choose one by PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet -r requirements-torch.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/advprune run digits

test: lint types unit

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/mypy

unit: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# The rivals that the benchmarks measure against, beside the project's own packages.
bench-setup: setup
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --no-deps -r benchmarks/requirements.txt
	printf '%s\n' "$$($(BIN)/python -c $(PURELIB))" "$(CURDIR)/src" \
		> "$$($(BENCH)/bin/python -c $(PURELIB))/advprune-base.pth"

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv pip compile pyproject.toml --extra dev --constraints requirements-torch.lock \
		--universal --python-version 3.11 --upgrade --generate-hashes --no-header \
		--no-emit-package torch --quiet --output-file requirements.lock
