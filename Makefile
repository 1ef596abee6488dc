# Everything that is done with a checkout. Each target makes what it needs, also as the first command on a fresh clone.

# `make PYTHON=python3.13 test` has an environment of its own, .venv-3.13.
VENV := .venv$(if $(filter command environment,$(origin PYTHON)),$(patsubst python3.%,-3.%,$(filter python3.%,$(notdir $(PYTHON)))))
BIN := $(VENV)/bin
# Made when everything is installed: for the developer, who has all of it, and for the demo, which needs a third.
INSTALLED := $(VENV)/.installed
INSTALLED_DEMO := $(or $(wildcard $(INSTALLED)),$(VENV)/.installed-demo)
DEMO := build/demo

# The first Python on PATH that is new enough.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# The three adapters of the cloud, against stand-ins that are started for the command and stopped with it.
IN_CLOUD = PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m testbed.cloud
RUN_DEMO = helios-job run examples/orrery/job.json --concurrency 4 --audio $(DEMO)/music.wav

# Containers often forbid it. Here hundreds of processes would each compile 2,000 modules, for four seconds, again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-farm demo-slurm demo-lambda demo-cloud-run test test-slow faults bad-pictures audit check bench bench-quick format clean

help:
	@echo "make demo            render the example video"
	@echo "make demo-farm       the same by three nodes of an own farm, one of which is killed on the way"
	@echo "make demo-slurm      the same by nodes that a Slurm cluster gives (Debian's slurm-wlm and munge)"
	@echo "make demo-lambda     the same by an AWS Lambda function, in Lambda's own emulator"
	@echo "make demo-cloud-run  the same by a Cloud Run service, and by a Cloud Run job"
	@echo "make test            run the tests"
	@echo "make test-slow       run the tests that take long, and further variations"
	@echo "make faults          render 1,000 jobs while things die (an hour); ARGS='--jobs 50' for fewer, '--adapter farm' on own farms"
	@echo "make bad-pictures    make bad outputs of 47 kinds, and see which are caught (half an hour)"
	@echo "make audit           look the exact versions up in the database of known vulnerabilities"
	@echo "make check           format, lint, types, import rules"
	@echo "make bench           measure, in 50 minutes; make bench-quick in five"
	@echo "make format          put the code into shape"

INSTALL = test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer on PATH; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 2; }; \
	UV="$(UV)" sh install.sh $(VENV) $(PYTHON)

$(INSTALLED): pyproject.toml constraints.txt hatch_build.py
	@$(INSTALL) dev $@ $(VENV)/.installed-demo

$(VENV)/.installed-demo: pyproject.toml constraints.txt hatch_build.py
	@$(INSTALL) app,examples $@

# The environment first, then what is made with it.
.NOTPARALLEL:

demo: $(INSTALLED_DEMO) $(DEMO)/music.wav
	@echo "Rendering examples/orrery/job.json with 4 workers; the first time, Prefect makes its database …"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/$(RUN_DEMO) --job-dir $(DEMO) --output $(DEMO)/orrery.mp4
	@$(BIN)/python -m examples.orrery check $(DEMO)/orrery.mp4

$(DEMO)/music.wav:
	@$(BIN)/python -m examples.orrery music $@

demo-farm: $(INSTALLED) $(DEMO)/music.wav
	@mkdir -p $(DEMO)/farm
	@echo "Rendering examples/orrery/job.json by 3 nodes of an own farm, one of which is killed on the way …"
	@$(IN_CLOUD) farm $(RUN_DEMO) --adapter farm --job-dir $(DEMO)/farm --output $(DEMO)/farm.mp4
	@$(BIN)/python -m examples.orrery check $(DEMO)/farm.mp4

# Needs Debian's slurm-wlm and munge, and root; says so otherwise.
demo-slurm: $(INSTALLED) $(DEMO)/music.wav
	@$(BIN)/python -c "import sys; from testbed.cloud.slurm import missing_programs as m; sys.exit(m() and f'A Slurm cluster {m()}')"
	@mkdir -p $(DEMO)/slurm
	@echo "Rendering examples/orrery/job.json by nodes that a Slurm cluster of this machine is asked for …"
	@$(IN_CLOUD) slurm $(RUN_DEMO) --adapter farm --job-dir $(DEMO)/slurm --output $(DEMO)/slurm.mp4
	@$(BIN)/python -m examples.orrery check $(DEMO)/slurm.mp4

demo-lambda: $(INSTALLED) $(DEMO)/music.wav
	@$(BIN)/python -m testbed.cloud.emulator
	@mkdir -p $(DEMO)/lambda
	@echo "Rendering examples/orrery/job.json by a Lambda function, 4 instances at a time …"
	@$(IN_CLOUD) aws $(RUN_DEMO) --adapter aws-lambda --job-dir $(DEMO)/lambda --output $(DEMO)/lambda.mp4
	@$(BIN)/python -m examples.orrery check $(DEMO)/lambda.mp4

demo-cloud-run: $(INSTALLED) $(DEMO)/music.wav
	@mkdir -p $(DEMO)/cloud-run $(DEMO)/cloud-run-job
	@echo "Rendering examples/orrery/job.json by a Cloud Run service, 4 instances at a time …"
	@$(IN_CLOUD) google $(RUN_DEMO) --adapter cloud-run --job-dir $(DEMO)/cloud-run --output $(DEMO)/cloud-run.mp4
	@$(BIN)/python -m examples.orrery check $(DEMO)/cloud-run.mp4
	@echo "… and by a Cloud Run job, 4 tasks at a time …"
	@$(IN_CLOUD) google $(RUN_DEMO) --adapter cloud-run-job --job-dir $(DEMO)/cloud-run-job --output $(DEMO)/cloud-run-job.mp4
	@$(BIN)/python -m examples.orrery check $(DEMO)/cloud-run-job.mp4

# Tests wait for processes half of the time: one more at a time than there are CPUs. A file stays with one process, which
# then starts the file's server, worker or browser once.
TESTS_AT_ONCE := $(shell cpus=$$(nproc 2>/dev/null || echo 2); echo $$((cpus < 4 ? cpus + 1 : 4)))

test: $(INSTALLED)
	@$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: $(INSTALLED)
	@$(BIN)/python -m pytest -m slow -n $(TESTS_AT_ONCE) --dist loadfile $(ARGS)

faults: $(INSTALLED)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m faults $(ARGS)

bad-pictures: $(INSTALLED)
	@$(BIN)/python -m faults.pictures $(ARGS)

# Asks pypi.org, by uv's uvx, for every package that the images install; fails if one is vulnerable, or not known there.
audit:
	for list in deploy/*/requirements.txt; do uvx pip-audit --strict --require-hashes --disable-pip --requirement $$list || exit 1; done

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd examples/folder_farm && $(abspath $(BIN))/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(INSTALLED)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m benchmarks --quick $(ARGS)

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
