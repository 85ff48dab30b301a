# Every verb makes or updates .venv by itself; nothing but Python 3.11 or newer, make and pip is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= results

.PHONY: quickstart test lint format bench depth-sweep clean

quickstart: $(VENV)/installed  ## train, fold, decompose and summarize three small networks on MNIST
	$(BIN)/spaceprobe run quickstart --results $(RESULTS)

depth-sweep: $(VENV)/installed  ## the experiment of the folding paper: 25 networks, five depths
	$(BIN)/spaceprobe run depth-sweep --results $(RESULTS)

test: $(VENV)/installed-dev  ## the whole suite
	$(BIN)/pytest

lint: $(VENV)/installed-dev  ## formatting, style, types, and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-dev  ## speed against the papers' way, both sides measured in one run
	$(BIN)/python scripts/bench.py --out $(RESULTS)

clean:  ## remove the virtual environment; results are kept
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/installed
