# Everything that can be done with a checkout: `make` lists it.
# It needs Python 3.11 or newer, git and make; all else is installed into .venv, pinned by the lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
COMPILED := $(VENV)/.driftd-compiled
HOME_OF := $(VENV)/.made-in
BUILD := build
PIP := $(PY) -m pip --disable-pip-version-check --no-input install --quiet
LOCK := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

# A .venv that was made elsewhere (its scripts hold paths), or whose Python is gone or too old, is made anew.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
SOUND := [ "$$(cat $(HOME_OF) 2>/dev/null || pwd)" = "$$(pwd)" ] && $(PY) -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null
ifneq ($(shell $(SOUND) || echo no),)
$(shell rm -f $(RUNTIME) $(DEV))
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv demo test lint format types contracts unit controlplane demo-test bench manifests pictures site lock clean

help: ## List what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s%s\n", $$1, $$2 }'

venv: $(DEV) $(COMPILED) ## Make .venv with everything that development needs

demo: $(COMPILED) ## Show the main job on an embedded cluster: drift, who did it, healed, rolled back
	@$(BIN)/driftd demo

test: lint types contracts unit controlplane demo-test ## Run all checks and tests, as CI does

lint: $(DEV) ## Check style, formatting and that what is imported is what is declared
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry --no-ansi .

format: $(DEV) ## Put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV) ## Check types
	$(PY) -m mypy -p driftd -p benchmarks -p tests.support -m tests.conftest

contracts: $(DEV) ## Check which room may import which
	$(BIN)/lint-imports

unit: $(DEV) $(COMPILED) ## Run the tests that need no control plane
	$(PY) -m pytest -m "not controlplane" -n auto --tally=$(BUILD)/tally/unit.json

controlplane: $(DEV) $(COMPILED) ## Run the tests on a real control plane (the first time it is built, about 12 minutes)
	$(PY) -m tests.support.assets
	$(PY) -m tests.support.chart_tools
	$(PY) -m tests.support.registry
	$(PY) -m pytest -m controlplane -n0 --require-controlplane --tally=$(BUILD)/tally/controlplane.json

demo-test: $(COMPILED)
	@mkdir -p $(BUILD)
	$(BIN)/driftd demo </dev/null >$(BUILD)/demo.txt 2>&1 || { code=$$?; cat $(BUILD)/demo.txt; exit $$code; }
	@cat $(BUILD)/demo.txt

bench: $(DEV) $(COMPILED) ## Measure: cold checks beside other tools, the daemon, growth, the cost of a verdict (about an hour)
	@mkdir -p $(BUILD)/bench
	$(PY) -m benchmarks.compare --json $(BUILD)/bench/compare.json
	$(PY) -m benchmarks.check --json $(BUILD)/bench/check-1000.json
	$(PY) -m benchmarks.check --objects 10000 --peers flux,argo --json $(BUILD)/bench/check-10000.json
	$(PY) -m benchmarks.daemon --json $(BUILD)/bench/daemon.json
	$(PY) -m benchmarks.growth --json $(BUILD)/bench/growth.json
	$(PY) -m benchmarks.read_model --json $(BUILD)/bench/read-model.json

manifests: $(DEV) ## Make the schema and the README of the chart, and deploy/install.yaml, anew
	$(PY) -m tests.deploy.generated

pictures: $(DEV) ## Draw the pictures of the README anew
	$(PY) -m tools.pictures

site: $(DEV) ## Build the documentation site into build/site
	$(PY) -m tools.site

lock: $(DEV) ## Resolve the dependencies of pyproject.toml anew, within its bounds
	$(LOCK) --upgrade --extra postgresql pyproject.toml -o requirements.lock
	$(LOCK) --upgrade --group build -c requirements.lock -o requirements-build.lock
	$(LOCK) --upgrade --extra postgresql pyproject.toml --group build --group dev --group docs \
		-c requirements.lock -c requirements-build.lock -o requirements-dev.lock
	$(LOCK) --upgrade --no-annotate tests/controlplane/go.in -o tests/controlplane/go.lock

clean: ## Remove .venv and everything that was made here (the control plane's programs stay in the user's cache)
	rm -rf $(VENV) $(BUILD) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): requirements.lock requirements-build.lock pyproject.toml
	@set -e; found=; for python in "$(PYTHON)" python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c '$(NEW_ENOUGH)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "driftd needs Python 3.11 or newer; '$(PYTHON)' is" \
			"$$("$(PYTHON)" --version 2>&1 | head -n 1). Name another one: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	if ! { $(SOUND); }; then \
		echo "Making $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv --clear $(VENV) || { \
			echo "'$$found -m venv' failed: on Debian and Ubuntu, install the package python3-venv" >&2; exit 1; }; \
	fi
	@echo "Installing what driftd runs on"
	@$(PIP) --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@pwd > $(HOME_OF)
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "Installing what development needs"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

# As for any installed package: where PYTHONDONTWRITEBYTECODE is set, each command would compile driftd anew.
$(COMPILED): $(RUNTIME) $(shell find driftd -name '*.py')
	@$(PY) -m compileall -q -j 0 driftd
	@touch $@
