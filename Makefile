# Each target first makes .venv, if it is missing, and installs the package into it.
#
#   make demo                                             the main job on drawn fields, in minutes
#   make demo ARGS=--config=configs/demo_multiclass.yaml  the same with two classes
#   make test                                             the tests, in minutes
#   make retrain NAME=metaplastic                         a built-in model once more; CERVSEG_DATA=…
#   make tile train evaluate CONFIG=cells.yaml            your own job; ARGS=--overwrite adds a flag

CONFIG ?= configs/metaplastic.yaml
ARGS ?=
NAME ?= metaplastic
# The first of these that is a Python TensorFlow has wheels for; only asked when .venv is made.
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c $(SUPPORTED) 2>/dev/null && echo $$p; done) python3)

SUPPORTED := 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
VENV := .venv
BIN := $(VENV)/bin
CERVSEG := $(BIN)/python -m cervseg
# Two processes share the tests; each takes up to 6 GB in the end. Both would compile all tests
# each time, if bytecode was not kept.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal
READY := $(VENV)/.installed
BEGUN := $(VENV)/.unfinished

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all check format docs dist bench retrain tile train evaluate infer tiled-infer

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamp comes last: an installation that was broken off is begun again from nothing.
$(READY): pyproject.toml
	@$(PYTHON) -c $(SUPPORTED) \
		|| { echo "error: needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.11" >&2; exit 2; }
	@if [ -e $(BEGUN) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "making $(VENV) with $(PYTHON)" >&2; $(PYTHON) -m venv --clear $(VENV); fi
	@touch $(BEGUN)
	@echo "installing into $(VENV); the first time takes minutes (TensorFlow)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@mv $(BEGUN) $@

demo: $(READY)  ## draw fields, tile, train, evaluate, infer: configs/demo.yaml
	$(BIN)/python scripts/demo.py $(ARGS)

test: $(READY)  ## the tests but the slow ones
	$(PYTEST) -m 'not slow' $(ARGS)

# The contract of the networks, and the losses, once more on JAX, which here compiles for longer
# than it computes.
# Coverage starts in every process, also in those that the tests start.
test-all: $(READY)  ## all tests, and at least 90 % line coverage of cervseg/
	$(BIN)/python -m coverage erase
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml COVERAGE_FILE=$(CURDIR)/.coverage \
		$(PYTEST) $(ARGS)
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
		COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml COVERAGE_FILE=$(CURDIR)/.coverage \
		$(PYTEST) tests/models/test_contract_of_networks.py tests/losses $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=90

check: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy cervseg scripts

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## the pages of docs/ as a site, in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo build/site/index.html

dist: $(READY)  ## the wheel, in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls -l dist

bench: $(READY)  ## tiled inference against a naive loop and MONAI
	$(BIN)/python scripts/benchmark_tiled.py $(ARGS)

# Equal weights are the rule on one kind of machine; on another the scores are to be compared.
retrain: $(READY)  ## builtin:NAME once more, then compare its weights
	$(CERVSEG) dataset-tile configs/$(NAME)_shipped.yaml --resume
	$(CERVSEG) train configs/$(NAME)_shipped.yaml --resume
	$(BIN)/python scripts/ship_model.py runs/$(NAME)-shipped $(NAME) --check

tile: $(READY)  ## cervseg dataset-tile CONFIG
	$(CERVSEG) dataset-tile $(CONFIG) $(ARGS)

train: $(READY)  ## cervseg train CONFIG
	$(CERVSEG) train $(CONFIG) $(ARGS)

evaluate: $(READY)  ## cervseg evaluate CONFIG
	$(CERVSEG) evaluate $(CONFIG) $(ARGS)

infer: $(READY)  ## cervseg infer CONFIG
	$(CERVSEG) infer $(CONFIG) $(ARGS)

tiled-infer: $(READY)  ## cervseg tiled-infer CONFIG
	$(CERVSEG) tiled-infer $(CONFIG) $(ARGS)
