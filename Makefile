# The whole of what a person or a machine types. Every target sets up what it needs.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.installed

# Compiled tests are kept, whatever the caller's habit: to make them anew is a sixth of `make check`.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup check test demo bench fuzz clean tools

help:           ## this list
	@sed -n 's/^\([a-z]*\): .*## /\1 /p' Makefile | while read -r t d; do printf '  make %-8s %s\n' "$$t" "$$d"; done

setup: $(STAMP) ## virtualenv and pinned dependencies

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'gitboot needs Python 3.11 or newer: set PYTHON=/path/to/python3.11'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo 'The venv module is missing: apt-get install python3-venv'; exit 1; }
	@echo 'Installing what pyproject.toml names into $(VENV); the first time this takes a minute.'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: $(STAMP) ## lint, types and the core tests: under a minute, before every commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & types=$$!; \
	  $(BIN)/pytest -q -n 2 -m 'not shell and not lab' --hypothesis-profile=quick; tests=$$?; \
	  wait $$types && exit $$tests

tools:          ## Debian packages for the end-to-end tests (only as root on Debian)
	@tests/lab/install-tools

test: $(STAMP) tools ## every test; without root the end-to-end ones are skipped, and that is said
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -m 'not lab'
	$(BIN)/pytest -m lab
	@test "$$(id -u)" = 0 || echo 'The end-to-end tests were skipped: run `make test` as root on Debian to include them.'

demo: $(STAMP)  ## a whole site on loopback: server, simulated machines, a commit
	$(BIN)/gitboot demo $(if $(ONCE),--once)

bench: $(STAMP) tools ## ratios against Kea and dnsmasq, and push-to-wire latency
	$(BIN)/python -m benchmarks.run

fuzz: $(STAMP)  ## hostile bytes against every codec for MINUTES=60, on PROCESSES=<all>
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]' || \
	  echo 'atheris cannot be had here: damage by chance instead of by coverage.'
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),60) $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(INPUTS),--inputs $(INPUTS))

clean:          ## remove what the targets above made
	rm -rf $(VENV) .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
