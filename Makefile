# SPDX-License-Identifier: GPL-2.0-or-later
# One word a job, the same on a laptop and in CI. The work is done in Python: tools/bootstrap.py, omero_adi_plugin, pytest.

PYTHON ?= python3
RUN := .venv/bin/python
# The path of an OMERO.server's own Python code, often set where OMERO is at home, would hide what is in .venv.
unexport PYTHONPATH PYTHONHOME
# Tests start hundreds of Python processes: without its bytecode each would compile our code anew, for some 0.1 s of a processor.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo stop test test-long chaos check unit tested build clean

help: ## list these words
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 18

setup: ## make .venv and what it needs (the others do this first; quick when there is nothing to do)
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11, 3.12 or 3.13 (Debian, Ubuntu: apt-get install python3)." >&2; exit 1; }
	@"$(PYTHON)" tools/bootstrap.py

demo: setup ## PostgreSQL, a development OMERO server, the service, some orders; KEEP=1 leaves all running
	@$(RUN) -m omero_adi_plugin demo $(if $(filter-out 0,$(KEEP)),--keep)

stop: ## end what `make demo KEEP=1` left running
	@if [ -x $(RUN) ]; then $(RUN) -m omero_adi_plugin demo --stop; fi

# Files of tests in two processes more than there are cores (tests/fixtures/spreading.py), up to four: each has a PostgreSQL and an
# OMERO of its own. Those of whole services come first.
test: check ## the checks, then all tests
	$(RUN) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test-long: setup ## the tests that fetch a system for a container, as root: some minutes, and a mirror of Debian
	$(RUN) -m pytest -m long tests/long

ORDERS ?= 1000
KILLS ?= 200
DISPATCH ?= local

chaos: setup ## orders while everything is killed at random, for 10 minutes: ORDERS=1000 KILLS=200 SEED= DISPATCH=local|grid
	$(RUN) -W ignore::DeprecationWarning -m tests.crash.chaos --orders "$(ORDERS)" --kills "$(KILLS)" --dispatch "$(DISPATCH)" $(if $(SEED),--seed "$(SEED)")

check: setup ## lint, format, types, who imports whom
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	$(RUN) -m mypy
	.venv/bin/lint-imports

unit: setup ## the tests that need neither a database nor an OMERO
	$(RUN) -m pytest tests/unit

tested: setup ## what describes OMERO's behaviour, on the server of OMERO_HOST; writes docs/tested.md
	$(RUN) -m pytest tests/omero tests/facility tests/formats --tested docs/tested.md

build: setup ## the wheel and the source release, in dist/
	$(RUN) -m build

clean: ## remove all that these words have made in this folder (ends a demo that is still running)
	@if [ -d .demo ] && [ -x $(RUN) ]; then $(RUN) -m omero_adi_plugin demo --stop; fi
	rm -rf .venv .setup .demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
