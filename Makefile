# What CI runs is what you run: each target makes the environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-long torture lint clean

demo: $(READY)  ## install, then run the main job on a drawn data set
	$(BIN)/affinitynet demo --work demo

test: $(READY) lint  ## what CI runs: lint, types, tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: $(READY)  ## minutes more: whole real images against the released code's numbers
	$(BIN)/python -m pytest -m slow

torture: $(READY)  ## half an hour: a hundred runs killed and continued, bad inputs, a hundred thousand damaged files a reader
	$(BIN)/python -m tests.support.torture
	$(BIN)/python -m tests.support.hostile
	$(BIN)/python -m tests.support.fuzz

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): pyproject.toml constraints.txt
	@echo "making the environment in $(VENV): about two minutes, 5.5 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
