.DEFAULT_GOAL := help

PYTHON ?= python3
UV ?= uv
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate

.PHONY: help run test demo check bench bench-growth bench-servers bench-year openapi lock clean

help: ## List the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r target line; do printf '  make %-13s %s\n' "$$target" "$$line"; done

run: .venv/serving ## Set everything up and serve the sample district until Ctrl-C
	@exec $(BIN)/python -m app.cli run-sample

demo: .venv/serving ## Play the story against the running service and say where every yuan went
	@exec $(BIN)/python -m app.cli demo

test: check ## Run the whole suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/developing ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/developing ## Measure the speeds side by side on this machine, with their floors
	$(BIN)/python -m tests.bench

bench-growth: .venv/developing ## The same with five million transfers stored (takes a while)
	$(BIN)/python -m tests.bench growth

bench-servers: .venv/developing ## Measure servers, processes and pool sizes against each other
	$(BIN)/python -m tests.bench servers

bench-year: .venv/developing ## Measure pages over the district's year, which is played first where it is not yet (takes a while)
	$(BIN)/python -m tests.bench year

openapi: .venv/serving ## Write openapi/openapi.json anew from the routes
	$(BIN)/python -m app.cli openapi

lock: ## Choose versions anew and pin them with hashes (needs uv)
	$(COMPILE) --upgrade pyproject.toml --output-file requirements.lock
	$(COMPILE) --upgrade --extra dev --constraint requirements.lock pyproject.toml --output-file requirements-dev.lock

clean: ## Remove what was installed and cached; the data in .data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than its lock file exactly when all of that file is installed.
.venv/serving: requirements.lock
.venv/developing: requirements-dev.lock
.venv/serving .venv/developing:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing $< (the first time takes a minute or two)"
	@$(PIP) install --quiet --quiet --require-hashes --requirement $<
	@touch $@
