# make serve, make test: all that a fresh machine with Python 3.11 or later, make and pip needs.
PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
export HOST PORT

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: docs help install serve test browser promises lint format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 10

install: $(STAMP) ## make the virtual environment and install everything into it

# The stamp is younger than pyproject.toml once an install went through, so that it is repeated only after a change.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	@touch $@

serve: $(STAMP) ## run the service on HOST and PORT (127.0.0.1:8000)
	$(BIN)/anatomend serve

test: $(STAMP) browser ## run the tests, those of the page in a browser among them
	$(BIN)/python -m pytest

browser: ## install Debian's chromium for the tests of the page, where it is missing (asks for root)
	@.ci/browser

promises: $(STAMP) ## run the long tests that guard a promise (some minutes)
	$(BIN)/python -m pytest -m slow tests/service/api/test_mutated_uploads.py tests/service/jobs/test_cancel_race.py \
		tests/service/api/test_contract.py

lint: $(STAMP) ## check format, rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(STAMP) ## write the tables in the docs that are made from the code
	$(BIN)/python -m service.cli.parameter_docs docs/clients.md

format: $(STAMP) ## put the code in its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the virtual environment and the tools' caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
