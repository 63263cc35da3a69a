# Development tasks. `make` alone lists them. Everything runs in ./.venv, made on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Test processes. Each uses two threads.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations=20 -p no:randomly
# What `make test-changed` compares with.
SINCE ?= HEAD

.DEFAULT_GOAL := help
.PHONY: help venv demo zoo diagrams test test-changed test-random test-slow lint types format clean

help:  ## list the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
	  awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

venv: $(STAMP)  ## make .venv and install the package with its development tools

$(STAMP): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: efficientvision needs Python >= 3.11; $(PYTHON) is" \
	    "`$(PYTHON) --version 2>&1`. Name another: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) could not make $(VENV)" \
	    "(on Debian and Ubuntu its package is python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## train a small detector on made pictures and show it (under 8 minutes, 2 cores)
	$(BIN)/python demo/run_demo.py

zoo: $(STAMP)  ## write docs/model_zoo.md and its charts; counts networks that are new
	$(BIN)/python -m docs.zoo

diagrams: $(STAMP)  ## draw the feature fusions and a detector (docs/diagrams)
	$(BIN)/python -m docs.diagrams

test: $(STAMP)  ## run the fast tests
	$(PYTEST) -m "not slow"

test-changed: $(STAMP)  ## run the fast tests that changes since SINCE (by default the last commit) touch
	$(PYTEST) -m "not slow" $$($(BIN)/python -m tests.changed $(SINCE))

test-random: $(STAMP)  ## run the fast tests in a random order, whose seed is printed
	$(subst -p no:randomly,--randomly-dont-reset-seed,$(PYTEST)) -m "not slow"

test-slow: $(STAMP)  ## run the slow tests, which `make test` leaves out
	$(PYTEST) -m slow

lint: $(STAMP)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## check the types of the files that pyproject.toml names for mypy
	$(BIN)/mypy

format: $(STAMP)  ## put the code in its usual form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what demo and tests made (not .venv)
	rm -rf demo_output tutorial_output .pytest_cache .ruff_cache .mypy_cache build *.egg-info
