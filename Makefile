# What CI runs is what people run. Paths are relative, so that a checkout in a folder with spaces works.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE := .state
export PYTHONPATH := plugins:examples
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help venv scan test test-faults lint accuracy up clean
help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | column -t -s:

venv: $(VENV)/.installed  ## build the environment from requirements.txt (hashes checked)

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Set PYTHON=python3.12, say.")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@grep -A20 '^uv==' requirements.txt | sed -n '1p;/^    --hash/p;/^[^ u]/q' | grep -v '^[^ u]' > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	@echo "Installing requirements.txt into $(VENV) (once, about a minute)"
	@$(BIN)/uv pip install --system-certs --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	@$(BIN)/uv pip install --system-certs --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch "$@"

scan: venv       ## scan the sample organisation (or a real one, see .env.example) with Airflow, and print what was found
	@$(BIN)/python -m ecs_exposure_airflow.run_nightly

test: venv       ## the whole suite, on both cores
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not faults"

test-faults: venv  ## kills, scans that go wrong, long simulations
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m faults

lint: venv       ## ruff, mypy --strict on the product, every SQL model compiled
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_models.py

accuracy: venv   ## how often traits are right on labelled cases: make accuracy DATA=folder
	@test -n "$(DATA)" || { echo "Say which folder holds the labelled cases: make accuracy DATA=folder" >&2; exit 2; }
	@$(BIN)/python benchmarks/accuracy.py --data "$(DATA)" --check

up: venv         ## a local Airflow with its UI beside the embedded AWS; Ctrl-C stops both
	@$(BIN)/python -m ecs_exposure_airflow.standalone

clean:           ## forget the sample organisation's lake, hub and Airflow
	rm -rf $(STATE)
