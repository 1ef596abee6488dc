# Everything that is done with a checkout. Each target makes what it needs, also as the first command on a fresh clone.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := build/demo

# The first Python on PATH that is new enough.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: help demo test check bench format clean

help:
	@echo "make demo    render the example video"
	@echo "make test    run the tests"
	@echo "make check   format, lint, types, import rules"
	@echo "make bench   measure"
	@echo "make format  put the code into shape"

$(INSTALLED): pyproject.toml constraints.txt hatch_build.py
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer on PATH; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "Setting up $(VENV) with $(PYTHON): once, a minute or two …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	@mkdir -p $(DEMO)
	@$(BIN)/python -m examples.orrery music $(DEMO)/music.wav
	@echo "Rendering examples/orrery/job.json with 4 workers; the first time, Prefect makes its database …"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/helios-job run examples/orrery/job.json \
		--job-dir $(DEMO) --concurrency 4 --audio $(DEMO)/music.wav --output $(DEMO)/orrery.mp4
	@$(BIN)/python -m examples.orrery check $(DEMO)/orrery.mp4

test: $(INSTALLED)
	@$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m benchmarks $(ARGS)

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
