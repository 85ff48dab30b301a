# Every verb makes or updates .venv by itself; nothing but Python 3.11 or newer, make and pip is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= results
# The studies that docs/findings.md answers questions with, in their forms for CI.
SMALL_STUDIES := $(patsubst configs/%.yaml,%,$(wildcard configs/*-ci.yaml))
# The CPUs that this process may use. -I: what lies beside the script must not hide Python's own modules.
JOBS ?= $(shell $(PYTHON) -I spaceprobe/machine/cpus.py)

.PHONY: quickstart test lint format docs bench bench-cuda depth-sweep depth-sweep-full studies report gallery package clean

quickstart: $(VENV)/installed  ## train, fold, decompose and summarize three small networks on MNIST
	$(BIN)/spaceprobe run quickstart --results $(RESULTS) --jobs $(JOBS)

depth-sweep: $(VENV)/installed  ## the experiment of the folding paper: 25 networks, five depths
	$(BIN)/spaceprobe run depth-sweep --results $(RESULTS) --jobs $(JOBS)

depth-sweep-full: $(VENV)/installed  ## the same with the whole MNIST test set: 10^8 paths for each network and epoch
	$(BIN)/spaceprobe run depth-sweep --results $(RESULTS)/full --jobs $(JOBS) --set folding.per_class=all

studies: $(VENV)/installed  ## the forms for CI of all studies of docs/findings.md, and that page: minutes
	@for study in $(SMALL_STUDIES); do \
		$(BIN)/spaceprobe run $$study --results $(RESULTS) --jobs $(JOBS) --no-report || exit; done
	$(BIN)/python scripts/findings.py $(SMALL_STUDIES) --results $(RESULTS)

report: $(VENV)/installed  ## the pages of all studies in the folder of results
	@for study in $(RESULTS)/*/study.yaml; do $(BIN)/spaceprobe report --quiet "$${study%/*}" || exit; done

gallery: $(VENV)/installed  ## the pictures of README and docs, from the studies in the folder of results
	$(BIN)/python scripts/gallery.py $(RESULTS)

test: $(VENV)/installed-dev  ## the whole suite
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal

lint: $(VENV)/installed-dev  ## formatting, style, types, and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml

package: $(VENV)/installed-dev  ## sdist and wheel, tried in a fresh environment outside of the checkout
	$(BIN)/python scripts/try_package.py

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/installed-docs  ## the site, in docs/_build; needs no network once installed
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet --builder html docs docs/_build

bench: $(VENV)/installed-dev  ## speed against the papers' way, both sides measured in one run
	$(BIN)/python scripts/bench.py --out $(RESULTS)
	$(BIN)/python scripts/bench_whole.py  # a process of its own, for its peak memory
	$(BIN)/python scripts/bench_lmd.py
	$(BIN)/python scripts/bench_layerwise.py

bench-cuda: $(VENV)/installed-dev  ## every engine on a CUDA device, against the CPU's counts; less than four minutes
	$(BIN)/python scripts/bench_cuda.py

clean:  ## remove the virtual environment; results are kept
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

# After torch: pip, given both at once, takes the newest CUDA toolkit for numba-cuda and then an old torch that allows it.
$(VENV)/installed-dev: pyproject.toml | $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/installed $(VENV)/installed-docs

$(VENV)/installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@ $(VENV)/installed
