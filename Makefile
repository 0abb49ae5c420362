# What CI runs is what you run: each target makes the environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PURELIB := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
# What differs between versions of the dependencies: commands, readers, networks, exports, the whole line, locks.
MINIMUM ?= tests/cli tests/config tests/data tests/models tests/ops tests/pipeline/test_run.py \
	tests/pipeline/test_torture.py tests/tools tests/training
READY := $(VENV)/.ready

.PHONY: demo test test-long test-exports test-storage test-minimum torture lint docs wheel clean

demo: $(READY)  ## install, then run the main job on a drawn data set
	$(BIN)/affinitynet demo --work demo

test: $(READY) lint  ## what CI runs: lint, types, tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: $(READY)  ## minutes more: whole real images against the released code's numbers; a job that loses a process
	$(BIN)/python -m pytest -m slow

torture: $(READY)  ## half an hour: a hundred runs killed and continued, bad inputs, a hundred thousand damaged files a reader
	$(BIN)/python -m tests.support.torture
	$(BIN)/python -m tests.support.restarts
	$(BIN)/python -m tests.support.hostile
	$(BIN)/python -m tests.support.fuzz

define test_with_tools  # in an environment of its own, which sees that of the tests: name, marker, tests
	@trap 'rm -rf .venv-$(1)' EXIT; trap 'exit 130' INT TERM; set -ex; \
	$(BIN)/python -m venv --clear .venv-$(1); \
	$(BIN)/python $(PURELIB) > "$$(.venv-$(1)/bin/python $(PURELIB))/torch_and_the_rest.pth"; \
	.venv-$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/support/$(1)_tools.txt; \
	PYTHONPATH="$(CURDIR)/src" .venv-$(1)/bin/python -m pytest -m $(2) $(3)
endef

test-exports: $(READY)  ## five minutes: ultralytics, Label Studio, datumaro and datasets read exports, in an environment of their own
	$(call test_with_tools,export,tools,tests/tools/test_export_tools.py)

test-storage: $(READY)  ## three minutes: collections and work folders on a local server that speaks S3, in an environment of its own
	$(call test_with_tools,storage,storage,tests/cli/test_storage.py)

test-minimum:  ## the tests of the oldest versions that pyproject.toml allows, in an environment of their own
	rm -rf .venv-minimum
	set -e; trap 'rm -rf .venv-minimum' EXIT INT TERM; \
	$(PYTHON) -m venv .venv-minimum; \
	$(PYTHON) -m tests.support.minimum > .venv-minimum/pins.txt; \
	.venv-minimum/bin/python -m pip install --quiet --disable-pip-version-check -r .venv-minimum/pins.txt pytest pytest-xdist; \
	.venv-minimum/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; \
	.venv-minimum/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(MINIMUM)

lint: $(READY) docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(READY)  ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: $(READY)  ## sdist and wheel in dist/; the wheel is installed elsewhere and tried
	rm -rf dist .venv-wheel
	set -e; trap 'rm -rf $(CURDIR)/.venv-wheel' EXIT INT TERM; \
	$(BIN)/python -m build --quiet; \
	$(PYTHON) -m venv .venv-wheel; \
	.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl; \
	cp tests/support/tiny_run.py .venv-wheel/; \
	cd .venv-wheel; bin/affinitynet --help > /dev/null; bin/python -P tiny_run.py

$(READY): pyproject.toml constraints.txt
	@echo "making the environment in $(VENV): about two minutes, 5.5 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) .venv-export .venv-storage .venv-minimum .venv-wheel demo dist site .pytest_cache .mypy_cache .ruff_cache
