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
.PHONY: help venv demo docs docs-serve zoo diagrams test test-changed test-random test-slow lint types format clean

help:  ## list the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
	  awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

venv: $(STAMP)  ## create .venv and install the package with its development tools

$(STAMP): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: efficientvision needs Python >= 3.11; $(PYTHON) is" \
	    "`$(PYTHON) --version 2>&1`. Choose another: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) could not create $(VENV)" \
	    "(on Debian and Ubuntu install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## train a small detector on generated pictures (under 8 minutes on 2 cores)
	$(BIN)/python demo/run_demo.py

docs: $(STAMP)  ## build the documentation into site/
	$(BIN)/python -m docs.generate
	$(BIN)/zensical build --strict --clean

docs-serve: $(STAMP)  ## show the documentation on http://localhost:8000 while it is edited
	$(BIN)/python -m docs.generate
	$(BIN)/zensical serve

zoo: $(STAMP)  ## write docs/model_zoo.md and its charts; counts new networks only
	$(BIN)/python -m docs.zoo

diagrams: $(STAMP)  ## draw the feature fusions and a detector (docs/diagrams)
	$(BIN)/python -m docs.diagrams

test: $(STAMP)  ## run the fast tests
	$(PYTEST) -m "not slow"

test-changed: $(STAMP)  ## run the fast tests affected by changes since SINCE (default: last commit)
	$(PYTEST) -m "not slow" $$($(BIN)/python -m tests.changed $(SINCE))

test-random: $(STAMP)  ## run the fast tests in random order and print the seed
	$(subst -p no:randomly,--randomly-dont-reset-seed,$(PYTEST)) -m "not slow"

test-slow: $(STAMP)  ## run the slow tests, which `make test` skips
	$(PYTEST) -m slow

lint: $(STAMP)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## check types with mypy (pyproject.toml lists the files)
	$(BIN)/mypy

format: $(STAMP)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the output of demo and tests (not .venv)
	rm -rf demo_output tutorial_output site docs/reference .pytest_cache .ruff_cache .mypy_cache build *.egg-info
