# Everything a newcomer or a contributor types. Each target does its own set-up.

PYTHON := .venv/bin/python
# How many test processes work side by side, each in namespaces of its own.
WORKERS ?= 2
# The long tests first, so that no worker is left alone with one at the end.
PYTEST = $(PYTHON) -m pytest --dist loadfile --no-loadscope-reorder --tx '$(WORKERS)*popen//python=scripts/apart $(PYTHON)'
TESTS := tests/contract tests/functional tests/net tests/unit
# Passed on to what the target runs:  make demo ARGS="--servers 8",  make test ARGS="-k ledger"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup packages demo test test-all lint docs bench clean distclean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Boot a real nova and servers that ping each other
	@scripts/setup.sh run
	@.venv/bin/nova-fakes demo $(ARGS)

setup: ## Make the environment in .venv, with all that development needs
	@scripts/setup.sh dev

packages: ## Install the Debian packages that the tests use
	@scripts/packages.sh test

test: packages setup lint ## Lint, types, import contracts and all tests but the slow ones
	$(PYTEST) -m "not slow" $(TESTS) $(ARGS)

test-all: packages setup lint ## The same with the slow tests
	-$(PYTHON) scripts/nova_source.py
	-$(PYTHON) scripts/ldap_sources.py
	$(PYTEST) $(TESTS) $(ARGS)

lint: setup ## ruff, mypy and the import contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

docs: setup ## Build the documentation into build/docs
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

bench: packages setup ## Measure; writes build/bench.json (ARGS=--quick for a short run)
	$(PYTHON) scripts/bench.py $(ARGS)

clean: ## Remove what was built, but not the environment
	rm -rf build/docs build/bench.json dist report.html
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache
	find nova_fakes tests benchmarks scripts docs packaging -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Remove the environment as well
	rm -rf build .venv

.NOTPARALLEL:
