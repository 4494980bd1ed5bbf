# Every target sets up what it needs. On a fresh machine: `make demo` and `make test`, nothing else typed.
#
#   PYTHON   the interpreter that makes the environments (3.11 or newer)
#   VENV     the environment; another folder may be given, for example a cache's

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# More workers than four spend their time on imports.
PARALLEL := -n auto --maxprocesses 4
STAMP = $(VENV)/.installed-$(shell cat requirements/dev.txt pyproject.toml | cksum | tr -d ' \t')

# What the tests run on besides the main environment: "name:interpreter:requirements".
MATRIX ?= lowest:python3.11:lowest newest:python3.11:newest py312:python3.12:dev py313:python3.13:dev

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format format-check types layers coverage covered e2e faults bench matrix lock clean

help: ## say what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit("otel-callbacks needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "No virtual environment can be made: on Debian, install python3-venv." >&2; exit 1; }
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install uv
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements/dev.txt requirements/tools.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@rm -f $(VENV)/.installed-* && touch $(STAMP)

install: $(STAMP) ## make the environment

demo: $(STAMP) ## run the demo: agent, graph, retrieval, stream, retry; prints the traces
	@$(BIN)/otel-callbacks demo

test: $(STAMP) ## run the tests that need nothing but Python
	$(BIN)/python -m pytest $(PARALLEL)

lint: $(STAMP) format-check types layers ## run every static check

format-check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(STAMP) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m tests.typing.check

layers: $(STAMP)
	$(BIN)/lint-imports --no-cache

coverage: $(STAMP) ## test core/ and callbacks/ branch by branch
	$(BIN)/python -m pytest -q $(PARALLEL) --cov --cov-report=
	@$(MAKE) --no-print-directory covered

covered: $(STAMP) ## judge the coverage that the last run measured
	$(BIN)/python -m coverage report --include='otel_callbacks/core/*,otel_callbacks/callbacks/*' --fail-under=100

e2e: $(STAMP) ## run the end-to-end tests: real collector, Jaeger and Tempo (needs Go to build them)
	deploy/backends/build
	$(BIN)/python -m pytest tests/e2e

faults: $(STAMP) ## run every fault for the plain SDK and for us, side by side (a quarter of an hour; needs Go)
	deploy/backends/build collector
	$(BIN)/python -m tests.faults

bench: $(STAMP) ## measure the cost of being observed
	$(BIN)/python -m benchmarks

matrix: $(STAMP) ## run the tests on the lowest and newest dependencies and on other Pythons
	@BIN=$(abspath $(BIN)) PARALLEL="$(PARALLEL)" requirements/matrix $(MATRIX)

lock: $(STAMP) ## resolve the dependencies again
	requirements/lock $(BIN)/uv

clean: ## remove what the targets made
	rm -rf .venv .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov
